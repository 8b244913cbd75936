package dockerconfig_test

import (
	"path/filepath"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/dockerconfig"
	"regcred.dev/keyring"
)

// TestDeisOrders: a dropped login, and that of a deleted credential, go from a file
// that cannot be written because too many others are left.
func TestDeisOrders(t *testing.T) {
	for name, change := range map[string]regcred.Change{
		"dropped": {Revision: 10, Credential: regcred.Credential{GUID: "a.example.com", DropRevision: 10}},
		"deleted": {Revision: 10, Credential: regcred.Credential{GUID: "a.example.com"}, Deleted: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			tg := target(func(o *dockerconfig.Options) { o.Dialect = keyring.Deis }, path)
			mustSync(t, tg, book(9, "a.example.com"))
			b := book(9, "a.example.com", "b.example.com", "c.example.com").Apply(regcred.Batch{Revision: 10, Changes: []regcred.Change{change}})
			report, err := tg.Sync(t.Context(), b, deliver.SyncOptions{})
			if regcred.CodeOf(err) != regcred.Invalid || report.Changed != 1 || report.Delivered != 0 {
				t.Errorf("%+v, %v", report, err)
			}
			if logins := readLogins(t, path); len(logins) > 0 {
				t.Error("the login is still there")
			}
		})
	}
}

// TestDroppedFromSomeFiles: a dropped login leaves each file that can be written, and
// the others as soon as they can.
func TestDroppedFromSomeFiles(t *testing.T) {
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "bad.json"), filepath.Join(dir, "good.json")
	tg := target(nil, bad, good)
	b := book(9, "a.example.com")
	mustSync(t, tg, b)
	before := read(t, bad)
	write(t, bad, before+"}", 0o600)
	dropped := put(10, "a.example.com", canary)
	dropped.Credential.DropRevision, dropped.Login = 10, nil
	b = b.Apply(regcred.Batch{Revision: 10, Changes: []regcred.Change{dropped}})
	_, err := tg.Sync(t.Context(), b, deliver.SyncOptions{})
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), bad) {
		t.Errorf("with a malformed file: %v", err)
	}
	if len(readLogins(t, good)) > 0 {
		t.Error("a dropped login is in a file that can be written")
	}
	write(t, bad, before, 0o600)
	mustSync(t, tg, b)
	if len(readLogins(t, bad)) > 0 {
		t.Error("a dropped login is in a file that was mended")
	}
}

package dockerconfig_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/dockerconfig"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest"
)

// canary is the password of every login that the tests deliver.
const canary = "canary-4711-0815"

// book returns a book of the store "s1" with a credential for each host, whose guid is
// the host.
func book(revision uint64, hosts ...string) *keyring.Book {
	batch := regcred.Batch{Revision: revision, Current: true}
	for i, host := range hosts {
		batch.Changes = append(batch.Changes, put(uint64(i+1), host, canary))
	}
	return keyring.New("s1").Now().Apply(batch)
}

// put returns a change that stores a credential with a login.
func put(revision uint64, host, password string) regcred.Change {
	location, err := imageref.ParseLocation(host)
	if err != nil {
		panic(err)
	}
	return regcred.Change{
		Revision:   revision,
		Credential: regcred.Credential{GUID: host, Location: location, Provider: regcred.ProviderStatic},
		Login:      &regcred.Login{Username: "robot", Password: regcred.NewSecret(password)},
	}
}

// target returns a target of the files in the docker dialect at the foundation.
func target(change func(*dockerconfig.Options), paths ...string) *dockerconfig.Target {
	o := dockerconfig.Options{Name: "test", Paths: paths}
	if change != nil {
		change(&o)
	}
	return dockerconfig.New(o)
}

func mustSync(t *testing.T, target deliver.Target, b *keyring.Book) deliver.Report {
	t.Helper()
	report, err := target.Sync(t.Context(), b, deliver.SyncOptions{})
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	if leaks := regcredtest.Leaks(fmt.Appendf(nil, "%+v", report), canary); len(leaks) > 0 {
		t.Errorf("the report shows the password as %v", leaks)
	}
	return report
}

func write(t *testing.T, path, data string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has the mode %s, want %s", path, info.Mode(), want)
	}
}

// wantNames checks what is in a directory.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("the files in %s (-want +got):\n%s", dir, diff)
	}
}

func TestNewFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "docker")
	path := filepath.Join(dir, "config.json")
	tg := target(nil, path)
	mustSync(t, tg, book(9))
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made with nothing to deliver")
	}
	mustSync(t, tg, book(9, "a.example.com"))
	wantMode(t, dir, os.ModeDir|0o700)
	for _, name := range []string{"config.json", ".config.json.regcred", ".config.json.regcred.lock"} {
		wantMode(t, filepath.Join(dir, name), 0o600)
	}
	wantNames(t, dir, ".config.json.regcred", ".config.json.regcred.lock", "config.json")
	if leaks := regcredtest.Leaks([]byte(read(t, filepath.Join(dir, ".config.json.regcred"))), canary); len(leaks) > 0 {
		t.Errorf("the record shows the password as %v", leaks)
	}
	if err := tg.Uninstall(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, "config.json")
}

// TestKeepsTheRest: everything but our entry stays byte for byte, and so does the
// mode; where nothing changes the file is not written.
func TestKeepsTheRest(t *testing.T) {
	const before = `{
    "HttpHeaders": { "User-Agent" : "x<y>&\u2028" },
    "auths": {
        "theirs.example.com": {"auth": "dGhlaXJzOng=", "unknown": [1.50, 12345678901234567890]},
        "mine.example.com": {"identitytoken": "x"}   },
    "n": 1e400, "detachKeys":"ctrl-e,e"
}`
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, before, 0o640)
	tg := target(nil, path)
	mustSync(t, tg, book(9, "a.example.com"))
	after := read(t, path)
	added := strings.Replace(after, `,
        "a.example.com": {
            "auth": "`+basic(canary)+`"
        }`, "", 1)
	if diff := cmp.Diff(before, added); diff != "" {
		t.Errorf("without our entry (-before +after):\n%s\n%s", diff, after)
	}
	wantMode(t, path, 0o640)

	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	mustSync(t, tg, book(10, "a.example.com"))
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("the file was written though nothing changed: %v, %v", info.ModTime(), err)
	}
}

func TestMalformedIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.json")
	tests := []struct {
		name, data string
		code       regcred.Code
		want       string
	}{
		{"large", `{"x":"` + strings.Repeat("x", 4<<20) + `"}`, regcred.TooLarge, "larger than 4 MiB"},
	}
	for _, m := range malformed {
		tests = append(tests, struct {
			name, data string
			code       regcred.Code
			want       string
		}{m.name, m.src, regcred.Invalid, m.want})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad.json")
			write(t, bad, test.data, 0o600)
			if err := os.RemoveAll(good); err != nil {
				t.Fatal(err)
			}
			report, err := target(nil, bad, good).Sync(t.Context(), book(9, "a.example.com"), deliver.SyncOptions{})
			if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want code %s, the path and %q", err, test.code, test.want)
			}
			if regcred.MessageOf(err) == "internal error" {
				t.Errorf("the user is not told: %v", err)
			}
			if got := read(t, bad); got != test.data {
				t.Errorf("the file was changed to %s", got)
			}
			if report.Delivered != 1 {
				t.Errorf("the other file was not synced: %+v", report)
			}
		})
	}
	t.Run("a directory", func(t *testing.T) {
		_, err := target(nil, dir).Sync(t.Context(), book(9, "a.example.com"), deliver.SyncOptions{})
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "it is a directory") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("all", func(t *testing.T) {
		_, err := target(nil, dir, dir).Sync(t.Context(), book(9, "a.example.com"), deliver.SyncOptions{})
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "2 files could not be synced: ") {
			t.Errorf("error %v", err)
		}
	})
}

func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, "", 0o600)
	tg, b := target(nil, path), book(9, "a.example.com")
	// An editor that writes in place empties the file first.
	_, err := tg.Sync(t.Context(), b, deliver.SyncOptions{})
	if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "emptied just now") {
		t.Errorf("error %v", err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if report := mustSync(t, tg, b); report.Delivered != 1 {
		t.Errorf("the report is %+v", report)
	}
}

func TestSymlinks(t *testing.T) {
	tests := []struct {
		name  string
		links map[string]string // within the test's directory
		path  string
		real  string // the file that is written
	}{
		{"to a file", map[string]string{"config.json": "real.json"}, "config.json", "real.json"},
		{"absolute", map[string]string{"config.json": "ABS/x/real.json"}, "config.json", "x/real.json"},
		{"chain", map[string]string{"a/config.json": "../b/link", "b/link": "../c/real.json"}, "a/config.json", "c/real.json"},
		{"directory", map[string]string{"docker": "x/y"}, "docker/config.json", "x/y/config.json"},
		{"out of a linked directory", map[string]string{"docker": "x/y", "x/y/config.json": "../real.json"}, "docker/config.json", "x/real.json"},
	}
	for _, test := range tests {
		for _, dangling := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, dangling %t", test.name, dangling), func(t *testing.T) {
				dir := t.TempDir()
				real := filepath.Join(dir, test.real)
				if err := os.MkdirAll(filepath.Dir(real), 0o700); err != nil {
					t.Fatal(err)
				}
				if !dangling {
					write(t, real, `{"x":1}`, 0o600)
				}
				for link, to := range test.links {
					link = filepath.Join(dir, link)
					if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.Symlink(strings.Replace(to, "ABS", dir, 1), link); err != nil {
						t.Fatal(err)
					}
				}
				mustSync(t, target(nil, filepath.Join(dir, test.path)), book(9, "a.example.com"))
				for link := range test.links {
					wantMode(t, filepath.Join(dir, link), os.ModeSymlink|0o777)
				}
				wantMode(t, real, 0o600)
				if logins := readLogins(t, real); logins["a.example.com"] != "robot:"+canary {
					t.Errorf("%s has %d logins", real, len(logins))
				}
			})
		}
	}
	t.Run("circle", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.json")
		if err := os.Symlink("config.json", path); err != nil {
			t.Fatal(err)
		}
		_, err := target(nil, path).Sync(t.Context(), book(9, "a.example.com"), deliver.SyncOptions{})
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "symbolic links") {
			t.Errorf("error %v", err)
		}
	})
}

func TestRecordLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	record := filepath.Join(filepath.Dir(path), ".config.json.regcred")
	tg, b := target(nil, path), book(9, "a.example.com", "b.example.com")
	mustSync(t, tg, b)
	for name, lose := range map[string]func() error{
		"removed":   func() error { return os.Remove(record) },
		"truncated": func() error { return os.Truncate(record, 20) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		putLogin(t, path, "b.example.com", "robot:edited")
		report := mustSync(t, tg, b)
		if report.Delivered != 1 || !strings.Contains(strings.Join(report.Warnings, "\n"), "conflict") {
			t.Errorf("%s: the report is %+v", name, report)
		}
		putLogin(t, path, "b.example.com", "")
		if report := mustSync(t, tg, b); report.Delivered != 2 || len(report.Warnings) > 0 {
			t.Errorf("%s: the report is %+v", name, report)
		}
	}
	// What is ours again is also removed.
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	mustSync(t, tg, b)
	mustSync(t, tg, b.Apply(regcred.Batch{Revision: 10, Changes: []regcred.Change{
		{Revision: 10, Credential: regcred.Credential{GUID: "a.example.com"}, Deleted: true},
	}}))
	if logins := readLogins(t, path); len(logins) != 1 {
		t.Errorf("%d logins are left", len(logins))
	}

	write(t, record, `{"format": 2, "salt": "x"}`, 0o600)
	before := read(t, path)
	_, err := tg.Sync(t.Context(), book(11, "c.example.com"), deliver.SyncOptions{})
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("a record of a newer format: %v", err)
	}
	if read(t, path) != before {
		t.Error("the file was changed without its record")
	}
}

func TestAdopt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	putLogin(t, path, "a.example.com", "robot:theirs")
	putLogin(t, path, "other.example.com", "robot:theirs")
	tg := target(func(o *dockerconfig.Options) { o.Adopt = true }, path)
	if report := mustSync(t, tg, book(9, "a.example.com")); report.Delivered != 1 || len(report.Warnings) > 0 {
		t.Errorf("the report is %+v", report)
	}
	want := map[string]string{"a.example.com": "robot:" + canary, "other.example.com": "robot:theirs"}
	if diff := cmp.Diff(want, readLogins(t, path)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDeis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	tg := target(func(o *dockerconfig.Options) { o.Dialect = keyring.Deis }, path)
	if report := mustSync(t, tg, book(9)); report.Delivered != 0 || len(report.Warnings) != 1 {
		t.Errorf("without a credential: %+v", report)
	}
	b := book(9, "a.example.com")
	mustSync(t, tg, b)
	if logins := readLogins(t, path); logins["https://a.example.com"] == "" {
		t.Errorf("%d logins, none for https://a.example.com", len(logins))
	}
	if _, err := tg.Sync(t.Context(), book(9, "a.example.com", "b.example.com"), deliver.SyncOptions{}); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("with two credentials: %v", err)
	}
	if logins := readLogins(t, path); len(logins) != 1 {
		t.Errorf("%d logins with two credentials, none of which was deleted", len(logins))
	}
	mustSync(t, tg, b.Apply(regcred.Batch{Revision: 10, Changes: []regcred.Change{
		{Revision: 10, Credential: regcred.Credential{GUID: "a.example.com"}, Deleted: true},
	}}))
	if logins := readLogins(t, path); len(logins) > 0 {
		t.Error("the login of a deleted credential is still there")
	}
}

func TestWarnings(t *testing.T) {
	hosts := []string{"a.example.com", "b.example.com", "docker.io"}
	tests := []struct {
		name, file string
		mode       os.FileMode
		want       []string // parts of the warnings, in order
	}{
		{"none", `{"credsStore":"","credHelpers":{"c.example.com":"ecr-login"}}`, 0o600, nil},
		{"readable", `{}`, 0o644, []string{"every user of this machine can read it"}},
		{"credsStore", `{"credsStore":"desktop"}`, 0o600, []string{
			`"credsStore" is "desktop", so docker and clients like it ignore "auths": add "credHelpers": ` +
				`{"a.example.com":"regcred","b.example.com":"regcred","https://index.docker.io/v1/":"regcred"}, with docker-credential-regcred in PATH`}},
		{"credsStore, some helped", `{"credsStore":"desktop","credHelpers":{"a.example.com":"regcred","https://index.docker.io/v1/":"regcred"}}`, 0o600,
			[]string{`add "credHelpers": {"b.example.com":"regcred"}`}},
		{"credsStore, all helped", `{"credsStore":"desktop","credHelpers":{"a.example.com":"regcred","b.example.com":"regcred","https://index.docker.io/v1/":"regcred"}}`, 0o600, nil},
		{"credHelpers", `{"credHelpers":{"a.example.com":"ecr-login"}}`, 0o600, []string{
			`"credHelpers" has clients ask docker-credential-ecr-login for a.example.com, and ignore what is delivered: write {"a.example.com":"regcred"} there instead`}},
		{"other types", `{"credsStore":1,"credHelpers":[]}`, 0o600, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			write(t, path, test.file, test.mode)
			report := mustSync(t, target(nil, path), book(9, hosts...))
			if len(report.Warnings) != len(test.want) {
				t.Fatalf("the warnings are %q", report.Warnings)
			}
			for i, want := range test.want {
				if got := report.Warnings[i]; !strings.HasPrefix(got, path+": ") || !strings.Contains(got, want) {
					t.Errorf("warning %q, want %q", got, want)
				}
			}
		})
	}
}

// TestOwnerIsKept has a file of somebody else's where it is run by root, who alone
// may give files away, and else one of its own.
func TestOwnerIsKept(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 4711, 4712
	}
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, "{}", 0o600)
	must(t, os.Chown(path, uid, gid))
	mustSync(t, target(nil, path), book(9, "a.example.com"))
	info, err := os.Stat(path)
	must(t, err)
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != uid || int(owner.Gid) != gid {
		t.Errorf("the owner is %+v", owner)
	}
}

// TestNotWritable: where nothing can be written the error says where and why.
func TestNotWritable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "", 0o600)
	path := filepath.Join(dir, "file", "config.json")
	_, err := target(nil, path).Sync(t.Context(), book(9, "a.example.com"), deliver.SyncOptions{})
	if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// basic returns the "auth" of the tests' user with a password.
func basic(password string) string {
	value, _ := json.Marshal([]byte("robot:" + password)) // base64
	return string(bytes.Trim(value, `"`))
}

// TestLockIsNoLink puts a symbolic link where the lock belongs: nothing is made where
// it leads, and nothing is delivered.
func TestLockIsNoLink(t *testing.T) {
	dir := t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "made")
	if err := os.Symlink(elsewhere, filepath.Join(dir, ".config.json.regcred.lock")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	if _, err := target(nil, path).Sync(t.Context(), book(1, "a.example.com"), deliver.SyncOptions{}); err == nil {
		t.Error("it was delivered")
	}
	for _, name := range []string{elsewhere, path} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/seal"
	"regcred.dev/store/sqlite"
)

// newPath returns the path of a database that does not exist yet.
func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "a store?%20.db") }

// credential returns a credential with every kind of column set.
func credential(org, at string) regcred.Credential {
	location, err := imageref.ParseLocation(at)
	if err != nil {
		panic(err)
	}
	return regcred.Credential{
		Scope: regcred.AppScope(org, "dev", "web"), Location: location, Spelling: at, Provider: "vendor", Username: "robot",
		Password: regcred.NewSecret("password"), Secrets: map[string]regcred.Secret{"key": regcred.NewSecret("secret")},
		Settings: map[string]string{"region": "here"}, Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
		Origin: regcred.OriginAPI,
	}
}

// fill puts one of everything into a store, and returns the guids of two
// credentials with logins, of which the first has had one that was dropped, and of a
// deleted one.
func fill(t testing.TB, s regcred.Store) (a, b, deleted string) {
	t.Helper()
	fence, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var guids []string
	for _, org := range []string{"one", "two", "three"} {
		c, err := s.Create(t.Context(), credential(org, org+".example.com"))
		if err != nil {
			t.Fatal(err)
		}
		guids = append(guids, c.GUID)
		if org == "one" {
			if _, err := s.DropLogin(t.Context(), c.GUID); err != nil {
				t.Fatal(err)
			}
			c.Version++
		}
		l := regcred.Login{Username: "AWS", Password: regcred.NewSecret("login"), Hosts: []string{"h"}, MintedAt: time.Unix(1, 2), Version: c.Version}
		if _, err := s.PutLogin(t.Context(), c.GUID, l, fence); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateToken(t.Context(), regcred.APIToken{ID: org, Name: "ci", Hash: []byte(org), Role: regcred.RoleReader, Scope: c.Scope, Repositories: []string{org}}); err != nil {
			t.Fatal(err)
		}
		if err := s.UseTokens(t.Context(), map[string]time.Time{org: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Audit(t.Context(), regcred.AuditEntry{At: time.Unix(1, 0), Caller: org, Role: regcred.RoleAdmin, From: "192.0.2.1", Operation: "create", GUID: "1", Location: "a.example.com", Scope: c.Scope, Detail: "d", Allowed: true}); err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(t.Context(), regcred.Revocation{Subject: org, Before: time.Unix(1, 0), Until: time.Unix(1e10, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Key(t.Context(), org, func() (regcred.Secret, error) { return regcred.NewSecret("key of " + org), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Delete(t.Context(), guids[2]); err != nil {
		t.Fatal(err)
	}
	return guids[0], guids[1], guids[2]
}

// everything reads all that a store holds.
func everything(t testing.TB, s regcred.Store) map[string]any {
	t.Helper()
	all := map[string]any{"id": s.ID()}
	note := func(what string, value any, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		all[what] = value
	}
	list, err := s.List(t.Context(), regcred.Filter{})
	note("list", list, err)
	for _, c := range list {
		secrets, err := s.Get(t.Context(), c.GUID)
		note(c.GUID, secrets, err)
		login, err := s.Login(t.Context(), c.GUID)
		note("login "+c.GUID, login, err)
		key, err := s.Key(t.Context(), c.Scope.Org, func() (regcred.Secret, error) { return regcred.Secret{}, fmt.Errorf("no key") })
		note("key "+c.Scope.Org, key, err)
	}
	for batch, err := range s.Watch(t.Context(), 0) {
		note("watch", batch, err)
		break
	}
	tokens, err := s.Tokens(t.Context())
	note("tokens", tokens, err)
	revocations, err := s.Revocations(t.Context(), time.Now())
	note("revocations", revocations, err)
	return all
}

func TestReopenKeepsEverything(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	fill(t, s)
	want := everything(t, s)
	fence, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if diff := cmp.Diff(want, everything(t, s), cmpopts.EquateComparable(imageref.Location{})); diff != "" {
		t.Errorf("opened again (-before +after):\n%s", diff)
	}
	if next, err := s.Fence(t.Context()); err != nil || next <= fence {
		t.Errorf("a fence of %d after %d, %v", next, fence, err)
	}
}

func TestModes(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	fill(t, s)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%q: mode %v, %v", suffix, info.Mode(), err)
		}
	}
}

func TestExists(t *testing.T) {
	path := newPath(t)
	for _, want := range []bool{false, true} {
		if got, err := sqlite.Exists(path); err != nil || got != want {
			t.Errorf("Exists: %v, %v; want %v", got, err, want)
		}
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRefused checks that the store cannot be opened, and what it says.
func wantRefused(t *testing.T, path string, keys seal.Keys, code regcred.Code, parts ...string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Keys: keys})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || regcred.CodeOf(err) != code {
		t.Fatalf("Open: %v; want the code %v", err, code)
	}
	for _, part := range append(parts, path) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestOneProcessOnly(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	keys := seal.Keys{key(t, 1)}
	wantRefused(t, path, keys, regcred.Unavailable, "another regcred", path+".lock")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestKeys(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	a, _, _ := fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, path, nil, regcred.Invalid, "needs a seal key")
	wantRefused(t, path, seal.Keys{key(t, 2)}, regcred.Invalid, "seal key", key(t, 1).ID(), key(t, 2).ID())

	var log bytes.Buffer
	s, err := sqlite.Open(t.Context(), sqlite.Options{
		Path: path, Keys: seal.Keys{key(t, 2), key(t, 1)}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Get(t.Context(), a); err != nil {
		t.Errorf("with a new key in front: %v", err)
	}
	if !strings.Contains(log.String(), s.ID()) || !strings.Contains(log.String(), key(t, 2).ID()) {
		t.Errorf("the log says %q", log.String())
	}
}

func TestNoDatabase(t *testing.T) {
	keys := seal.Keys{key(t, 1)}
	for name, content := range map[string]string{"text": strings.Repeat("no database\n", 1000), "short": "x"} {
		path := newPath(t)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, path, keys, regcred.Corrupt, "not a database")
		if after, err := os.ReadFile(path); err != nil || string(after) != content {
			t.Errorf("%s: the file was changed, %v", name, err)
		}
	}
	wantRefused(t, filepath.Join(t.TempDir(), "missing", "regcred.db"), keys, regcred.Unavailable)
	wantRefused(t, t.TempDir(), keys, regcred.Unavailable)
}

// raw opens the database behind the store's back.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", strings.NewReplacer("%", "%25", "?", "%3f").Replace("file:"+path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execRaw(t testing.TB, path, query string, args ...any) {
	t.Helper()
	db := raw(t, path)
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestOtherPrograms(t *testing.T) {
	keys := seal.Keys{key(t, 1)}
	for _, query := range []string{`CREATE TABLE theirs (x)`, `PRAGMA application_id = 7; CREATE TABLE theirs (x)`} {
		path := newPath(t)
		execRaw(t, path, query)
		wantRefused(t, path, keys, regcred.Invalid, "another program")
		var tables int
		if err := raw(t, path).QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil || tables != 1 {
			t.Errorf("%d tables are in it now, %v", tables, err)
		}
	}
}

func TestNewerSchema(t *testing.T) {
	path := newPath(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	execRaw(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`)
	wantRefused(t, path, seal.Keys{key(t, 1)}, regcred.Invalid, "schema version 4711", "versions up to 5:")
}

// TestDamagedFile overwrites pages of the file: what reads them says so, by the
// contract's codes.
func TestDamagedFile(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for i := page; i < len(content); i++ { // all but the first page, which has the schema
		content[i] = 0xa5
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, path, seal.Keys{key(t, 1)}, regcred.Corrupt, "damaged", "backup")
}

package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

// open opens a server that is expected to refuse, or to be closed at once.
func open(t *testing.T, cfg config.Config) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := server.Open(ctx, cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		return err
	}
	cancel()
	return s.Run(ctx)
}

func TestStartRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	r, _ := start(t, config.Default())
	for _, test := range []struct{ name, dataDir, listen, want string }{
		{"a file in place of the directory", file, "127.0.0.1:0", "not a directory"},
		{"a directory that others may write to", shared, "127.0.0.1:0", "chmod go-w"},
		{"a path too long for a socket", filepath.Join(t.TempDir(), strings.Repeat("d", 120)), "127.0.0.1:0", "too long for a socket"},
		{"a directory in use", r.dir, "127.0.0.1:0", "has the database open"},
		{"an address in use", t.TempDir(), strings.TrimPrefix(r.url, "http://"), "choose another address"},
		{"every address without a name", t.TempDir(), "0.0.0.0:0", "set public_url"},
	} {
		cfg := config.Default()
		cfg.DataDir, cfg.Listen = test.dataDir, test.listen
		if err := open(t, cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

// TestAdminTokenIsReplaced deletes the file of a token that leaked.
func TestAdminTokenIsReplaced(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	path := filepath.Join(cfg.DataDir, server.AdminTokenName)
	r, stop := start(t, cfg)
	old := r.adminToken()
	stop()
	for _, spoil := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.WriteFile(path, []byte("not a token\n"), 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		r, stop = start(t, cfg)
		if _, err := r.client(regcred.NewSecret(old)).Status(t.Context()); regcred.CodeOf(err) != regcred.Unauthenticated {
			t.Errorf("the old token: %v", err)
		}
		if _, err := r.client(regcred.NewSecret(r.adminToken())).Status(t.Context()); err != nil {
			t.Errorf("the new token: %v", err)
		}
		list, err := r.local.Tokens(t.Context())
		if err != nil || len(list) != 1 {
			t.Errorf("tokens: %+v, %v", list, err)
		}
		old = r.adminToken()
		stop()
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	r, _ = start(t, cfg)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || r.adminToken() != old {
		t.Errorf("a token with a wrong mode: %v, %v", info, err)
	}
	log, total, err := r.local.Audit(t.Context(), url.Values{"operations": {"create token"}}, 10)
	if err != nil || total != 3 || log[0].Caller != "start" {
		t.Errorf("the audit log of three tokens: %+v, %v", log, err)
	}
}

// TestDeclared declares credentials, changes and removes them, and loses the list.
func TestDeclared(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	declare := func(password string, hosts ...string) {
		cfg.Credentials = []config.Credential{}
		for _, host := range hosts {
			cfg.Credentials = append(cfg.Credentials, config.Credential{
				Where: "regcred.yaml:1", Spelling: host, Location: parseLocation(t, host), Provider: "static",
				Username: "u", Password: regcred.NewSecret(password),
			})
		}
	}
	locations := func() string {
		t.Helper()
		r, stop := start(t, cfg)
		defer stop()
		list, err := r.local.Credentials(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range list {
			names = append(names, c.Canonical)
		}
		return strings.Join(names, " ")
	}
	declare("x", "a.example.com", "b.example.com")
	if got := locations(); got != "a.example.com b.example.com" {
		t.Errorf("declared: %s", got)
	}
	list := cfg.Credentials
	cfg.Credentials = nil
	if got := locations(); got != "a.example.com b.example.com" {
		t.Errorf("without a list: %s", got)
	}
	// One mistake, and nothing is written.
	cfg.Credentials = append(slices.Clone(list), config.Credential{Where: "regcred.yaml:9", Spelling: "c.example.com", Provider: "nope"})
	cfg.Listen = "127.0.0.1:0"
	ctx := t.Context()
	s, err := server.Open(ctx, cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), `regcred.yaml:9: there is no provider "nope"`) {
		t.Errorf("error %v", err)
	}
	declare("y", "b.example.com")
	if got := locations(); got != "b.example.com" {
		t.Errorf("after a removal: %s", got)
	}
	declare("y")
	if got := locations(); got != "" {
		t.Errorf("after the last removal: %s", got)
	}
}

// TestCorruptCredential edits the database behind the server's back: what cannot be
// read is named, shown to nobody but admins, and can be deleted or declared anew.
func TestCorruptCredential(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Credentials = []config.Credential{{
		Where: "regcred.yaml:1", Spelling: "declared.example.com", Location: parseLocation(t, "declared.example.com"),
		Provider: "static", Username: "u", Password: regcred.NewSecret("x"),
	}}
	r, stop := start(t, cfg)
	spoiled := r.create("stored.example.com", regcred.OrgScope("acme"), "x")
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "other", Role: "reader", Relationships: client.RelationshipsOf(regcred.OrgScope("other"))})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	db, err := sql.Open("sqlite", filepath.Join(cfg.DataDir, "regcred.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `UPDATE credentials SET username = 'mallory'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, _ = start(t, cfg)
	list, err := r.local.Credentials(t.Context(), nil)
	if err != nil || len(list) != 1 || list[0].Canonical != "declared.example.com" || list[0].Username != "u" {
		t.Errorf("the declared one was not made anew: %+v, %v", list, err)
	}
	if _, err := r.client(regcred.NewSecret(tok.Secret)).Credential(t.Context(), spoiled.GUID); regcred.CodeOf(err) != regcred.NotFound || strings.Contains(err.Error(), "acme") {
		t.Errorf("a stranger sees: %v", err)
	}
	if _, err := r.local.Credential(t.Context(), spoiled.GUID); regcred.CodeOf(err) != regcred.Corrupt {
		t.Errorf("the admin sees: %v", err)
	}
	r.eventually(func() error { // once the declared one has its login
		st, err := r.local.Status(t.Context())
		if err == nil && (len(st.Problems) != 1 || st.Problems[0].GUID != spoiled.GUID) {
			err = fmt.Errorf("status: %+v", st)
		}
		return err
	})
	if err := r.local.DeleteCredential(t.Context(), spoiled.GUID); err != nil {
		t.Error(err)
	}
	r.create("stored.example.com", regcred.OrgScope("acme"), "y")
}

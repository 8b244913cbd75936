package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/demo"
	"regcred.dev/cmd/regcred/server"
)

// denied are the commands that ask the server for what a token has to have rights for.
var denied = map[string][]string{
	"regcred credential create":   {"credential", "create", "b.example.com", "--username", "u"},
	"regcred credential get":      {"credential", "get", "a.example.com", "--org", "acme"},
	"regcred credential update":   {"credential", "update", "a.example.com", "--org", "acme", "--username", "v"},
	"regcred credential delete":   {"credential", "delete", "a.example.com", "--org", "acme"},
	"regcred credential refresh":  {"credential", "refresh", "a.example.com", "--org", "acme"},
	"regcred credential check":    {"credential", "check", "a.example.com", "--org", "acme"},
	"regcred resolve":             {"resolve", "a.example.com/x", "--org", "acme"},
	"regcred docker-config":       {"docker-config", "--org", "acme"},
	"regcred status":              {"status"},
	"regcred audit":               {"audit"},
	"regcred target confirm":      {"target", "confirm", "none"},
	"regcred token create":        {"token", "create", "ci", "--role", "reader"},
	"regcred token list":          {"token", "list"},
	"regcred token delete":        {"token", "delete", "none"},
	"regcred registry ls":         {"registry", "ls"},
	"regcred registry history":    {"registry", "history", "acme/app:1"},
	"regcred registry rollback":   {"registry", "rollback", "acme/app:1"},
	"regcred registry delete":     {"registry", "delete", "acme/app:1"},
	"regcred registry gc":         {"registry", "gc"},
	"regcred registry status":     {"registry", "status"},
	"regcred registry operations": {"registry", "operations"},
	"regcred registry stats":      {"registry", "stats"},
	"regcred publish":             {"publish", "ARCHIVE", "acme/app:1"},
}

// undenied are all others, with the reason.
var undenied = map[string]string{
	"regcred credential list":      "lists what the token may know of",
	"regcred profile list":         "lists what the token may use",
	"regcred provider list":        "is the same for everybody",
	"regcred provider describe":    "is the same for everybody",
	"regcred serve":                "is the server",
	"regcred start":                "is the server",
	"regcred demo":                 "is a server",
	"regcred deis":                 "is a server",
	"regcred rancher":              "is a server",
	"regcred raas":                 "asks no server",
	"regcred registry setup":       "asks no server",
	"regcred uninstall kubernetes": "asks no server",
	"regcred version":              "asks no server",
}

// TestDenied runs every command that asks the server with a token that may nothing there:
// it fails in words, and nothing changes.
func TestDenied(t *testing.T) {
	s := startServer(t)
	local := client.NewLocal(filepath.Join(s.env["REGCRED_DATA_DIR"], server.SocketName))
	if _, err := local.CreateCredential(t.Context(), client.CreateRequest{
		Location: "a.example.com", Username: "u", Password: "p", Relationships: client.RelationshipsOf(regcred.OrgScope("acme")),
	}); err != nil {
		t.Fatal(err)
	}
	token, err := local.CreateToken(t.Context(), client.TokenRequest{Name: "none", Role: string(regcred.RolePuller), Relationships: client.RelationshipsOf(regcred.OrgScope("other"))})
	if err != nil {
		t.Fatal(err)
	}
	status, err := local.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	program, archive := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := demo.PackImage(program, archive); err != nil {
		t.Fatal(err)
	}
	s.env["REGCRED_SERVER"], s.env["REGCRED_TOKEN"], s.env["REGCRED_PASSWORD"] = status.LocalURL, token.Secret, "p"
	before := s.stored(local)
	for _, path := range leaves(new(Program).root()) {
		args, ok := denied[path]
		if !ok {
			if undenied[path] == "" {
				t.Errorf("%s is tried with no token that may nothing", path)
			}
			continue
		}
		args = slices.Clone(args)
		if i := slices.Index(args, "ARCHIVE"); i >= 0 {
			args[i] = archive
		}
		out, code := s.run("y\n", false, args...)
		said := strings.Contains(out, "not authorized") || strings.Contains(out, "there is no credential") || strings.Contains(out, "denied")
		if code != exitFailed || !said {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	if diff := cmp.Diff(before, s.stored(local)); diff != "" {
		t.Errorf("something changed: %s", diff)
	}
}

// stored is what the server has of credentials and tokens.
func (s *surroundings) stored(local *client.Client) any {
	s.t.Helper()
	credentials, err := local.Credentials(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := local.Tokens(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range tokens {
		tokens[i].LastUsedAt = nil
	}
	return []any{credentials, tokens}
}

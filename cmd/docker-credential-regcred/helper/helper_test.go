package helper_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/docker-credential-regcred/helper"
	"regcred.dev/cmd/regcred/server/servertest"
	"regcred.dev/config"
)

// start runs a server with some credentials, and returns its URL, data directory and
// a token for the logins of organization acme.
func start(t *testing.T) (url, dir, token string) {
	t.Helper()
	s := servertest.Start(t, config.Default())
	local := s.Local()
	for location, scope := range map[string]regcred.Scope{
		"registry.example.com": regcred.OrgScope("acme"), "docker.io": regcred.OrgScope("acme"),
		"paths.example.com/team": regcred.OrgScope("acme"), "all.example.com": regcred.Foundation,
	} {
		_, err := local.CreateCredential(t.Context(), client.CreateRequest{
			Location: location, Username: "user", Password: "p:" + location, Relationships: client.RelationshipsOf(scope),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tok, err := local.CreateToken(t.Context(), client.TokenRequest{
		Name: "test", Role: "target", Relationships: client.RelationshipsOf(regcred.OrgScope("acme")),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, s.Dir, tok.Secret
}

func TestHelper(t *testing.T) {
	url, dir, token := start(t)
	remote := map[string]string{"REGCRED_SERVER": url, "REGCRED_TOKEN": token + "\n", "REGCRED_ORG": "acme"}
	local := map[string]string{"REGCRED_DATA_DIR": dir}
	for _, test := range []struct {
		name, command, stdin string
		env                  map[string]string
		code                 int
		stdout, stderr       string // part of it
	}{
		{"a host", "get", "registry.example.com\n", remote, 0, `{"ServerURL":"registry.example.com","Username":"user","Secret":"p:registry.example.com"}`, ""},
		{"a URL", "get", "https://Registry.example.com:443/v2/", remote, 0, `"Secret":"p:registry.example.com"`, ""},
		{"Docker Hub", "get", "https://index.docker.io/v1/", remote, 0, `"ServerURL":"https://index.docker.io/v1/","Username":"user","Secret":"p:docker.io"`, ""},
		{"Docker Hub by its name", "get", "docker.io", remote, 0, `"Secret":"p:docker.io"`, ""},
		{"of the foundation", "get", "all.example.com", remote, 0, `"Secret":"p:all.example.com"`, ""},
		{"on the socket", "get", "all.example.com", local, 0, `"Secret":"p:all.example.com"`, ""},
		{"not of the foundation", "get", "registry.example.com", local, 1, "credentials not found in native keychain", ""},
		{"another host", "get", "registry.example.com.evil", remote, 1, "credentials not found in native keychain", ""},
		{"a path alone", "get", "paths.example.com", remote, 1, "credentials not found in native keychain", "paths.example.com/team at scope organization acme was left out"},
		{"nothing", "get", " \n", remote, 1, "no credentials server URL", ""},
		{"store", "store", `{"ServerURL":"x","Username":"u","Secret":"s"}`, remote, 1, "regcred credential create", ""},
		{"erase", "erase", "registry.example.com", remote, 0, "", "nothing was erased"},
		{"help", "--help", "", nil, 0, "usage: docker-credential-regcred get|list|store|erase", ""},
		{"unknown", "version", "", remote, 1, "unknown command", ""},
		{"a foreign scope", "get", "registry.example.com", map[string]string{"REGCRED_SERVER": url, "REGCRED_TOKEN": token, "REGCRED_ORG": "other"}, 1, "not authorized", ""},
		{"a wrong token", "get", "registry.example.com", map[string]string{"REGCRED_SERVER": url, "REGCRED_TOKEN": "rcat_x_y"}, 1, "token", ""},
		{"no server", "get", "registry.example.com", nil, 1, "set REGCRED_SERVER", ""},
		{"a space alone", "get", "registry.example.com", map[string]string{"REGCRED_SPACE": "dev"}, 1, "needs its organization", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, code := run(t, test.stdin, test.env, test.command)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit code %d, %s, %s", code, stdout, stderr)
			}
			if test.code != 0 && strings.Contains(stdout+stderr, "p:") {
				t.Error("a refusal shows a password")
			}
		})
	}
	stdout, _, _ := run(t, "", remote, "list")
	var users map[string]string
	if err := json.Unmarshal([]byte(stdout), &users); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"registry.example.com": "user", "https://index.docker.io/v1/": "user", "all.example.com": "user"}
	if diff := cmp.Diff(want, users); diff != "" {
		t.Error(diff)
	}
	if _, stderr, code := run(t, "", remote); code != 1 || !strings.Contains(stderr, "usage") {
		t.Errorf("without a command: %d %s", code, stderr)
	}
}

func run(t *testing.T, stdin string, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	p := helper.Program{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &problems,
		Getenv: func(key string) string { return env[key] },
	}
	code = p.Run(t.Context(), args)
	return out.String(), problems.String(), code
}

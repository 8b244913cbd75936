package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"regcred.dev/cmd/regcred/server"
	"regcred.dev/cmd/regcred/server/servertest"
	"regcred.dev/config"
	"regcred.dev/regcredtest"
)

// surroundings are those of one test: a server and what it takes to talk to it.
type surroundings struct {
	t   *testing.T
	env map[string]string
	// said is all that commands printed, less what they are for.
	said bytes.Buffer
}

// run runs a command in the test's process. release says that its standard output
// is meant to hold secrets.
func (s *surroundings) run(stdin string, release bool, args ...string) (stdout string, code int) {
	var out, problems bytes.Buffer
	p := &Program{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &problems,
		Getenv: func(key string) string { return s.env[key] },
	}
	code = p.Run(s.t.Context(), args)
	s.said.Write(problems.Bytes())
	if !release {
		s.said.Write(out.Bytes())
	}
	return out.String() + problems.String(), code
}

func startServer(t *testing.T) *surroundings {
	t.Helper()
	return startServerWith(t, config.Registry{})
}

func startServerWith(t *testing.T, images config.Registry) *surroundings {
	t.Helper()
	cfg := config.Default()
	cfg.Registry.Policy, cfg.Registry.Owners = images.Policy, images.Owners
	return &surroundings{t: t, env: map[string]string{"REGCRED_DATA_DIR": servertest.Start(t, cfg).Dir}}
}

// TestNoSecretIsPrinted gives secrets to every command, in all the ways there are,
// and looks for them in what it prints.
func TestNoSecretIsPrinted(t *testing.T) {
	s := startServer(t)
	token, err := os.ReadFile(filepath.Join(s.env["REGCRED_DATA_DIR"], server.AdminTokenName))
	if err != nil {
		t.Fatal(err)
	}
	s.env["REGCRED_PASSWORD"] = "canary-env-71b2/+"
	s.env["REGCRED_TOKEN"] = strings.TrimSpace(string(token))
	s.env["CATTLE_ACCESS_KEY"], s.env["CATTLE_SECRET_KEY"] = "access", "canary-cattle-3d7f/+"
	s.env["CATTLE_URL"] = "http://access:canary-cattle-3d7f/+@rancher.example.com"
	secrets := []string{s.env["CATTLE_SECRET_KEY"], s.env["REGCRED_PASSWORD"], s.env["REGCRED_TOKEN"], "canary-stdin-5c1e/+", "canary-file-99d0/+", "canary-config-1f6a/+"}
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secretFile := write("secret", "canary-file-99d0/+\n")
	badConfig := write("bad.yaml", "credentials:\n  - {location: a.example.com, username: u, password: canary-config-1f6a/+}\n")
	bucketConfig := write("bucket.yaml", "registry: {storage: {s3: {bucket: acme, endpoint: 'http://127.0.0.1:1', access_key_id: key, secret_access_key: 'file:"+secretFile+"'}}}\n")
	notArchive := write("archive", "canary-file-99d0/+")
	cases := map[string][][]string{
		"regcred serve":                {{"serve", "--config", badConfig}},
		"regcred demo":                 {{"demo", "extra"}},
		"regcred rancher":              {{"rancher"}, {"rancher", "extra"}},
		"regcred version":              {{"version"}},
		"regcred uninstall kubernetes": {{"uninstall", "kubernetes", "--config", badConfig}},
		"regcred start":                {{"start"}, {"start", "extra"}},
		"regcred deis":                 {{"deis"}},
		"regcred credential create": {
			{"credential", "create", "a.example.com", "--username", "u"},
			{"credential", "create", "a.example.com", "--username", "u"}, // the place is taken
			{"credential", "create", "b.example.com", "--username", "u", "--password-stdin"},
			{"credential", "create", "https://c.example.com", "--username", "u"},
			{"credential", "create", "--provider", "regcred", "--set", "repositories=*"},
			{"credential", "create", "d.example.com", "--provider", "regcred", "--set-file", "colour=" + secretFile},
			{"credential", "create", "d.example.com", "--provider", "regcred", "--set-file", "repositories=" + secretFile},
			{"credential", "create", "e.example.com", "--provider", "oidc", "--set", "token-url=http://127.0.0.1:1", "--set", "username=u", "--set-file", "token=" + secretFile},
			{"credential", "create", "acme.azurecr.io", "--provider", "azure", "--set", "client-secret=canary-file-99d0/+"},
		},
		"regcred credential check": {
			{"credential", "check", "a.example.com"}, {"credential", "check", "b.example.com", "--repository", "x", "-o", "json"},
			{"credential", "check", "e.example.com"}, {"credential", "check", "none.example.com"},
		},
		"regcred credential list":     {{"credential", "list"}, {"credential", "list", "-o", "json"}},
		"regcred credential get":      {{"credential", "get", "a.example.com"}, {"credential", "get", "a.example.com", "-o", "json"}},
		"regcred credential update":   {{"credential", "update", "a.example.com", "--password-stdin"}, {"credential", "update", "none.example.com"}, {"credential", "update", "a.example.com", "--no-check", "--revoke"}},
		"regcred credential refresh":  {{"credential", "refresh", "a.example.com", "-o", "json"}, {"credential", "refresh", "a.example.com", "--revoke"}},
		"regcred provider list":       {{"provider", "list"}, {"provider", "list", "-o", "json"}},
		"regcred profile list":        {{"profile", "list"}, {"profile", "list", "-o", "json"}},
		"regcred provider describe":   {{"provider", "describe", "azure"}, {"provider", "describe", "none"}},
		"regcred credential delete":   {{"credential", "delete", "a.example.com"}, {"credential", "delete", "a.example.com"}},
		"regcred token list":          {{"token", "list"}, {"token", "list", "-o", "json"}},
		"regcred token delete":        {{"token", "delete", "none"}},
		"regcred audit":               {{"audit"}, {"audit", "--refused", "-o", "json"}, {"audit", "--since", "soon"}},
		"regcred target confirm":      {{"target", "confirm", "none"}},
		"regcred registry ls":         {{"registry", "ls"}, {"registry", "ls", "acme/app"}},
		"regcred registry history":    {{"registry", "history", "acme/app:1"}},
		"regcred registry rollback":   {{"registry", "rollback", "acme/app:1"}},
		"regcred registry delete":     {{"registry", "delete", "acme/app:1"}},
		"regcred registry gc":         {{"registry", "gc"}},
		"regcred registry status":     {{"registry", "status", "--deep"}},
		"regcred registry operations": {{"registry", "operations"}, {"registry", "operations", "none"}, {"registry", "operations", "-o", "json"}},
		"regcred registry stats":      {{"registry", "stats"}},
		"regcred registry setup":      {{"registry", "setup", "--config", badConfig}, {"registry", "setup", "--config", bucketConfig}, {"registry", "setup", "--config", bucketConfig, "--print-policy"}},
		"regcred resolve":             {{"resolve", "b.example.com/x"}, {"resolve", "b.example.com/x", "-o", "json"}},
		"regcred publish":             {{"publish", notArchive, "a:1"}, {"publish", "-", "a:1"}, {"publish", dir, "a:1"}, {"publish", notArchive, "--to", "s3://u:canary-file-99d0/+@b"}},
		"regcred raas":                {{"raas", "acme.bucket", "app", notArchive}, {"raas", "acme.bucket", "app", "-"}},
		"regcred status":              {{"status"}, {"status", "-o", "json"}},
	}
	releases := map[string][][]string{
		"regcred docker-config": {{"docker-config"}, {"docker-config", "--for", "klingon"}},
		"regcred token create":  {{"token", "create", "ci", "--role", "puller"}, {"token", "create", "ci", "--repository", "acme/*", "--push", "--expires", "90d"}, {"token", "create", "ci", "--role", "king"}},
	}
	// In this order, so that there is something to change and to delete.
	for _, path := range leaves(new(Program).root()) {
		for _, args := range append(cases[path], releases[path]...) {
			s.run("canary-stdin-5c1e/+\n", releases[path] != nil, args...)
		}
		if cases[path] == nil && releases[path] == nil {
			t.Errorf("the sweep does not cover %s", path)
		}
	}
	// From elsewhere, the token is sent, and refused ones are not repeated.
	s.env["REGCRED_SERVER"] = "http://127.0.0.1:1"
	s.run("", false, "status")
	for _, secret := range secrets {
		if forms := regcredtest.Leaks(s.said.Bytes(), secret); len(forms) > 0 {
			t.Errorf("%s was printed (%v)", secret, forms)
		}
	}
	if s.said.Len() < 1000 {
		t.Errorf("hardly anything was printed: %s", s.said.String())
	}
}

// leaves returns the paths of all commands that do something, sorted so that
// "create" stands before "delete".
func leaves(cmd *cobra.Command) []string {
	if !cmd.HasSubCommands() {
		return []string{cmd.CommandPath()}
	}
	var list []string
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" {
			list = append(list, leaves(sub)...)
		}
	}
	return list
}

// TestOutputForPrograms checks that -o json has what its users are promised.
func TestOutputForPrograms(t *testing.T) {
	s := startServer(t)
	s.env["REGCRED_PASSWORD"] = "p"
	if out, code := s.run("", false, "credential", "create", "registry.example.com", "--username", "u"); code != exitDone {
		t.Fatal(out)
	}
	out, code := s.run("", false, "resolve", "registry.example.com/acme/app:1", "-o", "json")
	for _, want := range []string{
		`"image": "registry.example.com/acme/app:1"`, `"candidates": [`, `"registry.example.com/acme",`,
		`"match": {`, `"guid": "`, `"location": "registry.example.com"`, `"scope": "foundation"`, `"username": "u"`,
	} {
		if !strings.Contains(out, want) || code != exitDone {
			t.Errorf("exit code %d, no %s in %s", code, want, out)
		}
	}
}

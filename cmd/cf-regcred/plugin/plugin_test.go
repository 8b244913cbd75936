package plugin_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/cf-regcred/plugin"
	"regcred.dev/cmd/regcred/server/servertest"
	"regcred.dev/config"
	"regcred.dev/regcredtest/fakefoundation"
)

// world is a user with the CLI, and a regcred server.
type world struct {
	t     *testing.T
	cf    *CliRpcCmd
	port  string
	env   map[string]string
	stdin string
	// local is the server, to its admin.
	local *client.Client
}

const password = "canary-registry-4a1c"

// newWorld starts a server whose admin the user is.
func newWorld(t *testing.T) *world {
	t.Helper()
	w, srv := openWorld(t, config.Default())
	capi := (&api{apps: map[string]string{"app-guid": "my,app%1"}}).serve(t)
	w.cf.API, w.cf.Token, w.cf.User = capi.URL, srv.AdminToken().Reveal(), "admin"
	return w
}

// newFoundation starts a server for the users of a Cloud Foundry.
func newFoundation(t *testing.T) (*world, *fakefoundation.Foundation) {
	t.Helper()
	f := fakefoundation.Start(t)
	cfg := config.Default()
	cfg.CloudFoundry = &config.CloudFoundry{API: f.API}
	w, _ := openWorld(t, cfg)
	w.cf.API = f.API
	return w, f
}

// openWorld starts a server; nobody is logged in.
func openWorld(t *testing.T, cfg config.Config) (*world, *servertest.Server) {
	t.Helper()
	srv := servertest.Start(t, cfg)
	w := &world{
		t:     t,
		cf:    &CliRpcCmd{},
		env:   map[string]string{"REGCRED_SERVER": srv.URL, "CF_DOCKER_PASSWORD": password},
		local: srv.Local(),
	}
	w.port = w.cf.serve(t)
	return w, srv
}

// run runs the plugin as the CLI does, and returns what it prints, standard error
// behind "! ".
func (w *world) run(args ...string) (printed string, code int) {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	p := &plugin.Program{Stdin: strings.NewReader(w.stdin), Stdout: &stdout, Stderr: &stderr, Getenv: w.getenv}
	code = p.Main(w.t.Context(), append([]string{w.port}, args...))
	for line := range strings.Lines(stderr.String()) {
		printed += "! " + line
	}
	printed += stdout.String()
	for _, secret := range []string{password, w.cf.Token} {
		if secret != "" && strings.Contains(printed, secret) {
			w.t.Errorf("%v shows a secret:\n%s", args, printed)
		}
	}
	return printed, code
}

func (w *world) getenv(key string) string { return w.env[key] }

// login returns user name and password of the credential of an image, as it is given to
// those who pull it.
func (w *world) login(host string, scope regcred.Scope) (username, password string) {
	w.t.Helper()
	out, err := w.local.DockerConfig(w.t.Context(), scope, "docker", false)
	if err != nil {
		w.t.Fatal(err)
	}
	var file struct {
		Auths map[string]struct{ Auth []byte }
	}
	if err := json.Unmarshal(out.Config, &file); err != nil {
		w.t.Fatal(err)
	}
	username, password, _ = strings.Cut(string(file.Auths[host].Auth), ":")
	return username, password
}

func (w *world) expect(code int, want string, args ...string) {
	w.t.Helper()
	got, exit := w.run(args...)
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got); diff != "" || exit != code {
		w.t.Errorf("%v: exit code %d, want %d (-want +got):\n%s", args, exit, code, diff)
	}
}

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	if out, code := w.run("SendMetadata"); code != 0 || out != "" {
		t.Fatalf("exit code %d: %s", code, out)
	}
	m := w.cf.metadata
	var names []string
	for _, c := range m.Commands {
		names = append(names, c.Name)
		if c.HelpText == "" || !strings.HasPrefix(c.UsageDetails.Usage, "cf "+c.Name) {
			t.Errorf("%s has help %q and usage %q", c.Name, c.HelpText, c.UsageDetails.Usage)
		}
	}
	want := []string{
		"create-foundation-registry-credential", "create-org-registry-credential", "create-space-registry-credential",
		"delete-app-registry-credential", "delete-foundation-registry-credential", "delete-org-registry-credential",
		"delete-space-registry-credential", "registry-credentials", "update-foundation-registry-credential",
		"update-org-registry-credential", "update-space-registry-credential",
	}
	if diff := cmp.Diff(want, names); diff != "" || m.Name != "regcred" {
		t.Errorf("plugin %q has these commands (-want +got):\n%s", m.Name, diff)
	}
	w.cf.Refuse = true
	if out, code := w.run("SendMetadata"); code != 1 {
		t.Errorf("refused metadata: exit code %d: %s", code, out)
	}
	if _, code := w.run("CLI-MESSAGE-UNINSTALL"); code != 0 {
		t.Errorf("uninstall: exit code %d", code)
	}
}

// TestSeed plays the document of Cloud Foundry's registry credentials.
func TestSeed(t *testing.T) {
	w := newWorld(t)
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential docker.io/library for the foundation as admin...
OK
`, "create-foundation-registry-credential", "docker.io/library", "--username", "docker-user")
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential registry.example.com/repo for the foundation as admin...
OK
`, "create-foundation-registry-credential", "--username", "private-repo-user", "registry.example.com/repo")

	w.cf.Org = [2]string{"org-guid", "myorg"}
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential registry.example.com/repo for org myorg as admin...
OK
`, "create-org-registry-credential", "registry.example.com/repo", "--username=orguser")

	w.cf.Spc = [2]string{"space-guid", "myspace"}
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential registry.example.com for org myorg / space myspace as admin...
OK
`, "create-space-registry-credential", "registry.example.com", "-u", "spaceuser")
	app := regcred.AppScope("org-guid", "space-guid", "app-guid")
	if _, err := w.local.CreateCredential(t.Context(), client.CreateRequest{
		Location: "docker.io/library", Username: "myuser", Password: password, Relationships: client.RelationshipsOf(app),
	}); err != nil {
		t.Fatal(err)
	}
	w.expect(0, `
Showing registry credentials available to org 'myorg' and space 'myspace'...

location                    scope          username            app name
docker.io/library           app            myuser              my,app%1
registry.example.com        space          spaceuser
registry.example.com/repo   organization   orguser
docker.io/library           foundation     docker-user
registry.example.com/repo   foundation     private-repo-user
`, "registry-credentials")

	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Updating registry credential registry.example.com/repo for org myorg as admin...
OK
`, "update-org-registry-credential", "registry.example.com/repo", "--username", "another")
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Updating registry credential registry.example.com for org myorg / space myspace as admin...
OK
`, "update-space-registry-credential", "registry.example.com")
	w.expect(0, `
Deleting registry credential docker.io/library for app my,app%1 in org myorg / space myspace as admin...
OK

TIP: Apps that were pushed with this registry credential fail to stage and start in the future, unless other registry credentials are available to them.
`, "delete-app-registry-credential", "docker.io/library", "my,app%1", "-f")

	w.cf.Org, w.cf.Spc = [2]string{}, [2]string{}
	w.expect(0, `
Showing registry credentials available to the foundation...

location                    scope        username            app name
docker.io/library           foundation   docker-user
registry.example.com/repo   foundation   private-repo-user
`, "registry-credentials")
}

func TestSpellings(t *testing.T) {
	w := newWorld(t)
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential registry.example.com/path/to/repo:5000 for the foundation as admin...
OK

TIP: 5000 is read as a port: the credential is used for images at registry.example.com:5000/path/to/repo; if it is a tag, create the credential without it, for all tags.
`, "create-foundation-registry-credential", "registry.example.com/path/to/repo:5000", "--username", "u")
	w.expect(0, `
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential Registry.example.com:443/x for the foundation as admin...
OK

TIP: Registry.example.com:443/x is used for images at registry.example.com/x.
`, "create-foundation-registry-credential", "Registry.example.com:443/x", "--username", "u")
	out, code := w.run("create-foundation-registry-credential", "https://registry.example.com", "--username", "u")
	if code != 1 || !strings.Contains(out, "https://") || !strings.HasSuffix(out, "FAILED\n") {
		t.Errorf("a protocol: exit code %d: %s", code, out)
	}
	w.expect(1, `
! Registry credential 'registry.example.com/path/to/repo:5000' for the foundation already exists. Use 'cf update-foundation-registry-credential' to change it.
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Creating registry credential registry.example.com:5000/path/to/repo for the foundation as admin...
FAILED
`, "create-foundation-registry-credential", "registry.example.com:5000/path/to/repo", "--username", "u")
	// Another spelling names the same credential.
	w.expect(0, `
Really delete the registry credential registry.example.com:5000/path/to/repo for the foundation? [yN]: 
Registry credential 'registry.example.com:5000/path/to/repo' has not been deleted.
`, "delete-foundation-registry-credential", "registry.example.com:5000/path/to/repo")
	w.stdin = "yes\n"
	w.expect(0, `
Really delete the registry credential registry.example.com:5000/path/to/repo for the foundation? [yN]: 
Deleting registry credential registry.example.com:5000/path/to/repo for the foundation as admin...
OK

TIP: Apps that were pushed with this registry credential fail to stage and start in the future, unless other registry credentials are available to them.
`, "delete-foundation-registry-credential", "registry.example.com:5000/path/to/repo")
	w.expect(0, `
! Registry credential 'registry.example.com' does not exist.
Deleting registry credential registry.example.com for the foundation as admin...
OK
`, "delete-foundation-registry-credential", "registry.example.com", "--force")
	w.expect(1, `
! Registry credential 'registry.example.com' for the foundation not found.
Using docker repository password from environment variable CF_DOCKER_PASSWORD.
Updating registry credential registry.example.com for the foundation as admin...
FAILED
`, "update-foundation-registry-credential", "registry.example.com")
	// A comma does not name several.
	w.expect(0, `
! Registry credential 'registry.example.com/x,b.example.com' does not exist.
Deleting registry credential registry.example.com/x,b.example.com for the foundation as admin...
OK
`, "delete-foundation-registry-credential", "registry.example.com/x,b.example.com", "-f")
}

func TestTargets(t *testing.T) {
	w := newWorld(t)
	api, org := w.cf.API, [2]string{"org-guid", "myorg"}
	for _, test := range []struct {
		name      string
		org       [2]string
		loggedOut bool
		noAPI     bool
		args      []string
		want      string
	}{
		{name: "no API", noAPI: true, loggedOut: true, args: []string{"registry-credentials"}, want: "No API endpoint set. Use 'cf login' or 'cf api' to target an endpoint."},
		{name: "logged out", loggedOut: true, args: []string{"registry-credentials"}, want: "Not logged in. Use 'cf login' or 'cf login --sso' to log in."},
		{name: "no org", args: []string{"create-org-registry-credential", "x", "--username", "u"}, want: "No org targeted, use 'cf target -o ORG' to target an org."},
		{name: "no org for a space", args: []string{"update-space-registry-credential", "x"}, want: "No org targeted, use 'cf target -o ORG' to target an org."},
		{name: "no space", org: org, args: []string{"delete-space-registry-credential", "x"}, want: "No space targeted, use 'cf target -s SPACE' to target a space."},
		{name: "no space for an app", org: org, args: []string{"delete-app-registry-credential", "x", "a"}, want: "No space targeted, use 'cf target -s SPACE' to target a space."},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.t, w.cf.Org, w.cf.LoggedOut, w.cf.API = t, test.org, test.loggedOut, api
			if test.noAPI {
				w.cf.API = ""
			}
			w.expect(1, "! "+test.want+"\nFAILED\n", test.args...)
		})
	}
	w.t, w.cf.Org, w.cf.Spc = t, org, [2]string{"space-guid", "myspace"}
	w.expect(1, "! App 'other' not found.\nFAILED\n", "delete-app-registry-credential", "x", "other", "-f")
	w.cf.Expired = true
	w.expect(1, "! Authentication has expired. Please log back in to re-authenticate.\nFAILED\n", "registry-credentials")
}

func TestUsage(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ args, want string }{
		{"create-org-registry-credential", "the required argument `REGISTRY-LOCATION` was not provided"},
		{"create-org-registry-credential x", "the required flag `--username' was not specified"},
		{"create-org-registry-credential x y --username u", `unexpected argument "y"`},
		{"create-org-registry-credential x --username u --password p", "unknown flag: --password"},
		{"delete-app-registry-credential x", "the required argument `APP-NAME` was not provided"},
		{"registry-credentials x", `unexpected argument "x"`},
	} {
		out, code := w.run(strings.Fields(test.args)...)
		if code != 1 || !strings.HasPrefix(out, "! Incorrect Usage: "+test.want) || !strings.Contains(out, "USAGE:") {
			t.Errorf("%s: exit code %d: %s", test.args, code, out)
		}
	}
	for _, flag := range []string{"-h", "--help"} {
		w.expect(0, `
NAME:
   create-space-registry-credential - Store a registry credential that all apps of the targeted space can use

USAGE:
   cf create-space-registry-credential REGISTRY-LOCATION --username USER

OPTIONS:
   --username   User name for the registry

ENVIRONMENT:
   CF_DOCKER_PASSWORD   Password for the registry; without it the password is asked for

SEE ALSO:
   delete-space-registry-credential, registry-credentials, update-space-registry-credential
`, "create-space-registry-credential", flag)
	}
	delete(w.env, "CF_DOCKER_PASSWORD")
	w.expect(1, `
! There is no terminal to ask for the password at: set CF_DOCKER_PASSWORD.
Environment variable CF_DOCKER_PASSWORD not set.
FAILED
`, "create-foundation-registry-credential", "x.example.com", "--username", "u")
}

// TestWhereTokensGo finds the server, and keeps the token from all others.
func TestWhereTokensGo(t *testing.T) {
	w := newWorld(t)
	gateway := w.env["REGCRED_SERVER"]
	other := &api{}
	elsewhere := other.serve(t)
	for _, test := range []struct {
		name, server, want string
		link               func(self string) string
	}{
		{name: "no gateway", want: "has no registry credentials: ask its operator for regcred's gateway, or name regcred's server in the environment variable REGCRED_SERVER"},
		{name: "another host", link: func(string) string { return elsewhere.URL }, want: "names another server for registry credentials"},
		{name: "another port", link: func(self string) string { return self + "0" }, want: "names another server for registry credentials"},
		{name: "no URL", link: func(string) string { return "registry" }, want: "names another server for registry credentials"},
		{name: "in clear", server: "http://regcred.example.com", want: "your token would be sent to regcred.example.com in clear: use https://"},
		{name: "a path", server: "https://regcred.example.com/x", want: "REGCRED_SERVER: write https://HOST[:PORT]"},
		{name: "itself", link: func(self string) string { return self + "/" }, want: "404"},
		{name: "named", server: gateway},
	} {
		t.Run(test.name, func(t *testing.T) {
			capi := &api{link: test.link}
			w.t, w.cf.API, w.env["REGCRED_SERVER"] = t, capi.serve(t).URL, test.server
			out, code := w.run("registry-credentials")
			if (code == 0) != (test.want == "") || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d: %s", code, out)
			}
			if len(capi.tokens) > 0 && capi.tokens[0] != "" {
				t.Errorf("GET / came with %.10q...", capi.tokens[0])
			}
		})
	}
	if len(other.tokens) > 0 {
		t.Errorf("the other host got %d requests", len(other.tokens))
	}
}

package plugin_test

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/cmd/cf-regcred/plugin"
	"regcred.dev/regcredtest/fakefoundation"
	"regcred.dev/regcredtest/terminal"
)

// TestUsers changes credentials at each scope as each user of a foundation: who may, by
// its document, and what the others are told.
func TestUsers(t *testing.T) {
	w, f := newFoundation(t)
	w.cf.Org, w.cf.Spc = [2]string{"acme-guid", "acme"}, [2]string{"dev-guid", "dev"}
	const refused = "You are not authorized to perform the requested action. Registry credentials of "
	want := map[string]map[string]string{ // what a user is told, by scope; "" for OK
		fakefoundation.Root:      {"foundation": "", "org": "", "space": ""},
		fakefoundation.Manager:   {"foundation": refused + "the foundation are altered by admins.", "org": "", "space": "Invalid space. Ensure that the space exists and you have access to it."},
		fakefoundation.Developer: {"foundation": refused, "org": refused + "an org are altered by its managers and by admins.", "space": ""},
		fakefoundation.Auditor:   {"foundation": refused, "org": refused, "space": refused + "a space are altered by its developers and by admins."},
		fakefoundation.Nobody:    {"foundation": refused, "org": "Invalid organization. Ensure that the organization exists and you have access to it.", "space": "Invalid space. Ensure that the space exists and you have access to it."},
	}
	for user, scopes := range want {
		w.cf.User, w.cf.Token = user, f.UAA.Token(user)
		for scope, told := range scopes {
			location := user + ".example.com/" + scope
			steps := [][]string{{"create-", "--username", "u"}, {"update-", "--username", "v"}, {"delete-", "-f"}}
			if told != "" {
				steps = steps[:1]
			}
			for _, step := range steps {
				out, code := w.run(append([]string{step[0] + scope + "-registry-credential", location}, step[1:]...)...)
				if (code == 0) != (told == "") || !strings.Contains(out, told) {
					t.Errorf("%s by %s: exit code %d: %s", step[0]+scope, user, code, out)
				}
			}
		}
	}
}

// TestUsersOfOthers changes what an admin stored, as users who may not.
func TestUsersOfOthers(t *testing.T) {
	w, f := newFoundation(t)
	w.cf.Org, w.cf.Spc = [2]string{"acme-guid", "acme"}, [2]string{"dev-guid", "dev"}
	as := func(user string) { w.cf.User, w.cf.Token = user, f.UAA.Token(user) }
	as(fakefoundation.Root)
	for _, scope := range []string{"foundation", "org", "space"} {
		if out, code := w.run("create-"+scope+"-registry-credential", scope+".example.com", "--username", "u"); code != 0 {
			t.Fatal(out)
		}
	}
	for user, scopes := range map[string][]string{
		fakefoundation.Manager: {"foundation", "space"}, fakefoundation.Developer: {"foundation", "org"},
		fakefoundation.Auditor: {"foundation", "org", "space"}, fakefoundation.Nobody: {"foundation", "org", "space"},
	} {
		as(user)
		for _, scope := range scopes {
			if out, code := w.run("update-"+scope+"-registry-credential", scope+".example.com", "--username", user); code != 1 {
				t.Errorf("%s updates one of the %s: %s", user, scope, out)
			}
			// One that its user may not see does not exist, which is no error.
			_, _ = w.run("delete-"+scope+"-registry-credential", scope+".example.com", "-f")
		}
	}
	scope := regcred.SpaceScope("acme-guid", "dev-guid")
	for _, host := range []string{"foundation.example.com", "org.example.com", "space.example.com"} {
		if username, stored := w.login(host, scope); username != "u" || stored != password {
			t.Errorf("%s is of %q now", host, username)
		}
	}
}

// TestPasswords takes the password from the environment.
func TestPasswords(t *testing.T) {
	w := newWorld(t)
	for _, step := range []struct{ command, password string }{
		{"create-foundation-registry-credential", password}, {"update-foundation-registry-credential", "canary-second-77e0"},
	} {
		w.env["CF_DOCKER_PASSWORD"] = step.password
		out, code := w.run(step.command, "registry.example.com", "--username", "u")
		if code != 0 || !strings.HasPrefix(out, "Using docker repository password from environment variable CF_DOCKER_PASSWORD.\n") || strings.Contains(out, step.password) {
			t.Fatalf("exit code %d: %s", code, out)
		}
		if username, stored := w.login("registry.example.com", regcred.Foundation); username != "u" || stored != step.password {
			t.Errorf("after %s the login is %q with another password", step.command, username)
		}
	}
}

// TestInterrupted ends with a confirmation that nobody answers, and deletes nothing.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	if out, code := w.run("create-foundation-registry-credential", "registry.example.com", "--username", "u"); code != 0 {
		t.Fatal(out)
	}
	answer, stdin := io.Pipe() // on which nothing comes
	defer stdin.Close()
	ctx, cancel := context.WithCancel(t.Context())
	said := &terminal.Screen{For: "[yN]: ", Do: cancel}
	p := &plugin.Program{Stdin: answer, Stdout: said, Stderr: said, Getenv: w.getenv}
	code := p.Main(ctx, []string{w.port, "delete-foundation-registry-credential", "registry.example.com"})
	if got := said.String(); code != 1 || !strings.HasSuffix(got, "[yN]: \n") {
		t.Errorf("exit code %d: %q", code, got)
	}
	if username, _ := w.login("registry.example.com", regcred.Foundation); username != "u" {
		t.Error("it is gone")
	}
}

// TestTLS verifies certificates, unless the user told the CLI not to.
func TestTLS(t *testing.T) {
	w := newWorld(t)
	plain, err := url.Parse(w.env["REGCRED_SERVER"])
	if err != nil {
		t.Fatal(err)
	}
	selfSigned := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(plain))
	selfSigned.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are refused
	selfSigned.StartTLS()
	defer selfSigned.Close()
	w.env["REGCRED_SERVER"] = selfSigned.URL
	if out, code := w.run("registry-credentials"); code != 1 || !strings.Contains(out, "certificate") {
		t.Errorf("a certificate of nobody: exit code %d: %s", code, out)
	}
	w.cf.Skip = true
	if out, code := w.run("registry-credentials"); code != 0 {
		t.Errorf("with --skip-ssl-validation: exit code %d: %s", code, out)
	}
}

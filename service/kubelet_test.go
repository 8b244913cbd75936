package service_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/keyring"
	"regcred.dev/service"
)

// put stores a user name and password, which names the location.
func (b bench) put(location string, s regcred.Scope) service.Credential {
	b.Helper()
	c, err := b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{
		Scope: s, Location: location, Username: "user", Password: regcred.NewSecret("p:" + location),
	})
	if err != nil {
		b.Fatal(err)
	}
	synctest.Wait()
	return c
}

// workload is a pod at a scope.
func workload(s regcred.Scope) regcred.Caller {
	return regcred.Caller{Name: "service account dev/default", Role: regcred.RoleWorkload, Scope: s}
}

func TestKubeletLogin(t *testing.T) {
	dev := regcred.SpaceScope("acme", "dev")
	bubble(t, nil, func(b bench) {
		b.put("registry.example.com", regcred.Foundation)
		b.put("registry.example.com/team", regcred.OrgScope("acme"))
		b.put("own.example.com", dev)
		b.put("foreign.example.com", regcred.OrgScope("other"))
		b.put("app.example.com", regcred.AppScope("acme", "dev", "web"))
		for _, test := range []struct {
			image, want string // "": no login
			wholeHost   bool
		}{
			{"registry.example.com/team/app", "p:registry.example.com/team", false},
			{"registry.example.com/teams/app", "p:registry.example.com", false},
			{"Registry.example.com:443/team/app:1.0", "p:registry.example.com/team", false},
			{"own.example.com/a/b", "p:own.example.com", true},
			{"own.example.com:5000/a/b", "", true},
			{"foreign.example.com/a", "", true},
			{"app.example.com/a", "", true},
			{"own.example.com.evil/a", "", true},
			{"docker.io/library/nginx", "", true},
		} {
			got, err := b.KubeletLogin(b.Context(), workload(dev), test.image)
			if err != nil {
				b.Errorf("%s: %v", test.image, err)
				continue
			}
			password := ""
			if got.Login != nil {
				password = got.Login.Password.Reveal()
			}
			if password != test.want || got.WholeHost != test.wholeHost {
				b.Errorf("%s: %q, whole host %v", test.image, password, got.WholeHost)
			}
		}
		if _, err := b.KubeletLogin(b.Context(), workload(dev), "registry.example.com/UPPER"); regcred.CodeOf(err) != regcred.Invalid {
			b.Errorf("no image: %v", err)
		}
		if n := strings.Count(b.log.String(), `msg="logins released"`); n != 4 {
			b.Errorf("%d releases are in the log:\n%s", n, b.log)
		}
		if log := b.log.String(); !strings.Contains(log, "image=own.example.com/a/b") || !strings.Contains(log, `caller.name="service account dev/default"`) || strings.Contains(log, "p:") {
			b.Errorf("the log: %s", log)
		}
	})
}

// TestKubeletLoginCallers shows who gets one: those who may have logins in clear, for
// their own scope alone.
func TestKubeletLoginCallers(t *testing.T) {
	bubble(t, nil, func(b bench) {
		b.put("own.example.com", regcred.OrgScope("acme"))
		for _, test := range []struct {
			role  regcred.Role
			scope regcred.Scope
			code  regcred.Code
			login bool
		}{
			{regcred.RoleWorkload, regcred.SpaceScope("acme", "dev"), 0, true},
			{regcred.RoleTarget, regcred.OrgScope("acme"), 0, true},
			{regcred.RoleTarget, regcred.OrgScope("other"), 0, false},
			{regcred.RoleWorkload, regcred.SpaceScope("other", "dev"), 0, false},
			{regcred.RoleAdmin, regcred.Foundation, 0, false},
			{regcred.RoleReader, regcred.OrgScope("acme"), regcred.Denied, false},
			{regcred.RolePuller, regcred.Foundation, regcred.Denied, false},
			{"", regcred.Foundation, regcred.Unauthenticated, false},
		} {
			got, err := b.KubeletLogin(b.Context(), regcred.Caller{Role: test.role, Scope: test.scope}, "own.example.com/x")
			if test.code != 0 && regcred.CodeOf(err) != test.code || test.code == 0 && err != nil || (got.Login != nil) != test.login {
				b.Errorf("%s at %s: %v, %v", test.role, test.scope, got, err)
			}
		}
		// A workload gets nothing else.
		w := workload(regcred.OrgScope("acme"))
		if _, err := b.DockerConfig(b.Context(), w, w.Scope, "docker", keyring.RenderOptions{}); regcred.CodeOf(err) != regcred.Denied {
			b.Errorf("a workload's docker config: %v", err)
		}
		if _, err := b.Resolve(b.Context(), w, "own.example.com/x", w.Scope); regcred.CodeOf(err) != regcred.Denied {
			b.Errorf("a workload resolves: %v", err)
		}
		if list, _, err := b.List(b.Context(), w, catalog.Query{Limit: 10}); err != nil || len(list) > 0 {
			b.Errorf("a workload lists: %v, %v", list, err)
		}
	})
}

// TestKubeletLoginOnDockerHub shows what the kubelet cannot tell apart: it writes
// docker.io/acme/app for acme/app too.
func TestKubeletLoginOnDockerHub(t *testing.T) {
	bubble(t, nil, func(b bench) {
		org, two := regcred.OrgScope("acme"), regcred.OrgScope("two")
		b.put("docker.io/library", org)
		b.put("docker.io", two)
		b.put("docker.io/library", two)
		ask := func(s regcred.Scope, image string) (string, error) {
			got, err := b.KubeletLogin(b.Context(), workload(s), image)
			if err != nil || got.Login == nil {
				return "", err
			}
			return got.Login.Password.Reveal(), nil
		}
		for _, s := range []regcred.Scope{org, two} {
			if got, err := ask(s, "docker.io/library/nginx"); err != nil || got != "p:docker.io/library" {
				b.Errorf("an image of the library: %s, %v", got, err)
			}
			for _, image := range []string{"docker.io/acme/app", "acme/app", "index.docker.io/acme/app"} {
				if got, err := ask(s, image); regcred.CodeOf(err) != regcred.Invalid || got != "" {
					b.Errorf("%s: %q, %v", image, got, err)
				}
			}
		}
		// Nobody writes this one without the host: its path would be read as one.
		if got, err := ask(two, "docker.io/registry.example.com/app"); err != nil || got != "p:docker.io" {
			b.Errorf("a path that reads like a host: %s, %v", got, err)
		}
	})
}

// TestKubeletLoginMints shows that a login which is missing is minted while the kubelet
// waits, and that nobody learns from a failure what the issuer said.
func TestKubeletLoginMints(t *testing.T) {
	bubble(t, nil, func(b bench) {
		down := func(regcred.Credential, *regcred.Login) error { return errors.New("canary of the issuer") }
		b.issuer.set(down)
		c := b.create("acme", "key")
		w := workload(regcred.SpaceScope("acme", "dev"))
		_, err := b.KubeletLogin(b.Context(), w, host+"/x")
		if regcred.CodeOf(err) != regcred.Unavailable || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), c.GUID) {
			b.Errorf("while the issuer is down: %v", err)
		}
		b.issuer.set(nil)
		time.Sleep(2 * time.Hour) // it recovers, and each login is renewed
		synctest.Wait()
		got, err := b.KubeletLogin(b.Context(), w, host+"/x")
		if err != nil || got.Login == nil || got.Login.Expired(time.Now()) {
			b.Fatalf("after that: %v, %v", got, err)
		}
		// A login goes to the hosts that it is for, whatever else its location covers.
		b.issuer.set(func(_ regcred.Credential, l *regcred.Login) error {
			l.Hosts = []string{"example.com", host}
			return nil
		})
		_, err = b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{
			Scope: regcred.OrgScope("wide"), Location: "example.com", Provider: "issuer",
			Settings: map[string]regcred.Secret{"key": regcred.NewSecret("wide")},
		})
		if err != nil {
			b.Fatal(err)
		}
		synctest.Wait()
		w = workload(regcred.OrgScope("wide"))
		if got, err := b.KubeletLogin(b.Context(), w, host+"/x"); err != nil || got.Login == nil {
			b.Errorf("at its host: %v, %v", got, err)
		}
		if got, err := b.KubeletLogin(b.Context(), w, "elsewhere.example.com/x"); regcred.CodeOf(err) != regcred.Denied || got.Login != nil {
			b.Errorf("at another host: %v, %v", got, err)
		}
	})
}

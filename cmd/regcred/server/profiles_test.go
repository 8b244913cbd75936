package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/config"
	"regcred.dev/keyring"
)

// lentHelper writes a program that gives a login and notes that it was asked; its path
// is an operator's.
func lentHelper(t *testing.T, password string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "docker-credential-lent")
	script := "#!/bin/sh\ncat > /dev/null\necho asked >> \"$0.asked\"\necho '{\"Username\": \"robot\", \"Secret\": \"" + password + "\"}'\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// lent is a profile of the helper.
func lent(t *testing.T, helper string, grants ...regcred.Scope) config.Profile {
	return config.Profile{
		Where: "regcred.yaml:3", Name: "lent", Provider: "exec", Location: parseLocation(t, "registry.example.com"), Spelling: "registry.example.com",
		Settings: map[string]string{"helper": helper}, Grants: grants,
	}
}

// TestProfilesDelivered: logins of a profile are delivered like others; after a restart
// without the grant they are taken away, with other settings they are minted anew, and
// with the same ones nobody is asked.
func TestProfilesDelivered(t *testing.T) {
	helper, second := lentHelper(t, "first-password"), lentHelper(t, "second-password")
	file := filepath.Join(t.TempDir(), "config.json")
	acme := regcred.OrgScope("acme")
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Targets = []config.Target{{Name: "file", Scope: acme, DockerConfig: &config.DockerConfig{Paths: []string{file}, For: keyring.Docker}}}
	delivered := func(want string) func() error {
		return func() error {
			got, err := secretOf(file, "registry.example.com")
			if want == "" && got == "" && !os.IsNotExist(err) {
				return nil
			}
			if got != want {
				return fmt.Errorf("the file has %q, want %q: %w", got, want, err)
			}
			return nil
		}
	}
	with := func(list ...config.Profile) (r *running, stop func()) {
		cfg.Profiles = append([]config.Profile{}, list...)
		return start(t, cfg)
	}

	r, stop := with(lent(t, helper, acme))
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "m", Role: "org-manager", Relationships: client.RelationshipsOf(acme)})
	if err != nil {
		t.Fatal(err)
	}
	manager := r.client(regcred.NewSecret(tok.Secret))
	in := client.CreateRequest{Provider: "profile", Settings: map[string]string{"name": "lent"}, Relationships: client.RelationshipsOf(acme)}
	c, err := manager.CreateCredential(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manager.CreateCredential(t.Context(), client.CreateRequest{
		Provider: "exec", Location: "r.example.com", Settings: map[string]string{"helper": helper}, Relationships: in.Relationships,
	}); regcred.CodeOf(err) != regcred.Denied {
		t.Errorf("without the profile: %v", err)
	}
	r.eventually(delivered("first-password"))
	stop()
	r, stop = with(lent(t, helper, acme, regcred.OrgScope("more")))
	r.eventually(delivered("first-password"))
	stop()
	if asked, err := os.ReadFile(helper + ".asked"); err != nil || strings.Count(string(asked), "asked") != 1 {
		t.Errorf("the helper was asked %q, %v", asked, err)
	}
	r, stop = with(lent(t, second, acme))
	r.eventually(delivered("second-password"))
	stop()
	r, stop = with(lent(t, second, regcred.OrgScope("other")))
	r.eventually(delivered(""))
	seen, err := r.client(regcred.NewSecret(tok.Secret)).Credential(t.Context(), c.GUID)
	if err != nil || seen.Login == nil || !strings.Contains(seen.Login.Problem, "has no grant of such a profile") {
		t.Errorf("its user sees %+v, %v", seen.Login, err)
	}
	if status, body := r.do(http.MethodGet, "/regcred/v1/profiles", tok.Secret, ""); status != http.StatusOK || strings.Contains(body, "lent") {
		t.Errorf("without a grant: %d %s", status, body)
	}
	stop()
}

// TestProfilesRefused: a profile that could never give a login stops the start, in words
// and with its line.
func TestProfilesRefused(t *testing.T) {
	for want, change := range map[string]func(*config.Profile){
		`regcred.yaml:3: profile "lent": there is no provider "none"`:           func(p *config.Profile) { p.Provider = "none" },
		`regcred.yaml:3: profile "lent": provider exec has no setting "colour"`: func(p *config.Profile) { p.Settings["colour"] = "red" },
		`settings.secret-access-key is a secret`: func(p *config.Profile) {
			p.Provider, p.Settings = "ecr", map[string]string{"secret-access-key": "x"}
		},
	} {
		cfg := config.Default()
		cfg.DataDir, cfg.Listen = t.TempDir(), "127.0.0.1:0"
		p := lent(t, "/bin/true", regcred.Foundation)
		change(&p)
		cfg.Profiles = []config.Profile{p}
		if err := open(t, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

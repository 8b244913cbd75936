package server_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/regcredtest/fakecattle"
)

// TestRancherTargets: one server delivers to two environments of Rancher 1.x.
func TestRancherTargets(t *testing.T) {
	fake := fakecattle.New(fakecattle.Options{
		Environments: []string{"1a5", "1a7"},
		Keys:         map[string]fakecattle.Key{"five": {Secret: "secret", Environment: "1a5"}, "seven": {Secret: "secret", Environment: "1a7"}},
	})
	web := httptest.NewServer(fake)
	t.Cleanup(web.Close)
	at, err := url.Parse(web.URL + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Credentials = []config.Credential{
		{Location: parseLocation(t, "r.example.com"), Spelling: "r.example.com", Provider: "static", Username: "all", Password: regcred.NewSecret("1")},
		{Scope: regcred.OrgScope("acme"), Location: parseLocation(t, "r.example.com"), Spelling: "r.example.com", Provider: "static", Username: "acme", Password: regcred.NewSecret("2")},
	}
	for key, scope := range map[string]regcred.Scope{"five": regcred.Foundation, "seven": regcred.OrgScope("acme")} {
		cfg.Targets = append(cfg.Targets, config.Target{Name: key, Scope: scope, Rancher: &config.Rancher{
			URL: at, AccessKey: key, SecretKey: regcred.NewSecret("secret"), AutoCreate: true,
		}})
	}
	r, _ := start(t, cfg)
	for environment, want := range map[string]string{"1a5": "all:1", "1a7": "acme:2"} {
		r.eventually(func() error {
			user, password, _ := fake.Login(environment, "r.example.com")
			if got := user + ":" + password; got != want {
				return fmt.Errorf("environment %s has %s, want %s", environment, got, want)
			}
			return nil
		})
	}
}

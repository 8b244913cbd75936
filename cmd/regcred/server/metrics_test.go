package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

// TestMetrics: what an operator has alerts on is there.
func TestMetrics(t *testing.T) {
	r, _ := start(t, config.Default())
	for _, in := range []client.CreateRequest{
		{Location: "registry.example.com", Username: "u", Password: "p", Settings: map[string]string{"rotate-by": "2027-06-30"}},
		{Provider: "regcred", Settings: map[string]string{"repositories": "acme/*"}},
		{Location: "down.example.com", Provider: "oidc", Settings: map[string]string{
			"token-url": "http://127.0.0.1:1/token", "token": "canary-token", "username": "u",
		}},
	} {
		if _, err := r.local.CreateCredential(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	status, body := r.doAdmin(http.MethodGet, "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	for _, want := range []string{
		`location="registry.example.com",provider="static",scope="foundation"} 1.8143136e+09`, // 2027-06-30
		`regcred_credentials{login="none",provider="oidc"} 1`,
		`regcred_credentials{login="valid",provider="static"} 1`,
		`regcred_issuer_mints_total{issuer="http://127.0.0.1:1/token",outcome="failed",provider="oidc"} `,
		`regcred_issuer_rate_limit{issuer="http://127.0.0.1:1/token",provider="oidc"} 5`,
		`regcred_issuer_down{issuer="http://127.0.0.1:1/token",provider="oidc"} 0`,
		`regcred_issuer_throttled{issuer="http://127.0.0.1:1/token",provider="oidc"} 0`,
		"\nregcred_rotate_by_timestamp_seconds{", "\nregcred_login_expiry_seconds{", "\nregcred_mint_consecutive_failures{",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	for _, not := range []string{`issuer=""`, "canary", "regcred_login_gap"} {
		if strings.Contains(body, not) {
			t.Errorf("it has %s", not)
		}
	}
}

// TestMetricsAreKept: who sent no login learns of no scope, location, issuer, file or
// repository by the metrics, and neither does who may not read everything.
func TestMetricsAreKept(t *testing.T) {
	acme := regcred.SpaceScope("acme", "dev")
	cfg := config.Default()
	cfg.Profiles = []config.Profile{lent(t, lentHelper(t, "p"), acme)}
	r, _ := start(t, cfg)
	r.create("private.example.com", regcred.OrgScope("acme"), "p")
	if _, err := r.local.CreateCredential(t.Context(), client.CreateRequest{
		Provider: "profile", Settings: map[string]string{"name": "lent"}, Relationships: client.RelationshipsOf(acme),
	}); err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`acme|example\.com|docker-credential|(guid|location|scope|issuer|repository|target|namespace)="`)
	read := func(what, token string, want int, named bool) {
		status, body := r.do(http.MethodGet, "/metrics", token, "")
		if got := names.FindString(body); status != want || (got != "") != named && status == http.StatusOK {
			t.Errorf("%s: %d, naming %q", what, status, got)
		}
	}
	read("nobody", "", http.StatusOK, false)
	if _, body := r.do(http.MethodGet, "/metrics", "", ""); !strings.Contains(body, `regcred_credentials{login="valid",provider="profile"} 1`) || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("nobody reads\n%s", body)
	}
	read("a bad token", "regcred_none", http.StatusUnauthorized, false)
	read("admin", r.adminToken(), http.StatusOK, true)
	for role, want := range map[string]int{
		"auditor": http.StatusOK, "reader": http.StatusForbidden, "target": http.StatusForbidden, "puller": http.StatusForbidden,
	} {
		tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "x", Role: role})
		if err != nil {
			t.Fatal(err)
		}
		read(role, tok.Secret, want, true)
	}
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "x", Role: "space-developer", Relationships: client.RelationshipsOf(acme)})
	if err != nil {
		t.Fatal(err)
	}
	read("space-developer", tok.Secret, http.StatusForbidden, false)
	if body := r.overSocket("/metrics"); !strings.Contains(body, `issuer="docker-credential-lent `) {
		t.Errorf("its owner reads\n%s", body)
	}
}

// overSocket returns what the server's own socket answers.
func (r *running) overSocket(path string) string {
	r.t.Helper()
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(r.dir, server.SocketName))
	}}}
	defer web.CloseIdleConnections()
	resp, err := web.Get("http://local" + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"regcred.dev/client"
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
	resp, err := http.Get(r.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
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
		if !strings.Contains(string(body), want) {
			t.Errorf("it lacks %s", want)
		}
	}
	for _, not := range []string{`issuer=""`, "canary", "regcred_login_gap"} {
		if strings.Contains(string(body), not) {
			t.Errorf("it has %s", not)
		}
	}
}

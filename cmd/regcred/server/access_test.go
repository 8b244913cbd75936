package server_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/config"
)

// patternOf returns the pattern of the API that serves a request.
func patternOf(method, path string) string {
	mux := http.NewServeMux()
	for _, pattern := range api.Routes() {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	u, err := url.Parse(path)
	if err != nil {
		return ""
	}
	_, pattern := mux.Handler(&http.Request{Method: method, URL: u, Host: "x"})
	return pattern
}

// TestTokenUse: when a token was last used is known after a restart too, though it is
// not written at each use.
func TestTokenUse(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	r, stop := start(t, cfg)
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "customer", Role: "puller", Repositories: []string{"acme/*"}})
	if err != nil || tok.LastUsedAt != nil {
		t.Fatalf("%+v, %v", tok, err)
	}
	if status, body := r.do(http.MethodGet, "/regcred/v1/providers", tok.Secret, ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	stop()
	r, _ = start(t, cfg)
	list, err := r.local.Tokens(t.Context())
	if err != nil || len(list) != 2 || list[1].LastUsedAt == nil || list[1].LastUsedAt.Before(tok.CreatedAt) || len(list[1].Repositories) != 1 {
		t.Errorf("tokens: %+v, %v", list, err)
	}
}

// TestTokenLifetimes makes tokens that expire, with lifetimes as users write them.
func TestTokenLifetimes(t *testing.T) {
	r, _ := start(t, config.Default())
	for lifetime, want := range map[string]time.Duration{"12h": 12 * time.Hour, "90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "": 0} {
		began := time.Now()
		tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "ci", Role: "reader", Lifetime: lifetime})
		if err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			if tok.ExpiresAt != nil {
				t.Errorf("without a lifetime it expires at %s", tok.ExpiresAt)
			}
			continue
		}
		if lives := tok.ExpiresAt.Sub(began); lives < want-time.Second || lives > want+patience {
			t.Errorf("%s: it lives %s", lifetime, lives)
		}
	}
}

func TestTokenEnds(t *testing.T) {
	r, _ := start(t, config.Default())
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "ci", Role: "reader"})
	if err != nil {
		t.Fatal(err)
	}
	c := r.client(regcred.NewSecret(tok.Secret))
	if _, err := c.Credentials(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	list, err := r.local.Tokens(t.Context())
	if err != nil || len(list) != 2 || list[1].ID != tok.ID || list[1].Secret != "" {
		t.Errorf("tokens: %+v, %v", list, err)
	}
	if err := r.local.DeleteToken(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Credentials(t.Context(), nil); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Errorf("a deleted token: %v", err)
	}
}

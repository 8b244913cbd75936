package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/oidc"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeoidc"
)

// TestRefusals shows how refusals read; the fake quotes the token that it refuses.
func TestRefusals(t *testing.T) {
	quay := []string{"exchange=quay", "username=" + robot}
	sts := []string{"token-url=" + issuer + "/token", "username=u"}
	tests := []struct {
		name     string
		o        func(*fakeoidc.Options)
		settings []string
		want     string
	}{
		{"Quay, another robot", nil, []string{"exchange=quay", "username=acme+other"}, "Could not find robot with username: acme+other (has the robot account"},
		{"Quay, another token", nil, append(quay, "token=canary-4711-canary"), "(has the robot account acme+puller a federation"},
		{"Quay, an old token", nil, append(quay, "token=OLD"), "the token to exchange expired at "},
		{"a token of a stranger", nil, append(sts, "token=canary-4711-canary"), "invalid_grant: the subject_token *** is not trusted (does the token service trust"},
		{"an old token", nil, append(sts, "token=OLD"), "the token to exchange expired at "},
		{"no audience", func(o *fakeoidc.Options) { o.Audience = "a" }, sts, "invalid_target (are audience and resource right?)"},
		{"another scope", nil, append(sts, "scope=all"), "invalid_scope (is scope right?)"},
		{"no client", func(o *fakeoidc.Options) { o.ClientID = "x" }, sts, "invalid_client: Client authentication failed (are client-id and client-secret right?)"},
		{"another secret", func(o *fakeoidc.Options) { o.ClientID = "x" }, append(sts, "client-id=x", "client-secret=canary-4712-canary"), "invalid_client"},
	}
	for _, test := range tests {
		o := options()
		if o.ClientID = ""; test.o != nil {
			test.o(&o)
		}
		fake := fakeoidc.New(o)
		c := credential(t, "quay.io", "token="+fake.Subject(time.Hour))
		for _, s := range test.settings {
			s = strings.Replace(s, "OLD", fake.Subject(-time.Hour), 1)
			set(&c, s)
		}
		_, err := provider(fake).Mint(t.Context(), c)
		if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %s: %v, want %q", test.name, regcred.CodeOf(err), err, test.want)
			continue
		}
		for _, secret := range c.Secrets {
			if found := regcredtest.Leaks([]byte(err.Error()), secret.Reveal()); found != nil {
				t.Errorf("%s: the error shows a secret: %v", test.name, found)
			}
		}
	}
}

// TestNoIssuer shows what an issuer that is none looks like.
func TestNoIssuer(t *testing.T) {
	c := credential(t, "registry.example.com", byIssuer("username=u", "issuer=https://id.example.com/other")...)
	_, err := provider(fakeoidc.New(options())).Mint(t.Context(), c)
	if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), "is the setting issuer right?") {
		t.Errorf("%s: %v", regcred.CodeOf(err), err)
	}
}

// TestGarbage shows that no answer that makes no sense becomes a login, whoever
// gave it.
func TestGarbage(t *testing.T) {
	for _, kind := range []string{"html", "cut", "void", "huge", "no-token", "no-expiry", "bad-expiry"} {
		o := options()
		o.Opaque = true
		fake := fakeoidc.New(o)
		atQuay := quayCredential(t, fake)
		q := fake.Quirks()
		q.Garbage = fakeoidc.Garbage(kind)
		fake.Set(q)
		for _, c := range []regcred.Credential{
			atQuay, // whose tokens are JWTs
			credential(t, "registry.example.com", byIssuer("username=u", "exchange=none")...),
		} {
			login, err := provider(fake).Mint(t.Context(), c)
			if regcred.CodeOf(err) != regcred.Unavailable || !login.Password.IsZero() {
				t.Errorf("%s: %s: %v", kind, regcred.CodeOf(err), err)
			}
		}
	}
}

// TestAnswers shows answers that the fake does not give.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   string // "": a login
		code   regcred.Code
	}{
		{"expires_in as text", 200, `{"access_token":"t","token_type":"bearer","expires_in":"3600"}`, "", 0},
		{"no access token, but usable", 200, `{"access_token":"t","token_type":"N_A","expires_in":60,"issued_token_type":"urn:x"}`, "", 0},
		{"never", 200, `{"access_token":"t","token_type":"Bearer","expires_in":0}`, "expires_in", regcred.Unavailable},
		{"a fraction", 200, `{"access_token":"t","token_type":"Bearer","expires_in":3600.5}`, "expires_in", regcred.Unavailable},
		{"a thousand years", 200, `{"access_token":"t","token_type":"Bearer","expires_in":31622400000}`, "expires_in", regcred.Unavailable},
		{"more than a number", 200, `{"access_token":"t","token_type":"Bearer","expires_in":1e400}`, "expires_in", regcred.Unavailable},
		{"words", 200, `{"access_token":"t","token_type":"Bearer","expires_in":"soon"}`, "JSON", regcred.Unavailable},
		{"a token bound to a key", 200, `{"access_token":"t","token_type":"DPoP","expires_in":60}`, "token_type", regcred.Unavailable},
		{"no type", 200, `{"access_token":"t","expires_in":60}`, "token_type", regcred.Unavailable},
		{"a header", 200, `{"access_token":"t\r\nX: y","token_type":"Bearer","expires_in":60}`, "access_token", regcred.Unavailable},
		{"a huge token", 200, `{"access_token":"` + strings.Repeat("t", 100_000) + `","token_type":"Bearer","expires_in":60}`, "access_token", regcred.Unavailable},
		{"an opaque token for ever", 200, `{"access_token":"t","token_type":"Bearer"}`, "lifetime", regcred.Unavailable},
		{"an array", 200, `[]`, "JSON", regcred.Unavailable},
		{"an error that is an object", 403, `{"error":{"code":1},"error_description":"no"}`, "no", regcred.Denied},
		{"no grant", 400, `{"error":"unauthorized_client"}`, "unauthorized_client (the client must be allowed", regcred.Denied},
		{"a page", 500, `<html>`, "500", regcred.Unavailable},
	}
	for _, test := range tests {
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		})
		p := oidc.New(oidc.Options{Transport: regcredtest.HandlerTransport{"sts.example.com": handler}})
		_, err := p.Mint(t.Context(), credential(t, "registry.example.com", "token-url=https://sts.example.com/", "username=u", "token=x"))
		if test.want == "" && err != nil || test.want != "" && (regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %s: %v, want %q", test.name, regcred.CodeOf(err), err, test.want)
		}
	}
}

// TestDiscovery shows configurations that are not followed: the client's secret
// goes nowhere.
func TestDiscovery(t *testing.T) {
	tests := []struct {
		issuer, says, endpoint, want string
	}{
		{issuer, issuer, issuer + "/token", ""},
		{issuer + "/", issuer, issuer + "/token", ""},
		{issuer, issuer + "/", issuer + "/token", ""},
		{issuer, issuer, "https://sts.example.com/other?p=x", ""},
		{issuer, "https://evil.example.com", issuer + "/token", "another issuer"},
		{issuer, "", issuer + "/token", "another issuer"},
		{issuer, issuer, "", "no token endpoint"},
		{issuer, issuer, "/token", "no token endpoint"},
		{issuer, issuer, "//sts.example.com/token", "no token endpoint"},
		{issuer, issuer, "http://id.example.com/realms/ci/token", "no token endpoint"},
		{issuer, issuer, "https://user:pass@id.example.com/token", "no token endpoint"},
		{issuer, issuer, "file:///etc/passwd", "no token endpoint"},
		{issuer, issuer, "https://%zz/", "no token endpoint"},
		{"http://localhost:8080", "http://localhost:8080", "http://localhost:8080/token", ""},
		{"http://localhost:8080", "http://localhost:8080", "http://169.254.169.254/token", "no token endpoint"},
		{"http://localhost:8080", "http://localhost:8080", "http://localhost:9090/token", "no token endpoint"},
	}
	for _, test := range tests {
		posts := 0
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				posts++
				_, _ = io.WriteString(w, `{"access_token":"LOGIN","token_type":"Bearer","expires_in":600}`)
				return
			}
			_, _ = io.WriteString(w, `{"issuer":"`+test.says+`","token_endpoint":"`+test.endpoint+`"}`)
		})
		p := oidc.New(oidc.Options{Transport: regcredtest.HandlerTransport{"id.example.com": handler, "sts.example.com": handler, "localhost:8080": handler}})
		_, err := p.Mint(t.Context(), credential(t, "registry.example.com", byIssuer("username=u", "exchange=none", "issuer="+test.issuer)...))
		if test.want == "" && (err != nil || posts != 1) {
			t.Errorf("%q says %q and %q: %d requests, %v", test.issuer, test.says, test.endpoint, posts, err)
		}
		if test.want != "" && (posts != 0 || regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q says %q and %q: %d requests, %v", test.issuer, test.says, test.endpoint, posts, err)
		}
	}
}

// TestQuotedRequest: a token service that quotes the header or form that it refuses has
// no secret shown, however that was encoded.
func TestQuotedRequest(t *testing.T) {
	const clientSecret = "canary/+ 4713&canary"
	quotes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusBadRequest)
		// The error is cut, so what is quoted comes one at a time.
		text := r.Header.Get("Authorization")
		if r.URL.Path == "/form" {
			text = string(body)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": text})
	})
	for _, path := range []string{"/header", "/form"} {
		c := credential(t, "registry.example.com", "token-url=https://sts.example.com"+path, "username=u", "client-id=client",
			"client-secret="+clientSecret, "token="+strings.Repeat("canary-4714-", 8))
		p := oidc.New(oidc.Options{Transport: regcredtest.HandlerTransport{"sts.example.com": quotes}})
		_, err := p.Mint(t.Context(), c)
		if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), "***") {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, secret := range c.Secrets {
			if found := regcredtest.Leaks([]byte(err.Error()), secret.Reveal()); found != nil {
				t.Errorf("%s: the error shows a secret: %v: %v", path, found, err)
			}
		}
		for _, part := range []string{"canary", base64.StdEncoding.EncodeToString([]byte("client:canary"))[:12]} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error shows a part of a secret: %v", path, err)
			}
		}
	}
}

// TestLongest: what lives for ever is renewed all the same, also where the server's
// clock would have it live beyond the year 9999, which JSON cannot say.
func TestLongest(t *testing.T) {
	eternal := base64.RawURLEncoding.EncodeToString([]byte(`{"exp":253402300799}`))
	for _, body := range []string{
		`{"access_token":"x.` + eternal + `.x","token_type":"Bearer"}`,
		`{"access_token":"x","token_type":"Bearer","expires_in":3000000000}`,
	} {
		sts := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
			_, _ = io.WriteString(w, body)
		})
		p := oidc.New(oidc.Options{Transport: regcredtest.HandlerTransport{"sts.example.com": sts}})
		l, err := p.Mint(t.Context(), credential(t, "registry.example.com", "token-url=https://sts.example.com/", "username=u", "token=x"))
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(l.ExpiresAt); left < 365*24*time.Hour || left > 366*24*time.Hour {
			t.Errorf("it expires at %s", l.ExpiresAt)
		}
	}
}

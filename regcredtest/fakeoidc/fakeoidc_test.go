package fakeoidc_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev/regcredtest/fakeoidc"
)

func newFake() *fakeoidc.Server {
	return fakeoidc.New(fakeoidc.Options{
		Issuer: "https://id.example.com", ClientID: "a:b", ClientSecret: "s c", Subject: "sub",
		Audience: "aud", Resource: "res", Scope: "sco", Robot: "acme+puller",
	})
}

// ask returns the status and the JSON of an answer.
func ask(t *testing.T, fake *fakeoidc.Server, r *http.Request) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	fake.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("status %d: %v", w.Code, err)
	}
	return w.Code, body
}

func post(form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("a%3Ab", "s+c")
	return r
}

// TestExchange shows what of RFC 8693 is verified: each change to a request that
// works makes it one that is refused.
func TestExchange(t *testing.T) {
	fake := newFake()
	good := func() url.Values {
		return url.Values{
			"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token": {fake.Subject(time.Minute)}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
			"audience": {"aud"}, "resource": {"res"}, "scope": {"sco"},
		}
	}
	status, body := ask(t, fake, post(good()))
	if status != 200 || body["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" || body["token_type"] != "Bearer" || body["expires_in"] != 3600.0 {
		t.Errorf("status %d: %v", status, body)
	}
	stranger := fakeoidc.New(fakeoidc.Options{Issuer: "https://id.example.com", Subject: "sub"})
	tests := []struct{ name, value, want string }{
		{"grant_type", "password", "unsupported_grant_type"},
		{"subject_token", "x", "invalid_grant"},
		{"subject_token", stranger.Subject(time.Minute), "invalid_grant"},
		{"subject_token", fake.Subject(-time.Second), "invalid_grant"},
		{"subject_token", body["access_token"].(string), "invalid_grant"}, // another subject's
		// RFC 7519, section 6.1: unsecured
		{"subject_token", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoic3ViIiwiZXhwIjo0MTAyNDQ0ODAwfQ.", "invalid_grant"},
		{"subject_token_type", "jwt", "invalid_request"},
		{"requested_token_type", "jwt", "invalid_request"},
		{"audience", "", "invalid_target"},
		{"resource", "other", "invalid_target"},
		{"scope", "other", "invalid_scope"},
		{"actor", "x", "invalid_request"},
	}
	for _, test := range tests {
		form := good()
		form.Set(test.name, test.value)
		if status, body := ask(t, fake, post(form)); status != 400 || body["error"] != test.want {
			t.Errorf("%s %q: status %d: %v, want %s", test.name, test.value, status, body, test.want)
		}
	}
	form := good()
	form.Add("audience", "another")
	if status, body := ask(t, fake, post(form)); status != 400 || body["error"] != "invalid_request" {
		t.Errorf("two audiences: status %d: %v", status, body)
	}
}

func TestClient(t *testing.T) {
	fake := newFake()
	form := url.Values{"grant_type": {"client_credentials"}}
	if status, body := ask(t, fake, post(form)); status != 200 || fake.Verify(body["access_token"].(string)) != nil {
		t.Errorf("status %d: %v", status, body)
	}
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Del("Authorization") },
		func(r *http.Request) { r.SetBasicAuth("a:b", "s c") },
		func(r *http.Request) { r.SetBasicAuth("a%3Ab", "x") },
	} {
		r := post(form)
		change(r)
		if status, body := ask(t, fake, r); status != 401 || body["error"] != "invalid_client" {
			t.Errorf("Authorization %q: status %d: %v", r.Header.Get("Authorization"), status, body)
		}
	}
	r := post(form)
	r.Header.Set("Content-Type", "application/json")
	if status, body := ask(t, fake, r); status != 400 || body["error"] != "invalid_request" {
		t.Errorf("a body that says it is JSON: status %d: %v", status, body)
	}
}

// TestRobot shows what Quay verifies, by a clock that is ahead.
func TestRobot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		q := fake.Quirks()
		q.Skew = time.Hour
		fake.Set(q)
		get := func(robot, subject string) (int, map[string]any) {
			r := httptest.NewRequest(http.MethodGet, "/oauth2/federation/robot/token", nil)
			r.SetBasicAuth(robot, subject)
			return ask(t, fake, r)
		}
		subject := fake.Subject(time.Minute)
		if status, body := get("acme+puller", subject); status != 200 || body["token"] == "" {
			t.Errorf("status %d: %v", status, body)
		}
		for _, try := range [][2]string{{"acme+other", subject}, {"acme+puller", "x"}, {"acme+puller", ""}} {
			if status, body := get(try[0], try[1]); status != 401 || body["error"] == "" {
				t.Errorf("as %s: status %d: %v", try[0], status, body)
			}
		}
		<-time.After(2 * time.Minute)
		if status, _ := get("acme+puller", subject); status != 401 {
			t.Errorf("an old token: status %d", status)
		}
	})
}

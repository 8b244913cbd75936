package oidc_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/oidc"
	"regcred.dev/regcredtest"
)

// FuzzAnswer answers an exchange with anything. Beside these seeds the corpora
// are under testdata/fuzz.
func FuzzAnswer(f *testing.F) {
	f.Add(200, false, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
	f.Add(200, true, `{"token":"e30.eyJleHAiOjQxMDI0NDQ4MDB9.x"}`)
	f.Fuzz(func(t *testing.T, status int, quay bool, body string) {
		if status < 200 || status > 599 {
			return // no status that an answer may have
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
		c := credential(t, "registry.example.com", "token-url=https://sts.example.com/", "username=u", "token=canary-4711")
		if quay {
			c = credential(t, "quay.io", "exchange=quay", "username="+robot, "token=canary-4711")
		}
		p := oidc.New(oidc.Options{Transport: regcredtest.HandlerTransport{"sts.example.com": handler, "quay.io": handler}})
		login, err := p.Mint(t.Context(), c)
		if err != nil {
			checkFailure(t, err)
			return
		}
		password := login.Password.Reveal()
		if password == "" || strings.ContainsAny(password, " \r\n\x00") || login.ExpiresAt.IsZero() || status > 299 {
			t.Fatalf("status %d and %q become the login %q until %s", status, body, password, login.ExpiresAt)
		}
	})
}

func checkFailure(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*regcred.Error](err)
	if !ok || len(e.Message) > 2000 || strings.Contains(e.Message, "canary-4711") {
		t.Fatalf("the error is %v", err)
	}
	switch e.Code {
	case regcred.Denied, regcred.Unavailable:
	case regcred.Throttled:
		if e.RetryAfter > time.Hour {
			t.Fatalf("it asks to wait %s", e.RetryAfter)
		}
	default:
		t.Fatalf("the error is %s: %v", e.Code, err)
	}
}

// FuzzDiscovery lets an issuer name anything as its token endpoint: the client's
// secret goes nowhere but over TLS.
func FuzzDiscovery(f *testing.F) {
	f.Add(`{"issuer":"` + issuer + `","token_endpoint":"https://sts.example.com/token"}`)
	f.Fuzz(func(t *testing.T, body string) {
		transport := roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodGet {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
			}
			if req.URL.Scheme != "https" || req.URL.Host == "" || req.URL.User != nil {
				t.Errorf("the secret is sent to %s", (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}))
			}
			return nil, errors.New("unreachable")
		})
		c := credential(t, "registry.example.com", byIssuer("username=u", "exchange=none")...)
		if _, err := oidc.New(oidc.Options{Transport: transport}).Mint(t.Context(), c); regcred.CodeOf(err) != regcred.Unavailable {
			t.Fatalf("the error is %s: %v", regcred.CodeOf(err), err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

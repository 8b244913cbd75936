package github_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/github"
	"regcred.dev/regcredtest"
)

// FuzzAnswer answers a mint with anything. Beside these seeds the corpora are
// under testdata/fuzz.
func FuzzAnswer(f *testing.F) {
	f.Add(201, "", "", `{"token":"ghs_1","expires_at":"2099-01-01T00:00:00Z"}`)
	f.Add(403, "0", "4102444800", `{"message":"API rate limit exceeded"}`)
	f.Fuzz(func(t *testing.T, status int, remaining, reset, body string) {
		if status < 200 || status > 599 {
			return // no status that an answer may have
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ratelimit-Remaining", remaining)
			w.Header().Set("X-Ratelimit-Reset", reset)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
		p := github.New(github.Options{Transport: regcredtest.HandlerTransport{api: handler}})
		login, err := p.Mint(t.Context(), credential(t))
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
	if !ok || len(e.Message) > 2000 {
		t.Fatalf("the error is %v", err)
	}
	switch e.Code {
	case regcred.Denied, regcred.Unavailable:
	case regcred.Throttled:
		if e.RetryAfter <= 0 || e.RetryAfter > time.Hour {
			t.Fatalf("it asks to wait %s", e.RetryAfter)
		}
	default:
		t.Fatalf("the error is %s: %v", e.Code, err)
	}
}

// FuzzKey checks private keys that are anything.
func FuzzKey(f *testing.F) {
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := github.New(github.Options{}).Check(withKey(credential(t), text))
		if err != nil && (regcred.CodeOf(err) != regcred.Invalid || len(err.Error()) > 500) {
			t.Fatalf("%s: %v", regcred.CodeOf(err), err)
		}
	})
}

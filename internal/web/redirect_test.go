package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// redirector answers requests to issuer.example with a redirect, and notes what
// arrives anywhere else.
type redirector struct {
	status  int
	to      string
	arrived string
}

func (r *redirector) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
	if req.URL.String() == issuer {
		resp.StatusCode = r.status
		resp.Header.Set("Location", r.to)
		return resp, nil
	}
	body := ""
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(raw)
	}
	r.arrived = fmt.Sprint(req.Header, body)
	return resp, nil
}

const issuer = "https://issuer.example/token"

// TestRedirects shows that nothing leaves its origin, and that net/http by itself
// would have let it go: Authorization and cookies to another scheme or port of the
// same host and to its subdomains, forms to anybody (307, 308).
func TestRedirects(t *testing.T) {
	targets := []struct {
		what, to string
		header   bool // net/http sends the headers on
	}{
		{"scheme", "http://issuer.example/token", true},
		{"port", "https://issuer.example:8443/token", true},
		{"subdomain", "https://evil.issuer.example/token", true},
		{"host", "https://evil.example/token", false},
		{"look-alike", "https://issuer.example.evil.example/token", false},
		{"path", "https://issuer.example/elsewhere", true},
		{"no scheme", "//evil.example/", false},
		{"metadata", "http://169.254.169.254/", false},
	}
	for _, target := range targets {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprintf("%s/%d", target.what, status), func(t *testing.T) {
				byDefault := &redirector{status: status, to: target.to}
				resp, err := (&http.Client{Transport: byDefault}).Do(form(t))
				if err != nil || byDefault.arrived == "" {
					t.Fatalf("net/http itself: %v, %q arrived", err, byDefault.arrived)
				}
				resp.Body.Close()
				for secret, leaks := range map[string]bool{
					"canary-authorization": target.header, "canary-cookie": target.header, "canary-form": status >= 307,
				} {
					if strings.Contains(byDefault.arrived, secret) != leaks {
						t.Errorf("net/http itself: %s arrives: %t", secret, !leaks)
					}
				}

				ours := &redirector{status: status, to: target.to}
				answer, err := web.New(web.Options{Transport: ours}).Do(form(t))
				if err != nil || answer.Status != status || ours.arrived != "" {
					t.Errorf("status %d, %v; %q arrived", answer.Status, err, ours.arrived)
				}
				checkError(t, answer.Err(""), regcred.Unavailable, "which is not followed")
			})
		}
	}
}

// form is a POST with all that could leak.
func form(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer, strings.NewReader("access_token=canary-form"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer canary-authorization")
	req.AddCookie(&http.Cookie{Name: "session", Value: "canary-cookie"})
	return req
}

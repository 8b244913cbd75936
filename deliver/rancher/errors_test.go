package rancher_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/rancher"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecattle"
)

// noSecrets checks that a text holds neither the API key's secret nor the login.
func noSecrets(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range []string{secretKey, token, base64.StdEncoding.EncodeToString([]byte("access:" + secretKey))} {
		if leaks := regcredtest.Leaks([]byte(text), secret); len(leaks) > 0 {
			t.Errorf("%s has a secret (%v): %s", what, leaks, text)
		}
	}
}

func sync(t *testing.T, tg *rancher.Target) error {
	t.Helper()
	_, err := tg.Sync(t.Context(), book(1, ecrHost), deliver.SyncOptions{})
	if err != nil {
		noSecrets(t, "the error", err.Error())
	}
	return err
}

func TestRefusals(t *testing.T) {
	keys := map[string]fakecattle.Key{
		"access":  {Secret: secretKey, Environment: "1a5"},
		"account": {Secret: secretKey},
		"reader":  {Secret: secretKey, Environment: "1a5", Role: fakecattle.ReadOnly},
	}
	for _, test := range []struct {
		name, key, path string
		code            regcred.Code
		want            string
	}{
		{"an account's key at an environment", "account", "/v1/projects/1a5", regcred.Internal, ""},
		{"an environment's key at the root", "access", "/", regcred.Internal, ""},
		{"a slash too many", "access", "/v1/projects/1a5/", regcred.Internal, ""},
		{"an unknown key", "stranger", "/v1", regcred.Denied, "does not know the API key, or the key is not active (status 401)"},
		{"a reader", "reader", "/v1", regcred.Denied, "the API key may not update registry credentials in environment 1a5 at " + host},
		{"an account's URL", "account", "/v2-beta", regcred.Denied, "it is an account's key, and the URL names no environment"},
		{"another environment", "access", "/v1/projects/1a7", regcred.Denied, "of another environment than the URL names"},
		{"no such environment", "account", "/v1/projects/1a9", regcred.Invalid, "no such environment"},
		{"no such API", "access", "/api", regcred.Invalid, "there is no API of Rancher 1.x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := fakecattle.New(fakecattle.Options{Keys: keys, Environments: []string{"1a5", "1a7"}})
			fake.AddCredential("1a5", fake.AddRegistry("1a5", ecrHost), "AWS", "old")
			err := sync(t, target(fake, test.path, func(o *rancher.Options) { o.AccessKey = test.key }))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				wantState(t, fake, "1c1 "+ecrHost+" AWS:"+token+" active")
				return
			}
			if regcred.CodeOf(err) != test.code || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v (%s), want %q (%s)", err, regcred.CodeOf(err), test.want, test.code)
			}
			wantState(t, fake, "1c1 "+ecrHost+" AWS:old active")
		})
	}
}

// TestOutages: what does not answer, or answers nonsense, is Unavailable, changes
// nothing, and is forgotten once it is over.
func TestOutages(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*fakecattle.Server)
		code regcred.Code
		want string
	}{
		{"503", func(f *fakecattle.Server) { f.Break(503) }, regcred.Unavailable, "status 503"},
		{"throttled", func(f *fakecattle.Server) { f.Set(fakecattle.Quirks{Throttle: -1, RetryAfter: time.Minute}) }, regcred.Throttled, "less often"},
		{"a page", func(f *fakecattle.Server) { f.Set(fakecattle.Quirks{Garbage: fakecattle.HTML}) }, regcred.Unavailable, "no JSON"},
		{"cut", func(f *fakecattle.Server) { f.Set(fakecattle.Quirks{Garbage: fakecattle.Cut}) }, regcred.Unavailable, "no JSON"},
		{"void", func(f *fakecattle.Server) { f.Set(fakecattle.Quirks{Garbage: fakecattle.Void}) }, regcred.Unavailable, "no JSON"},
		{"redirect", func(f *fakecattle.Server) { f.Set(fakecattle.Quirks{Redirect: "https://evil.example.com/"}) }, regcred.Unavailable, "redirects"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newCattle(fakecattle.Options{})
			fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
			tg := target(fake, "/v1", func(o *rancher.Options) { o.AutoCreate = true })
			test.set(fake)
			if err := sync(t, tg); regcred.CodeOf(err) != test.code || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v (%s), want %q", err, regcred.CodeOf(err), test.want)
			}
			wantState(t, fake, "1c1 "+ecrHost+" AWS:old active")
			fake.Break(0)
			fake.Set(fakecattle.Quirks{})
			if err := sync(t, tg); err != nil {
				t.Error(err)
			}
			wantState(t, fake, "1c1 "+ecrHost+" AWS:"+token+" active")
		})
	}
}

// TestEmptyAnswers: an answer of another kind is no empty environment.
func TestEmptyAnswers(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "egistr") {
			_, _ = io.WriteString(w, "{}")
			return
		}
		fake.ServeHTTP(w, r)
	})
	err := sync(t, target(empty, "/v1", func(o *rancher.Options) { o.AutoCreate = true }))
	if regcred.CodeOf(err) != regcred.Unavailable || len(fake.Registries(environment)) > 0 {
		t.Errorf("%v, %v", err, fake.Registries(environment))
	}
}

// TestOneFails: a credential that Rancher is busy with keeps no other from its login.
func TestOneFails(t *testing.T) {
	fake := newCattle(fakecattle.Options{Settle: time.Hour})
	busy := fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	fake.Change(busy, map[string]string{"state": "registering"})
	fake.AddCredential(environment, fake.AddRegistry(environment, "b.example.com"), "AWS", "old")
	stuck := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, busy) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"type":"error","status":409,"code":"Conflict"}`)
			return
		}
		fake.ServeHTTP(w, r)
	})
	report, err := target(stuck, "/v1", nil).Sync(t.Context(), book(1, ecrHost, "b.example.com"), deliver.SyncOptions{})
	if regcred.CodeOf(err) != regcred.Unavailable || err == nil || !strings.Contains(err.Error(), ecrHost+": ") || report.Changed != 1 || report.Delivered != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestLinksElsewhere: links name another host, as behind a proxy. The API key goes to
// the operator's alone.
func TestLinksElsewhere(t *testing.T) {
	fake := newCattle(fakecattle.Options{Links: "https://rancher.internal"})
	fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	if err := sync(t, target(fake, "/v1", nil)); err != nil {
		t.Error(err)
	}
	wantState(t, fake, "1c1 "+ecrHost+" AWS:"+token+" active")
}

// TestSlow: an answer that does not come in time ends with the context.
func TestSlow(t *testing.T) {
	fake := newCattle(fakecattle.Options{Quirks: fakecattle.Quirks{Slow: time.Hour}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := target(fake, "/v1", nil).Sync(ctx, book(1, ecrHost), deliver.SyncOptions{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestTLS: a server whose certificate nobody vouches for is not given the API key,
// unless its authority is configured.
func TestTLS(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	server := httptest.NewUnstartedServer(fake)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are meant to
	server.StartTLS()
	defer server.Close()
	u, err := url.Parse(server.URL + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	at := func(roots *x509.CertPool) *rancher.Target {
		return target(nil, "", func(o *rancher.Options) { o.URL, o.Transport, o.RootCAs = u, nil, roots })
	}
	if err := sync(t, at(x509.NewCertPool())); regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its authority: %v", err)
	}
	if len(fake.Calls()) > 0 {
		t.Errorf("a server that is not trusted was asked: %v", fake.Calls())
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if err := sync(t, at(roots)); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	plain := *u
	plain.Scheme = "http"
	err = sync(t, target(nil, "", func(o *rancher.Options) { o.URL, o.Transport = &plain, nil }))
	if err == nil {
		t.Error("http to a server that speaks TLS worked")
	}
}

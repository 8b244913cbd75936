package server_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"regcred.dev/config"
	"regcred.dev/regcredtest/fakecluster"
)

// issuerFailures are ways in which an issuer fails to answer one question; good is the
// answer that it should have given.
var issuerFailures = map[string]func(w http.ResponseWriter, r *http.Request, good http.Handler){
	"429": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	},
	"500": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusInternalServerError)
	},
	"500 with the answer": func(w http.ResponseWriter, r *http.Request, good http.Handler) {
		w.WriteHeader(http.StatusInternalServerError)
		good.ServeHTTP(w, r)
	},
	"hangs": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
	"slow": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drip(w, r, []byte(" "), time.Second)
	},
	"huge": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drip(w, r, []byte(strings.Repeat(" ", 1<<20)), 0)
	},
	"a page": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body>Log in first</body></html>"))
	},
	"half": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"issuer": "`))
	},
	"redirects": func(w http.ResponseWriter, r *http.Request, good http.Handler) {
		if r.URL.Query().Has("again") {
			good.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, r.URL.Path+"?again", http.StatusTemporaryRedirect)
	},
	"breaks off": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
}

// drip answers without end, until its caller has gone.
func drip(w http.ResponseWriter, r *http.Request, part []byte, every time.Duration) {
	for r.Context().Err() == nil {
		_, _ = w.Write(part)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(every):
		}
	}
}

// failingIssuer is one that fails in one of the ways, at one of its paths.
type failingIssuer struct {
	*fakecluster.Server
	name    string
	reached chan struct{} // closed once it fails
}

func newFailingIssuer(t *testing.T, cfg *config.Config, name, at string) *failingIssuer {
	t.Helper()
	f := &failingIssuer{name: name + " at " + at, reached: make(chan struct{})}
	var once sync.Once
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fail := issuerFailures[name]; fail != nil && strings.HasSuffix(r.URL.Path, at) {
			once.Do(func() { close(f.reached) })
			fail(w, r, f.Server)
			return
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	f.Server = fakecluster.New(fakecluster.Options{Issuer: web.URL, ECDSA: true})
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	cfg.OIDC = append(cfg.OIDC, config.OIDC{Issuer: web.URL, Audience: "regcred", Roles: groupRules, RootCAs: roots})
	return f
}

// admin returns a token of the issuer for an admin.
func (f *failingIssuer) admin() string {
	now := time.Now()
	return f.Sign(map[string]any{
		"iss": f.Issuer(), "aud": "regcred", "sub": "4711", "groups": []string{"platform"}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, nil)
}

// TestIssuersThatFail: where an issuer cannot be asked for its keys its users may do nothing,
// and are told so in time; nobody else has to wait for it.
func TestIssuersThatFail(t *testing.T) {
	cfg := config.Default()
	good := newFailingIssuer(t, &cfg, "", "")
	var failing []*failingIssuer
	for name := range issuerFailures {
		for _, at := range []string{"/openid-configuration", fakecluster.JWKSPath} {
			failing = append(failing, newFailingIssuer(t, &cfg, name, at))
		}
	}
	r, _ := start(t, cfg)
	var all sync.WaitGroup
	for _, f := range failing {
		all.Go(func() {
			if problem := r.denied(f); problem != "" {
				t.Errorf("%s: %s", f.name, problem)
			}
		})
	}
	for _, f := range failing {
		<-f.reached
	}
	for who, token := range map[string]string{"an API token": r.adminToken(), "another issuer's": good.admin()} {
		if status, body := r.do(http.MethodGet, "/v3/registry_credentials", token, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", who, status, body)
		}
	}
	all.Wait()
	if list, err := r.local.Credentials(t.Context(), nil); err != nil || len(list) != 0 {
		t.Errorf("something is stored: %v, %v", list, err)
	}
}

// denied tries to store a credential as an admin of an issuer, and says what is wrong with
// the answer.
func (r *running) denied(f *failingIssuer) (problem string) {
	body := `{"location": "registry.example.com", "username": "u", "password": "p"}`
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/v3/registry_credentials", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+f.admin())
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		return fmt.Sprintf("status %d", resp.StatusCode)
	}
	return ""
}

package azure_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/azure"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeazure"
)

// TestHosts checks which registries a token may go to: those of Azure, and no other
// that looks like one.
func TestHosts(t *testing.T) {
	p := azure.New(azure.Options{})
	for _, host := range []string{
		"acme.azurecr.io", "acme.azurecr.cn", "acme.azurecr.us", "acme.azurecr.de", "ACME.AzureCR.io",
		"acme.azurecr.io:443", "acme.azurecr.io/team/app", "acme-a1b2c3d4e5f6g7h8.azurecr.io",
	} {
		if err := p.Check(credential("location", host)); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{
		"x.azurecr.io.evil", "azurecr.io.evil.com", "evilazurecr.io", "acme.evilazurecr.io", "acme.azurecr.io.evil.com",
		"acme.azurecr.com", "acme.azurecr.ioo", "acme.azurecr-io.com", "acmeazurecr.io", "acme.azurecr.io:8443", "acme.azurecr.io:80",
		"evil.acme.azurecr.io", "acme.eastus.data.azurecr.io", "acme.eastus.geo.azurecr.io", "-acme.azurecr.io", "acme-.azurecr.io",
		"azurecr.io", "127.0.0.1:5000", "localhost:5000", "169.254.169.254", "docker.io",
	} {
		loc, err := imageref.ParseLocation(host)
		if err != nil {
			continue // no credential can have it
		}
		c := credential()
		c.Location = loc
		err = p.Check(c)
		if err == nil || !strings.Contains(err.Error(), "--set host="+loc.Host()) {
			t.Errorf("%s: %v, want it refused and what to do", host, err)
		}
		s := &script{}
		if _, err := azure.New(azure.Options{Transport: s}).Mint(t.Context(), c); err == nil || len(s.sent) > 0 {
			t.Errorf("%s: %v after %d requests, want none", host, err, len(s.sent))
		}
		c.Location, c.Settings["host"] = location("acme.azurecr.io"), loc.Host()
		if err := p.Check(c); err != nil && loc.Host() != "azurecr.io" {
			t.Errorf("%s, named by an admin: %v", host, err)
		}
	}
	for _, host := range []string{"acme.azurecr.io.", "acme.azurecr.io%2e", "acme.azurecr.io@evil.com", "acme.azurecr.io\n", "acme.azurecr.io#"} {
		if loc, err := imageref.ParseLocation(host); err == nil {
			t.Errorf("%q is read as %s", host, loc)
		}
	}
}

// TestNamedHost: a registry that an admin named gets the token, and the login.
func TestNamedHost(t *testing.T) {
	const host = "registry.corp.example:8443"
	o := options()
	o.Registries = []string{host}
	s := fakeazure.New(o)
	p := azure.New(azure.Options{Transport: regcredtest.HandlerTransport{fakeazure.Authority: s, host: s}})
	l, err := p.Mint(t.Context(), credential("location", host, "host", "other.corp.example, "+host))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Hosts, []string{host}) {
		t.Errorf("the login is for %q", l.Hosts)
	}
}

// TestRedirects: nobody who is asked can send a token or secret on to another host,
// whatever the redirect.
func TestRedirects(t *testing.T) {
	noIdentity(t)
	evil := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was sent to %s", r.Method, r.URL.Path, r.Host)
	})
	for _, to := range []string{"https://evil.example/", "https://sub.acme.azurecr.io/", "http://acme.azurecr.io/", "https://acme.azurecr.io:8443/"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			redirect := http.RedirectHandler(to, status)
			for from, c := range map[string]regcred.Credential{
				fakeazure.Authority: credential(), fakeazure.Metadata: ambient(), fakeazure.Registry: credential(),
			} {
				s := fakeazure.New(options())
				hosts := regcredtest.HandlerTransport{
					fakeazure.Authority: s, fakeazure.Metadata: s, fakeazure.Registry: s,
					"evil.example": evil, "sub.acme.azurecr.io": evil, "acme.azurecr.io:8443": evil,
				}
				hosts[from] = redirect
				_, err := azure.New(azure.Options{Transport: hosts}).Mint(t.Context(), c)
				wantError(t, err, regcred.Unavailable, from+" redirects", secret)
			}
		}
	}
}

// TestTLS: who signs their own certificate is not asked, unless an admin named them
// and their authority.
func TestTLS(t *testing.T) {
	noIdentity(t)
	var s *fakeazure.Server
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, r) })
	entra, registry := newTLSServer(t, serve), newTLSServer(t, serve)
	o := options()
	o.Authority, o.Registries = entra.Listener.Addr().String(), []string{registry.Listener.Addr().String()}
	s = fakeazure.New(o)
	_, other := principal()
	c := credential("endpoint", entra.URL, "host", o.Registries[0], "location", o.Registries[0])
	p := azure.New(azure.Options{})

	for _, c := range []regcred.Credential{c, with(c, "ca", pemOf(other))} {
		_, err := p.Mint(t.Context(), c)
		wantError(t, err, regcred.Unavailable, "certificate", secret)
	}
	if n := s.Calls()["token"]; n != 0 {
		t.Errorf("%d requests reached it", n)
	}
	l, err := p.Mint(t.Context(), with(c, "ca", pemOf(entra.Certificate())))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Hosts, o.Registries) {
		t.Errorf("the login is for %q", l.Hosts)
	}
}

// TestLinkLocal: what is the machine's own is asked for its identity alone.
func TestLinkLocal(t *testing.T) {
	noIdentity(t)
	const refused = "which is not asked"
	p := azure.New(azure.Options{})
	_, err := p.Mint(t.Context(), credential("endpoint", "https://169.254.169.254"))
	wantError(t, err, regcred.Unavailable, refused, secret)

	t.Setenv("IDENTITY_ENDPOINT", "http://169.254.255.254:9/msi/token") // where nobody is
	t.Setenv("IDENTITY_HEADER", "canary-4711-header")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = p.Mint(ctx, ambient())
	if err == nil || strings.Contains(err.Error(), refused) {
		t.Errorf("the managed identity is not asked for: %v", err)
	}
}

// newTLSServer starts a server whose certificate no system trusts.
func newTLSServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail, as they should
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func pemOf(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

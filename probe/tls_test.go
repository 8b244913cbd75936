package probe_test

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/probe"
)

// TestTLS asks real servers: a registry and its token service, both with
// certificates of their own.
func TestTLS(t *testing.T) {
	tokens := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != password {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte(`{"token":"canary-token"}`))
	}))
	defer tokens.Close()
	registry := httptest.NewUnstartedServer(asksFor(tokens.URL + "/token"))
	registry.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail
	registry.StartTLS()
	defer registry.Close()
	host := strings.TrimPrefix(registry.URL, "https://")
	l := regcred.Login{Username: user, Password: regcred.NewSecret(password)}
	trusted := x509.NewCertPool()
	trusted.AddCert(registry.Certificate())

	report, err := probe.New(probe.Options{}).Probe(t.Context(), host, l, "")
	checkSilent(t, report, err)
	checkError(t, err, regcred.Unavailable, "whom this server does not trust")
	if len(report.Steps) != 1 {
		t.Errorf("steps %q", report.Steps)
	}

	report, err = probe.New(probe.Options{RootCAs: trusted}).Probe(t.Context(), host, l, "")
	checkSilent(t, report, err)
	if err != nil || !report.Accepted {
		t.Errorf("report %+v, %v", report, err)
	}
	wrong := regcred.Login{Username: user, Password: regcred.NewSecret("canary-wrong")}
	_, err = probe.New(probe.Options{RootCAs: trusted}).Probe(t.Context(), host, wrong, "")
	checkError(t, err, regcred.Denied, "refuses the login")
}

// TestPlainHTTP shows who may be asked without TLS: this machine, and nobody else
// unless Options say so. A realm over http is for those alone too.
func TestPlainHTTP(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"token":"canary-token"}`))
	}))
	defer tokens.Close()
	registry := httptest.NewServer(asksFor(tokens.URL + "/token"))
	defer registry.Close()
	host := strings.TrimPrefix(registry.URL, "http://")
	l := regcred.Login{Username: user, Password: regcred.NewSecret(password)}

	report, err := probe.New(probe.Options{}).Probe(t.Context(), host, l, "")
	checkSilent(t, report, err)
	if err != nil || !report.Accepted || len(report.Steps) != 4 {
		t.Errorf("report %+v, %v", report, err)
	}
	_, err = probe.New(probe.Options{PlainHTTP: func(string) bool { return false }}).Probe(t.Context(), host, l, "")
	checkError(t, err, regcred.Unavailable, "does not speak TLS")
	_, err = probe.New(probe.Options{PlainHTTP: func(h string) bool { return h == host }}).Probe(t.Context(), host, l, "")
	checkError(t, err, regcred.Unavailable, "its URL does not begin with https://")
}

// TestUnreachable has what is said of hosts at which nobody answers.
func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	l := regcred.Login{Username: user, Password: regcred.NewSecret(password)}
	for host, want := range map[string]string{
		strings.TrimPrefix(gone.URL, "http://"): "connection refused",
		"169.254.169.254":                       "internal network",
		"0x7f.1":                                "some would read it as an address",
	} {
		report, err := probe.New(probe.Options{}).Probe(t.Context(), host, l, "")
		checkSilent(t, report, err)
		checkError(t, err, regcred.Unavailable, want)
	}
}

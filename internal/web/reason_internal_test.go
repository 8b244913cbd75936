package web

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"regcred.dev"
)

// TestWords explains errors of net/http, as they are nested there.
func TestWords(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	errno := func(n syscall.Errno) error { return os.NewSyscallError("connect", n) }
	untrusted := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	noon := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
	certificate := &x509.Certificate{NotBefore: noon, NotAfter: noon.AddDate(0, 3, 0)}
	long := &x509.Certificate{Issuer: pkix.Name{CommonName: strings.Repeat("x\x1b", 500)}}

	tests := []struct {
		err  error
		want string
	}{
		{dial(&net.DNSError{IsNotFound: true}), "its name does not resolve: check its spelling, or this server's DNS"},
		{dial(&net.DNSError{IsTemporary: true}), "its name cannot be resolved now: this server's DNS does not answer"},
		{dial(&net.DNSError{IsTimeout: true}), "its name cannot be resolved now: this server's DNS does not answer"},
		{dial(errno(syscall.ECONNREFUSED)), "nothing listens there (connection refused): check the port"},
		{dial(errno(syscall.EHOSTUNREACH)), "no connection: no route to host"},
		{dial(errno(syscall.ETIMEDOUT)), "it does not answer in time"},
		{dial(os.ErrDeadlineExceeded), "it does not answer in time"},
		{dial(errors.New("canary")), "no connection"},
		{dial(regcred.Errorf(regcred.Unavailable, "refused here")), "refused here"},
		{&net.OpError{Op: "proxyconnect", Err: dial(errno(syscall.ECONNREFUSED))}, "the proxy on the way to it cannot be reached"},
		{&net.OpError{Op: "read", Err: errno(syscall.ECONNRESET)}, "it ends the connection before its answer is complete"},
		{&net.OpError{Op: "write", Err: errno(syscall.EPIPE)}, "it ends the connection before its answer is complete"},
		{io.ErrUnexpectedEOF, "it ends the connection before its answer is complete"},
		{untrusted(x509.UnknownAuthorityError{}), "its certificate is issued, whom this server does not trust"},
		{untrusted(x509.UnknownAuthorityError{Cert: long}), `its certificate is issued by "CN=` + strings.Repeat(`x\x1b`, 98) + `x..."`},
		{untrusted(x509.HostnameError{Certificate: certificate, Host: "a.example"}), `its certificate is for no host, not for "a.example"`},
		{untrusted(x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired}), "its certificate is valid from 2026-02-28 12:00 to 2026-05-28 12:00 UTC only: one of the clocks may be off"},
		{untrusted(x509.CertificateInvalidError{Cert: certificate, Reason: x509.NotAuthorizedToSign}), "its certificate is not valid"},
		{untrusted(errors.New("canary")), "its certificate is not trusted"},
		{tls.RecordHeaderError{Msg: "canary"}, "it does not speak TLS there: http where https is asked for, or another port"},
		{http.ErrSchemeMismatch, "it does not speak TLS there: http where https is asked for, or another port"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, `it refuses the TLS handshake: "tls: handshake failure"`},
		{errors.New("tls: server selected unsupported protocol version 301"), `no TLS connection: "server selected unsupported protocol version 301"`},
		{errors.New("malformed HTTP response \"tls: canary\""), "what answers there is no HTTP server, or a proxy on the way refuses"},
		{errors.New("canary"), "what answers there is no HTTP server, or a proxy on the way refuses"},
	}
	for _, test := range tests {
		got := words(test.err)
		if !strings.HasPrefix(got, test.want) || len(got) > len(test.want)+50 {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
		if strings.Contains(got, "canary") || strings.Contains(got, "\x1b") {
			t.Errorf("%q", got)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://canary:canary@a.example/canary?canary", nil)
		err := Unreachable(req, &url.Error{Op: "Get", URL: req.URL.String(), Err: test.err})
		if want := "a.example cannot be reached: " + got; err.Error() != want || regcred.CodeOf(err) != regcred.Unavailable || !errors.Is(err, test.err) {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

func TestPortOf(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy.example": "80", "https://proxy.example": "443", "socks5://proxy.example": "1080",
		"socks5h://proxy.example": "1080", "http://proxy.example:3128": "3128", "https://[::1]:1": "1",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := portOf(u); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

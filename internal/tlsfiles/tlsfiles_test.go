package tlsfiles_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/internal/tlsfiles"
)

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issued is a certificate with its key, both in PEM form.
type issued struct{ certificate, key []byte }

func (i issued) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(i.certificate, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for names, which ends after a time.
func (a authority) issue(t *testing.T, lifetime time.Duration, names ...string) issued {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(lifetime),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// place is a directory of files.
type place struct {
	t   *testing.T
	dir string
}

// write replaces a file at once, as who renews certificates should.
func (p place) write(name string, content []byte) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p place) pair(name string, i issued) tlsfiles.Pair {
	return tlsfiles.Pair{Certificate: p.write(name+".crt", i.certificate), Key: p.write(name+".key", i.key)}
}

// serve serves the options' configuration, and returns the address.
func serve(t *testing.T, o tlsfiles.Options) string {
	t.Helper()
	config, err := tlsfiles.Config(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// get sends a request in a connection of its own, and returns the server's certificate.
func get(addr string, config *tls.Config) (*x509.Certificate, error) {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "https://"+addr, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && string(body) != "HTTP/2.0" {
		err = errors.New("the protocol is " + string(body))
	}
	return resp.TLS.PeerCertificates[0], err
}

// until tries until it succeeds, for 10 seconds at most.
func until(t *testing.T, what string, try func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !try(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // polling over real sockets and files
	}
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// TestNames gives each client the certificate for the name that it asks for.
func TestNames(t *testing.T) {
	ca, files := newAuthority(t, "ca"), place{t, t.TempDir()}
	addr := serve(t, tlsfiles.Options{Certificates: []tlsfiles.Pair{
		files.pair("a", ca.issue(t, time.Hour, "a.example.com")),
		files.pair("b", ca.issue(t, time.Hour, "b.example.com", "*.b.example.com")),
	}})
	for name, want := range map[string]string{
		"a.example.com": "a.example.com", "b.example.com": "b.example.com", "x.b.example.com": "b.example.com",
	} {
		got, err := get(addr, &tls.Config{RootCAs: ca.pool(), ServerName: name})
		if err != nil || got.Subject.CommonName != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := get(addr, &tls.Config{RootCAs: ca.pool(), ServerName: "c.example.com"}); err == nil || !strings.Contains(err.Error(), "valid for a.example.com") {
		t.Errorf("another name: %v", err)
	}
	if _, err := get(addr, &tls.Config{ServerName: "a.example.com"}); err == nil {
		t.Error("a client that does not trust the authority went on")
	}
	if _, err := get(addr, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example.com", MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}

// TestReload takes a certificate that was renewed, file by file, and keeps the last
// good one while the new one is no good.
func TestReload(t *testing.T) {
	ca, files, said := newAuthority(t, "ca"), place{t, t.TempDir()}, new(log)
	addr := serve(t, tlsfiles.Options{
		Certificates: []tlsfiles.Pair{files.pair("a", ca.issue(t, time.Hour, "a.example.com", "old"))},
		Log:          slog.New(slog.NewTextHandler(said, nil)),
	})
	served := func() string {
		got, err := get(addr, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		return got.DNSNames[1]
	}
	wantOld := func(what string, problems int) {
		t.Helper()
		until(t, what, func() bool {
			if served() != "old" {
				t.Fatalf("%s: the new certificate is served", what)
			}
			return said.count("cannot be used") == problems
		})
	}
	renewed := ca.issue(t, time.Hour, "a.example.com", "new")
	files.write("a.crt", renewed.certificate)
	wantOld("a certificate without its key", 1)
	files.write("a.crt", renewed.certificate[:len(renewed.certificate)/2])
	wantOld("half a certificate", 2)
	if err := os.Remove(filepath.Join(files.dir, "a.crt")); err != nil {
		t.Fatal(err)
	}
	wantOld("no certificate", 3)
	files.pair("a", renewed)
	until(t, "the new certificate", func() bool { return served() == "new" })
	if said.count("are in use") != 1 || said.count("cannot be used") != 3 || said.count("PRIVATE") != 0 {
		t.Errorf("it logged: %s", said.text.String())
	}
}

// TestClientCertificates holds who gets in: by default whoever sends none, or a good
// one; where one is required, nobody without; and where somebody else verifies them,
// anybody, but as nobody who was verified.
func TestClientCertificates(t *testing.T) {
	ca, clients, strangers := newAuthority(t, "ca"), newAuthority(t, "clients"), newAuthority(t, "clients")
	files := place{t, t.TempDir()}
	sent := map[string][]tls.Certificate{
		"none":     nil,
		"good":     {clients.issue(t, time.Hour, "c").pair(t)},
		"expired":  {clients.issue(t, -time.Hour, "c").pair(t)},
		"stranger": {strangers.issue(t, time.Hour, "c").pair(t)},
	}
	authority := files.write("clients.pem", clients.pem())
	for name, test := range map[string]struct {
		options tlsfiles.Options
		in      string
	}{
		"of an authority":                 {tlsfiles.Options{ClientCA: authority}, "none good"},
		"required":                        {tlsfiles.Options{ClientCA: authority, RequireClient: true}, "good"},
		"for somebody else":               {tlsfiles.Options{RequestClient: true}, "none good expired stranger"},
		"for somebody else too":           {tlsfiles.Options{ClientCA: authority, RequestClient: true}, "none good expired stranger"},
		"required, for somebody else too": {tlsfiles.Options{ClientCA: authority, RequestClient: true, RequireClient: true}, "good"},
	} {
		test.options.Certificates = []tlsfiles.Pair{files.pair("a", ca.issue(t, time.Hour, "a.example.com"))}
		addr := serve(t, test.options)
		for what, certificates := range sent {
			// It sends its certificate even where the server does not name its authority.
			send := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(certificates) == 0 {
					return new(tls.Certificate), nil
				}
				return &certificates[0], nil
			}
			_, err := get(addr, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example.com", GetClientCertificate: send})
			if want := slices.Contains(strings.Fields(test.in), what); (err == nil) != want {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		// Like most clients, these send only what the server asks for.
		if test.options.RequestClient && !test.options.RequireClient {
			_, err := get(addr, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example.com", Certificates: sent["stranger"]})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestAuthorityReplaced: a client whose authority is gone does not get in by the
// session that it had (CVE-2025-68121 was of that kind).
func TestAuthorityReplaced(t *testing.T) {
	ca, before, after := newAuthority(t, "ca"), newAuthority(t, "before"), newAuthority(t, "after")
	files := place{t, t.TempDir()}
	addr := serve(t, tlsfiles.Options{
		Certificates: []tlsfiles.Pair{files.pair("a", ca.issue(t, time.Hour, "a.example.com"))},
		ClientCA:     files.write("clients.pem", before.pem()), RequireClient: true,
	})
	client := func(a authority) *tls.Config {
		return &tls.Config{
			RootCAs: ca.pool(), ServerName: "a.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(8),
			Certificates: []tls.Certificate{a.issue(t, time.Hour, "c").pair(t)},
		}
	}
	old := client(before)
	if _, err := get(addr, old); err != nil {
		t.Fatal(err)
	}
	files.write("clients.pem", after.pem())
	until(t, "the new authority", func() bool { _, err := get(addr, client(after)); return err == nil })
	if _, err := get(addr, old); err == nil {
		t.Error("a session from before was resumed")
	}
}

func TestRefused(t *testing.T) {
	ca, files := newAuthority(t, "ca"), place{t, t.TempDir()}
	good := files.pair("a", ca.issue(t, time.Hour, "a"))
	other := files.pair("b", ca.issue(t, time.Hour, "b"))
	text := files.write("text", []byte("text"))
	for name, test := range map[string]struct {
		options tlsfiles.Options
		want    string
	}{
		"nothing":            {tlsfiles.Options{}, "needs a certificate"},
		"no authority":       {tlsfiles.Options{Certificates: []tlsfiles.Pair{good}, RequireClient: true}, "authorities of clients"},
		"another's key":      {tlsfiles.Options{Certificates: []tlsfiles.Pair{good, {Certificate: good.Certificate, Key: other.Key}}}, "b.key"},
		"no file":            {tlsfiles.Options{Certificates: []tlsfiles.Pair{{Certificate: good.Certificate, Key: "/nowhere"}}}, "/nowhere"},
		"no certificate":     {tlsfiles.Options{Certificates: []tlsfiles.Pair{{Certificate: text, Key: good.Key}}}, "certificate " + text},
		"no authority in it": {tlsfiles.Options{Certificates: []tlsfiles.Pair{good}, ClientCA: text}, text + " has no certificate"},
	} {
		_, err := tlsfiles.Config(test.options)
		if regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlainHTTP: who speaks plain HTTP gets no answer of the handler.
func TestPlainHTTP(t *testing.T) {
	ca, files := newAuthority(t, "ca"), place{t, t.TempDir()}
	addr := serve(t, tlsfiles.Options{Certificates: []tlsfiles.Pair{files.pair("a", ca.issue(t, time.Hour, "a"))}})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") {
		t.Errorf("%q, %v", answer, err)
	}
}

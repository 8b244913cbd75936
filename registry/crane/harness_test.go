package crane_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"regcred.dev/registry/crane"
)

// The metadata of most tests, by file.
var metadata = map[string]string{
	"small.json": `{"type":"pulp-docker-redirect","version":1,"repository":"acme-small","repo-registry-id":"acme/small",
		"url":"https://files.test/v1/small","protected":false,"images":[{"id":"b1"},{"id":"a0"}],"tags":{"latest":"b1","old":"a0"}}`,
	"plain.json": `{"version":1,"repository":"plain","repo-registry-id":"plain",
		"url":"https://files.test/v1/plain/","images":[{"id":"c2"}],"tags":{"latest":"c2"}}`,
	"deep/secret.json": `{"version":1,"repository":"secret","repo-registry-id":"acme/secret",
		"url":"https://files.test/content/acme/secret/","protected":true,"images":[{"id":"d3"},{"id":"a0"}],"tags":{"latest":"d3"}}`,
	"two.json":   `{"version":2,"repository":"two","repo-registry-id":"acme/two","url":"https://files.test/v2/two","protected":false}`,
	"three.json": `{"version":3,"repository":"three","repo-registry-id":"acme/three","url":"https://files.test/v2/three/","schema2_data":["sha256:22","both"]}`,
	"four.json": `{"version":4,"repository":"four","repo-registry-id":"ns/four","url":"https://files.test/v2/four/","protected":false,
		"schema2_data":["sha256:22","image","listed"],"manifest_list_data":["sha256:11","listed","old"],
		"manifest_list_amd64_tags":{"listed":["sha256:aa",2],"old":["sha256:bb",1]}}`,
	"deep/er/hidden.json": `{"version":2,"repository":"hidden","repo-registry-id":"acme/hidden","url":"https://files.test/content/acme/hidden","protected":true}`,
}

// writeFiles writes files into a directory.
func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// openDirectory returns a directory of those files.
func openDirectory(t testing.TB, files map[string]string, o crane.DirectoryOptions) *crane.Directory {
	t.Helper()
	o.Path = t.TempDir()
	writeFiles(t, o.Path, files)
	d, err := crane.OpenDirectory(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newHandler(t testing.TB, o crane.Options) *crane.Handler {
	t.Helper()
	h, err := crane.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) location() string { return a.header.Get("Location") }

// ask sends a request to a handler. The header lines are "Name: value".
func ask(t testing.TB, h http.Handler, method, target string, header ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	r.Host = "registry.test:5000"
	return send(r, h, header)
}

func send(r *http.Request, h http.Handler, header []string) answer {
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	body, _ := io.ReadAll(resp.Body) // of memory
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// askWith sends a request that comes with client certificates.
func askWith(t testing.TB, h http.Handler, target string, certificates ...*x509.Certificate) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: certificates}
	return send(r, h, nil)
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// newAuthority returns one that another issued, or itself.
func newAuthority(t testing.TB, issuer *authority) *authority {
	t.Helper()
	a := &authority{}
	a.certificate, a.key = issue(t, issuer, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// entitled issues a client's certificate with extensions.
func (a *authority) entitled(t testing.TB, change func(*x509.Certificate), extensions ...pkix.Extension) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, ExtraExtensions: extensions,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	certificate, _ := issue(t, a, template)
	return certificate
}

// issue makes a certificate that is valid for an hour, unless the template says
// otherwise.
func issue(t testing.TB, issuer *authority, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// extension is one below the arc of Red Hat's entitlements, whose value is a string
// of ASN.1 as Candlepin writes it.
func extension(t testing.TB, value any, id ...int) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	if s, ok := value.(string); ok {
		der, err = asn1.MarshalWithParams(s, "utf8")
	}
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 2312, 9}, id...), Value: der}
}

// version1 are the extensions of an entitlement of version 1.
func version1(t testing.TB, paths ...string) []pkix.Extension {
	t.Helper()
	list := []pkix.Extension{extension(t, "an order", 4, 1)}
	for i, p := range paths {
		list = append(list, extension(t, "yum", 2, 100+i, 1), extension(t, p, 2, 100+i, 1, 6))
	}
	return list
}

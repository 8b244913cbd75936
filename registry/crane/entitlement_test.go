package crane_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"regcred.dev/registry/crane"
)

// entitledPaths are those of an entitlement of version 3: /content/acme,
// /content/dist/extras and /content/dist/$releasever/os. They are written by the
// encoder of this package's tests, and rhsm's own reader reads them too.
const entitledPaths = "789c04c0510ac0300803d01c661713978fc1aa6042e9f1fbb2cb2ce3fd643cc39f216e0e5a885c048f27841b0000ffff28c10e1108676ec53a96b35da7a1a0"

// version3 are the extensions of an entitlement of version 3.
func version3(t testing.TB) []pkix.Extension {
	t.Helper()
	data, err := hex.DecodeString(entitledPaths)
	if err != nil {
		t.Fatal(err)
	}
	return []pkix.Extension{extension(t, "3.4", 6), extension(t, data, 7)}
}

// TestProtected asks for protected repositories with all kinds of certificates.
func TestProtected(t *testing.T) {
	root, stranger := newAuthority(t, nil), newAuthority(t, nil)
	between := newAuthority(t, root)
	h := newHandler(t, crane.Options{Directory: openDirectory(t, metadata, crane.DirectoryOptions{ClientCAs: root.pool()})})
	one := func(paths ...string) []pkix.Extension { return version1(t, paths...) }
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
	}
	early := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	}
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for _, test := range []struct {
		name         string
		certificates []*x509.Certificate
		ok           bool
	}{
		{"version 1", certs(root.entitled(t, nil, one("/content/acme")...)), true},
		{"version 1, whole path", certs(root.entitled(t, nil, one("/other", "/content/acme/hidden", "/content/acme/secret")...)), true},
		{"version 1, variable", certs(root.entitled(t, nil, one("/content/$owner")...)), true},
		{"version 1, no leading slash", certs(root.entitled(t, nil, one("content/acme/")...)), true},
		{"version 3", certs(root.entitled(t, nil, version3(t)...)), true},
		{"through another authority", certs(between.entitled(t, nil, version3(t)...), between.certificate), true},

		{"none", nil, false},
		{"another's", certs(stranger.entitled(t, nil, version3(t)...)), false},
		{"another's, which sends the right authority", certs(stranger.entitled(t, nil, version3(t)...), root.certificate), false},
		{"a chain that is broken", certs(between.entitled(t, nil, version3(t)...)), false},
		{"expired", certs(root.entitled(t, expired, version3(t)...)), false},
		{"not valid yet", certs(root.entitled(t, early, version3(t)...)), false},
		{"a server's", certs(root.entitled(t, forServers, version3(t)...)), false},
		{"no entitlement", certs(root.entitled(t, nil)), false},
		{"part of a segment", certs(root.entitled(t, nil, one("/content/acm")...)), false},
		{"another path", certs(root.entitled(t, nil, one("/content/other")...)), false},
		{"below the path", certs(root.entitled(t, nil, one("/content/acme/secret/deeper", "/content/acme/hidden/deeper")...)), false},
		{"every path", certs(root.entitled(t, nil, one("/", "")...)), false},
		{"no order", certs(root.entitled(t, nil, one("/content/acme")[1:]...)), false},
		{"another version", certs(root.entitled(t, nil, append(one("/content/acme"), extension(t, "2.0", 6))...)), false},
		{"version 3 without paths", certs(root.entitled(t, nil, append(one("/content/acme"), extension(t, "3.0", 6))...)), false},
		{"version 3, garbage", certs(root.entitled(t, nil, extension(t, "3.0", 6), extension(t, []byte("garbage"), 7))), false},
		{"no string", certs(root.entitled(t, nil, extension(t, 3, 6), extension(t, "an order", 4, 1))), false},
		{"no ASN.1", certs(root.entitled(t, nil, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 2312, 9, 6}, Value: []byte("x")})), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for path, location := range map[string]string{
				"/v2/acme/hidden/tags/list":           "https://files.test/content/acme/hidden/tags/list",
				"/v1/images/d3/json":                  "https://files.test/content/acme/secret/d3/json",
				"/v1/repositories/acme/secret/tags":   "",
				"/v1/repositories/acme/secret/images": "",
			} {
				want := answer{status: http.StatusNotFound}
				switch {
				case test.ok && location == "":
					want.status = http.StatusOK
				case test.ok:
					want = answer{status: http.StatusFound, header: http.Header{"Location": {location}}}
				}
				got := askWith(t, h, path, test.certificates...)
				if got.status != want.status || got.location() != want.location() {
					t.Errorf("%s: %d %q", path, got.status, got.location())
				}
			}
			want := `{"query":"secret","num_results":0,"results":[]}`
			if test.ok {
				want = `{"query":"secret","num_results":1,"results":[` + result("acme/secret") + `]}`
			}
			if got := askWith(t, h, "/v1/search?q=secret", test.certificates...).body; got != want {
				t.Errorf("search: %s", got)
			}
			// An image of several repositories comes from one that is not protected.
			if got := askWith(t, h, "/v1/images/a0/json", test.certificates...).location(); got != "https://files.test/v1/small/a0/json" {
				t.Errorf("the image of several is at %q", got)
			}
		})
	}
}

func certs(list ...*x509.Certificate) []*x509.Certificate { return list }

// TestNoAuthority: without authorities nobody is entitled to anything.
func TestNoAuthority(t *testing.T) {
	h := newHandler(t, crane.Options{Directory: openDirectory(t, metadata, crane.DirectoryOptions{})})
	certificate := newAuthority(t, nil).entitled(t, nil, version3(t)...)
	if got := askWith(t, h, "/v2/acme/hidden/tags/list", certificate); got.status != http.StatusNotFound {
		t.Errorf("%d %q", got.status, got.location())
	}
}

// TestProtectedOverTLS goes through a listener that asks for certificates and leaves
// their check to the handler.
func TestProtectedOverTLS(t *testing.T) {
	ca := newAuthority(t, nil)
	server := httptest.NewUnstartedServer(newHandler(t, crane.Options{
		Directory: openDirectory(t, metadata, crane.DirectoryOptions{ClientCAs: ca.pool()}),
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	certificate, key := issue(t, ca, &x509.Certificate{ExtraExtensions: version3(t)})
	for name, test := range map[string]struct {
		certificates []tls.Certificate
		want         int
	}{
		"with":    {[]tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}, http.StatusFound},
		"without": {nil, http.StatusNotFound},
	} {
		client := server.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = test.certificates
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v2/acme/hidden/tags/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		transport.CloseIdleConnections()
		if resp.StatusCode != test.want {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

// TestNoHeaderEntitles: what a web server would hand on as a header is of no account.
func TestNoHeaderEntitles(t *testing.T) {
	ca := newAuthority(t, nil)
	h := newHandler(t, crane.Options{Directory: openDirectory(t, metadata, crane.DirectoryOptions{ClientCAs: ca.pool()})})
	raw := hex.EncodeToString(ca.entitled(t, nil, version3(t)...).Raw)
	if got := ask(t, h, "GET", "/v2/acme/hidden/tags/list", "SSL_CLIENT_CERT: "+raw, "X-Client-Cert: "+raw, "X-Forwarded-Client-Cert: "+raw); got.status != 404 {
		t.Errorf("%d %q", got.status, got.location())
	}
}

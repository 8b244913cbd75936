package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"regcred.dev/config"
)

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	pair := a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.certificate, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue completes a certificate; an authority without one issues its own.
func (a *authority) issue(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.Subject = pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) write(t *testing.T, path string) string {
	t.Helper()
	writePEM(t, path, "CERTIFICATE", a.certificate.Raw)
	return path
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// entitlement are the extensions of a Red Hat entitlement of version 1 for a path: the
// name of its order, and the URL of its content.
func entitlement(t *testing.T, path string) (list []pkix.Extension) {
	t.Helper()
	arc := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 2312, 9}
	for _, e := range []struct {
		id    []int
		value string
	}{{[]int{4, 1}, "an order"}, {[]int{2, 100, 1, 6}, path}} {
		der, err := asn1.MarshalWithParams(e.value, "utf8")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, pkix.Extension{Id: append(slices.Clip(arc), e.id...), Value: der})
	}
	return list
}

// TestEntitlements: by certificates of Crane's own authority clients get at protected
// repositories, whatever authority others are verified by; but where a certificate of
// that one is required, an entitlement is none.
func TestEntitlements(t *testing.T) {
	dir := t.TempDir()
	served, clients, entitling := newAuthority(t), newAuthority(t), newAuthority(t)
	own := served.issue(t, &x509.Certificate{DNSNames: []string{"regcred.test"}})
	writePEM(t, filepath.Join(dir, "a.crt"), "CERTIFICATE", own.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "a.key"), "PRIVATE KEY", key)
	metadata := `{"version":2,"repository":"hidden","repo-registry-id":"acme/hidden","url":"https://files.test/content/acme/hidden","protected":true}`
	if err := os.Mkdir(filepath.Join(dir, "crane"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "crane", "hidden.json"), []byte(metadata), 0o600); err != nil {
		t.Fatal(err)
	}
	forClients := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	client := func(a *authority, extensions ...pkix.Extension) []tls.Certificate {
		return []tls.Certificate{a.issue(t, &x509.Certificate{ExtKeyUsage: forClients, ExtraExtensions: extensions})}
	}
	sent := map[string][]tls.Certificate{
		"nothing":                nil,
		"an entitlement":         client(entitling, entitlement(t, "/content/acme")...),
		"an identity":            client(clients),
		"one's own entitlement":  client(newAuthority(t), entitlement(t, "/content/acme")...),
		"an identity's paths":    client(clients, entitlement(t, "/content/acme")...),
		"another's entitlement":  client(entitling, entitlement(t, "/content/other")...),
		"nobody's identity":      client(newAuthority(t)),
		"an identity of Crane's": client(entitling),
	}
	const hidden, shown = "/v2/acme/hidden/tags/list", "/healthz"
	for name, test := range map[string]struct {
		clientCA string
		required bool
		hidden   map[string]int // other than 401, as for what is not there
		shown    map[string]int // other than 200; 0: there is no connection
	}{
		"Crane's authority alone": {hidden: map[string]int{"an entitlement": http.StatusFound}},
		"two authorities": {
			clientCA: clients.write(t, filepath.Join(dir, "clients.pem")), hidden: map[string]int{"an entitlement": http.StatusFound},
		},
		"one required": {
			clientCA: filepath.Join(dir, "clients.pem"), required: true,
			hidden: map[string]int{"nothing": 0, "an entitlement": 0, "one's own entitlement": 0, "another's entitlement": 0, "nobody's identity": 0, "an identity of Crane's": 0},
			shown:  map[string]int{"nothing": 0, "an entitlement": 0, "one's own entitlement": 0, "another's entitlement": 0, "nobody's identity": 0, "an identity of Crane's": 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.TLS = &config.TLS{
				Certificates: []config.Certificate{{Certificate: filepath.Join(dir, "a.crt"), Key: filepath.Join(dir, "a.key")}},
				ClientCA:     test.clientCA, RequireClientCertificate: test.required,
			}
			cfg.Registry.Crane = &config.Crane{Metadata: filepath.Join(dir, "crane"), ClientCA: entitling.write(t, filepath.Join(dir, "entitling.pem"))}
			roots := x509.NewCertPool()
			roots.AddCert(served.certificate)
			r := startTLS(t, cfg)
			for what, certificates := range sent {
				c := &tls.Config{RootCAs: roots, ServerName: "regcred.test", Certificates: certificates}
				for path, want := range map[string]int{hidden: http.StatusUnauthorized, shown: http.StatusOK} {
					other := test.shown
					if path == hidden {
						other = test.hidden
					}
					if status, ok := other[what]; ok {
						want = status
					}
					if got := ask(t, r.url+path, c); got != want {
						t.Errorf("%s with %s: %d, want %d", path, what, got, want)
					}
				}
				// It opens nothing of the API.
				if got := ask(t, r.url+"/regcred/v1/status", c); got != http.StatusUnauthorized && got != 0 {
					t.Errorf("the API with %s: %d", what, got)
				}
			}
		})
	}
}

// ask returns the status of an answer in a connection of its own, 0 where there is no
// connection.
func ask(t *testing.T, url string, c *tls.Config) int {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

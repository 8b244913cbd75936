package google_test

import (
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/provider/google"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakegoogle"
)

// TestHosts checks which locations a login may be for.
func TestHosts(t *testing.T) {
	p := google.New(google.Options{})
	key := fakegoogle.New(fakegoogle.Options{}).NewKey(puller).JSON()
	good := []string{
		"gcr.io/project", "us.gcr.io", "eu.gcr.io/project/image", "asia.gcr.io", "GCR.IO/project", "gcr.io:443",
		"us-docker.pkg.dev/project/repo", "europe-docker.pkg.dev", "asia-docker.pkg.dev", "northamerica-northeast1-docker.pkg.dev",
		"docker.us-central1.rep.pkg.dev/project",
	}
	for _, at := range good {
		if err := p.Check(credential(at, "key", key)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	bad := []string{
		"evilgcr.io", "gcr.io.evil.example", "x.gcr.io", "us.gcr.io.evil.example", "us-gcr.io", "gcr.io:5000", "k8s.gcr.io",
		"us-docker.pkg.dev.evil.example", "evil-us-docker.pkg.dev.example", "docker.pkg.dev", "us-npm.pkg.dev", "us-docker-pkg.dev",
		"us-docker.pkg.dev:8443", "x.us-docker.pkg.dev", "docker.us-central1.rep.pkg.dev.example",
		"npm.us-central1.rep.pkg.dev", "docker.a.b.rep.pkg.dev", "registry.example.com", "127.0.0.1:5000", "localhost",
	}
	for _, at := range bad {
		err := p.Check(credential(at, "key", key))
		if regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), "an admin names it with --set host=") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// TestHostSetting checks that an admin may name other hosts.
func TestHostSetting(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	for _, test := range []struct {
		at, host string
		want     []string
	}{
		{"registry.example.com/project", "registry.example.com", []string{"registry.example.com"}},
		{"registry.example.com", "a.example.com:8443, registry.example.com", []string{"a.example.com:8443", "registry.example.com"}},
		{"gcr.io/project", "Registry.example.com:443", []string{"gcr.io", "registry.example.com"}},
		{"", "registry.example.com", []string{"registry.example.com"}},
	} {
		l := w.mint(credential(test.at, "key", w.key.JSON(), "host", test.host), puller, fakegoogle.ScopeReadOnly)
		if diff := cmp.Diff(test.want, l.Hosts); diff != "" {
			t.Errorf("%s with %s: %s", test.at, test.host, diff)
		}
	}
}

// strayTransport fails the test where anybody but Google is asked.
type strayTransport struct {
	*testing.T

	next regcredtest.HandlerTransport
}

func (s strayTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.next[req.URL.Host] == nil || req.URL.Scheme != "https" {
		s.Errorf("%s is asked", req.URL.Host)
	}
	return s.next.RoundTrip(req)
}

// TestKeyDirectsNothing checks that a key cannot name where requests go or which
// files are read, as any tenant may store one.
func TestKeyDirectsNothing(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.provider = google.New(google.Options{Transport: strayTransport{t, w.transport}})
	edit := func(change func(k *fakegoogle.KeyFile)) string {
		k := w.key
		change(&k)
		return k.JSON()
	}
	external := `{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"https://evil.example.com/token","credential_source":{"file":"/etc/passwd"}}`
	for name, key := range map[string]string{
		"token_uri":                 edit(func(k *fakegoogle.KeyFile) { k.TokenURI = "https://evil.example.com/token" }),
		"token_uri without TLS":     edit(func(k *fakegoogle.KeyFile) { k.TokenURI = "http://oauth2.googleapis.com/token" }),
		"token_uri look-alike":      edit(func(k *fakegoogle.KeyFile) { k.TokenURI = "https://oauth2.googleapis.com.evil.example/token" }),
		"token_uri with user":       edit(func(k *fakegoogle.KeyFile) { k.TokenURI = "https://oauth2.googleapis.com@evil.example/token" }),
		"token_uri metadata":        edit(func(k *fakegoogle.KeyFile) { k.TokenURI = "http://169.254.169.254/token" }),
		"token_uri of another case": strings.Replace(edit(func(k *fakegoogle.KeyFile) { k.TokenURI = "https://evil.example.com/" }), "token_uri", "TOKEN_URI", 1),
		"second token_uri":          strings.TrimSuffix(w.key.JSON(), "}") + `,"token_uri":"https://evil.example.com/"}`,
		"universe":                  edit(func(k *fakegoogle.KeyFile) { k.UniverseDomain = "evil.example.com" }),
		"external account":          external,
		"authorized user":           userFile,
		"impersonated":              `{"type":"impersonated_service_account","source_credentials":` + w.key.JSON() + `}`,
		"no type":                   `{}`,
		"list":                      `[]`,
		"other type":                `{"type":"gdch_service_account"}`,
		"account with a path":       edit(func(k *fakegoogle.KeyFile) { k.ClientEmail = "a/b" }),
		"no account":                edit(func(k *fakegoogle.KeyFile) { k.ClientEmail = "" }),
		"no private key":            edit(func(k *fakegoogle.KeyFile) { k.PrivateKey = "" }),
		"private key not in PEM":    edit(func(k *fakegoogle.KeyFile) { k.PrivateKey = "canary-private-key" }),
		"private key damaged":       edit(func(k *fakegoogle.KeyFile) { k.PrivateKey = damagedKey(k.PrivateKey) }),
		"private key too small":     edit(func(k *fakegoogle.KeyFile) { k.PrivateKey = smallKey }),
		"public key in place of it": edit(func(k *fakegoogle.KeyFile) {
			k.PrivateKey = strings.ReplaceAll(k.PrivateKey, "PRIVATE", "PUBLIC")[:200]
		}),
		"longer than any credential": w.key.JSON() + strings.Repeat(" ", 1<<20),
	} {
		w.run(name, func(w *world) {
			c := credential(location, "key", key)
			if err := w.provider.Check(c); regcred.CodeOf(err) != regcred.Invalid {
				w.Errorf("Check: %v", err)
			}
			text := w.fails(c, regcred.Invalid, `"key"`)
			if strings.Contains(text, "evil") || strings.Contains(text, "canary") {
				w.Errorf("the error quotes the key: %s", text)
			}
		})
	}
}

// smallKey has 512 bits, and is nobody's.
const smallKey = `-----BEGIN RSA PRIVATE KEY-----
MIIBPAIBAAJBAKcPe/0ITOx2KuVVUrag3RLgAsnsMoEH0EAi69yixGf+9AI1u4/8
EGcs9v0cbhfcYd73XhQiPOQ6qFYJlkoLXVECAwEAAQJBAIZDhJOc2y3j3p/Hzh0m
9eYYkUU1hnV7ERyqtELzscQdsAdcBRWPOmF4zawg4Ww/qAKVcm6LrQRaafJf1N2y
W50CIQDSt2c1qHCkF6O+QL7h23oebepD2gqcz+B6+wYLxIteRwIhAMr2V9mxuq0A
53uUphOF+qEtZcoTJA4tHRr0igGzJbunAiEAr6KTcpQ9n2jc4R3SfSuVdHulgnzh
z6ctsxQ9C939VM0CICiHfs2C9zMa7h64dV2KsJzE8wGiRt3p1lkOogxq2MsbAiEA
kOu8/erHD0orjHJdy24UsT1dd9d8jm/3p/TvgmkEIQk=
-----END RSA PRIVATE KEY-----
`

// damagedKey cuts the content of a key in PEM form.
func damagedKey(text string) string {
	block, _ := pem.Decode([]byte(text))
	block.Bytes = block.Bytes[:len(block.Bytes)/2]
	return string(pem.EncodeToMemory(block))
}

// TestEndpoint checks that an admin may send requests elsewhere, and alone allows
// another cloud.
func TestEndpoint(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.transport["oauth2.cloud.test"], w.transport["proxy.test"] = w.google, w.google
	w.transport["iamcredentials.cloud.test"] = asHost(fakegoogle.IAMCredentialsHost, w.google)
	delete(w.transport, fakegoogle.TokenHost)
	w.google.Grant(puller, target)

	w.mint(w.keyed("endpoint", "https://proxy.test/token"), puller, fakegoogle.ScopeReadOnly)

	k := w.key
	k.TokenURI, k.UniverseDomain = "https://oauth2.cloud.test/token", "cloud.test"
	c := credential(location, "key", k.JSON())
	w.fails(c, regcred.Invalid, "universe_domain", `"endpoint"`)
	c.Settings["endpoint"] = "https://proxy.test/token"
	w.fails(c, regcred.Invalid, "token_uri", `"endpoint"`)
	c.Settings["endpoint"] = "https://oauth2.cloud.test/token"
	w.mint(c, puller, fakegoogle.ScopeReadOnly)
	c.Settings["impersonate"] = target
	w.mint(c, target, fakegoogle.ScopeReadOnly)

	k.UniverseDomain = "evil.example/x"
	w.fails(credential(location, "key", k.JSON(), "endpoint", k.TokenURI), regcred.Invalid, "universe_domain")
}

// asHost makes a handler believe that it was reached by another host name.
func asHost(host string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Host = host
		h.ServeHTTP(w, r)
	})
}

// TestTLS checks that an endpoint is verified, by its own authority where one is
// named.
func TestTLS(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	server := httptest.NewTLSServer(w.google)
	defer server.Close()
	server.Config.ErrorLog = nil
	w.provider = google.New(google.Options{})
	c := w.keyed("endpoint", server.URL+"/token")
	w.fails(c, regcred.Unavailable, server.Listener.Addr().String())
	if n := w.google.Calls()[fakegoogle.CallToken]; n != 0 {
		t.Errorf("an endpoint that is not verified was asked %d times", n)
	}
	c.Settings["ca"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	w.mint(c, puller, fakegoogle.ScopeReadOnly)
}

// TestLocal checks that a key's requests do not reach what only this machine can,
// and that the server's own may.
func TestLocal(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.provider = google.New(google.Options{})
	w.fails(w.keyed("endpoint", "https://169.254.169.254/token"), regcred.Unavailable, "169.254.169.254", "not asked")

	server := httptest.NewServer(fakegoogle.New(fakegoogle.Options{Machine: machine}))
	defer server.Close()
	t.Setenv("GCE_METADATA_HOST", server.Listener.Addr().String())
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if _, err := w.provider.Mint(t.Context(), credential(location)); err != nil {
		t.Error(err)
	}
}

// TestRedirects checks that no redirect is followed, at any of the hosts.
func TestRedirects(t *testing.T) {
	for name, c := range kinds(t) {
		for _, to := range []string{"https://evil.example.com/", "https://oauth2.googleapis.com:8443/token", "http://oauth2.googleapis.com/token", "http://169.254.169.254/"} {
			w := newWorld(t, fakegoogle.Options{Machine: machine, Quirks: fakegoogle.Quirks{Redirect: to}})
			evil := false
			strange := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { evil = true })
			w.transport["evil.example.com"], w.transport["oauth2.googleapis.com:8443"] = strange, strange
			w.run(name, func(w *world) { w.fails(c(w), regcred.Unavailable, "redirects") })
			if evil {
				t.Errorf("%s: it follows to %s", name, to)
			}
			if calls := w.google.Calls(); len(calls) != 1 {
				t.Errorf("%s: the redirect to %s led to calls %v", name, to, calls)
			}
		}
	}
}

// TestErrorsShowNoSecret has each host quote all that it was sent, in errors of
// each status.
func TestErrorsShowNoSecret(t *testing.T) {
	for name, c := range kinds(t) {
		for _, status := range []int{400, 401, 403, 404, 429, 500} {
			w := newWorld(t, fakegoogle.Options{Machine: machine})
			c := c(w)
			w.addUser()
			w.google.Grant(puller, target)
			echo := echo(status)
			sources := maps.Clone(w.transport)
			for host := range sources {
				w.transport[host] = echo
			}
			err := mintError(w, c)
			for what, secret := range map[string]string{"key": w.key.PrivateKey, "client secret": "d-canary-client-secret", "refresh token": "1//canary-refresh-token", "subject token": subjectToken} {
				if found := regcredtest.Leaks([]byte(err.Error()), secret); found != nil {
					t.Errorf("%s, status %d: the error shows the %s: %v", name, status, what, err)
				}
			}
			if strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "ya29.") {
				t.Errorf("%s, status %d: the error shows a token: %v", name, status, err)
			}
			// Behind a source that works, the API that impersonates quotes the source's token.
			maps.Copy(w.transport, sources)
			w.transport[fakegoogle.IAMCredentialsHost] = echo
			if strings.Contains(name, "impersonat") {
				if err := mintError(w, c); strings.Contains(err.Error(), "ya29.") {
					t.Errorf("%s, status %d: the error shows a token: %v", name, status, err)
				}
			}
		}
	}
}

func mintError(w *world, c regcred.Credential) error {
	w.Helper()
	_, err := w.provider.Mint(w.Context(), c)
	if err == nil {
		w.Fatal("a mint that is refused gives a login")
	}
	return err
}

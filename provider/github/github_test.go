package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/github"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakegithub"
)

const api = "api.github.com"

// appKey is the app's key, otherKey one that is not.
var (
	appKey   = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })
)

func newKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// pkcs1 returns a key as GitHub generates it.
func pkcs1(key *rsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// options are those of a fake with an app that acme installed.
func options() fakegithub.Options {
	return fakegithub.Options{
		AppID: "123456", Key: &appKey().PublicKey, Installation: 7890123, Owner: "acme",
		Repositories: []string{"app", "tools"}, Packages: "write",
	}
}

// provider returns a Provider that reaches the fake at GitHub's own API.
func provider(fake *fakegithub.Server) *github.Provider {
	return github.New(github.Options{Transport: regcredtest.HandlerTransport{api: fake}})
}

// credential returns one that works with the fake, with some settings changed: a
// value of "" removes one.
func credential(t *testing.T, changes ...string) regcred.Credential {
	t.Helper()
	c := regcred.Credential{
		GUID: "guid-1", Location: location(t, "ghcr.io/acme"), Provider: github.Name,
		Settings: map[string]string{"app-id": "123456", "installation-id": "7890123"},
		Secrets:  map[string]regcred.Secret{"private-key": regcred.NewSecret(pkcs1(appKey()))},
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		if c.Settings[name] = value; value == "" {
			delete(c.Settings, name)
		}
	}
	return c
}

func location(t *testing.T, text string) imageref.Location {
	t.Helper()
	l, err := imageref.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// withKey returns the credential with another private key.
func withKey(c regcred.Credential, text string) regcred.Credential {
	c = c.Clone()
	c.Secrets["private-key"] = regcred.NewSecret(text)
	return c
}

func TestProvider(t *testing.T) {
	set := func(name, value string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Settings[name] = value }}
	}
	key := func(text string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: "private-key", Change: func(c *regcred.Credential) { *c = withKey(*c, text) }}
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New:        func(*testing.T) regcred.Provider { return provider(fakegithub.New(options())) },
		Credential: credential(t),
		Unique:     true,
		Lifetime:   fakegithub.Lifetime,
		Invalid: map[string]regcredtest.InvalidChange{
			"no App ID":                   set("app-id", ""),
			"a path in the App ID":        set("app-id", "../123456"),
			"a line break in the App ID":  set("app-id", "123456\n"),
			"an installation by name":     set("installation-id", "acme"),
			"an installation below 0":     set("installation-id", "-1"),
			"a path for the installation": set("installation-id", "1/access_tokens?"),
			"both installation and owner": set("owner", "acme"),
			"a path for the owner":        {Names: "owner", Change: func(c *regcred.Credential) { *c = credential(t, "installation-id=", "owner=acme/x") }},
			"neither":                     {Names: "owner", Change: func(c *regcred.Credential) { *c = credential(t, "installation-id=") }},
			"a repository with its owner": set("repositories", "acme/app"),
			"an empty repository":         set("repositories", "app,,tools"),
			"too many repositories":       set("repositories", strings.Repeat("a,", 500)+"a"),
			"push maybe":                  set("push", "maybe"),
			"a location elsewhere":        {Names: "host", Change: func(c *regcred.Credential) { c.Location = location(t, "registry.example.com") }},
			"an endpoint without host":    set("endpoint", "https://github.corp.example/api/v3"),
			"an endpoint in plain http":   set("endpoint", "http://github.corp.example/api/v3"),
			"a ca that is none":           set("ca", "none"),
			"a host with a path":          set("host", "ghcr.example.com/acme"),
			"a username":                  {Names: "username", Change: func(c *regcred.Credential) { c.Username = "me" }},
			"a key that is no PEM":        key("canary-4711 canary"),
			"a key in base64 of no PEM":   key(base64.StdEncoding.EncodeToString([]byte("canary-4711 canary"))),
			"a PEM of no key":             key("-----BEGIN RSA PRIVATE KEY-----\nY2FuYXJ5LTQ3MTE=\n-----END RSA PRIVATE KEY-----\n"),
			"a public key":                key(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&appKey().PublicKey)}))),
			"a key of another kind":       key(pkcs8(edKey())),
			"a key that is too short":     key(pkcs1(newKey(1024))),
			"a key that is much too long": key(strings.Repeat("canary-4711 ", 10000)),
			"a key of many PEM heads":     key(strings.Repeat("-----BEGIN X-----\n", 100_000/18)),
		},
	})
}

// TestUses checks what only admins may set.
func TestUses(t *testing.T) {
	p := github.New(github.Options{})
	if uses := p.Uses(credential(t, "owner=acme", "push=true", "repositories=app")); len(uses) > 0 {
		t.Errorf("a user's settings use %v of the server", uses)
	}
	want := []string{`the setting "endpoint"`, `the setting "ca"`, `the setting "host"`}
	if diff := cmp.Diff(want, p.Uses(credential(t, "endpoint=x", "ca=x", "host=x"))); diff != "" {
		t.Error("Uses (-want +got):", diff)
	}
}

func TestIssuer(t *testing.T) {
	p := github.New(github.Options{})
	seen := map[string]bool{}
	for _, c := range []regcred.Credential{
		credential(t), credential(t, "app-id=9"), credential(t, "endpoint=https://github.corp.example/api/v3"),
	} {
		seen[p.Issuer(c.Public())] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("the issuers of two apps and another API are %q", slices.Sorted(maps.Keys(seen)))
	}
	if p.Issuer(credential(t)) != p.Issuer(credential(t, "installation-id=", "owner=acme", "push=true")) {
		t.Error("an app has several issuers")
	}
}

// TestHosts shows for which hosts logins are, and which locations are refused.
func TestHosts(t *testing.T) {
	const corp = "endpoint=https://github.corp.example/api/v3"
	tests := []struct {
		location string
		changes  []string
		want     []string // nil: refused
	}{
		{"ghcr.io", nil, []string{"ghcr.io"}},
		{"GHCR.io:443/acme/app", nil, []string{"ghcr.io"}},
		{"", nil, []string{"ghcr.io"}},
		{"mirror.example.com", []string{"host=Mirror.example.com:443"}, []string{"ghcr.io", "mirror.example.com"}},
		{"ghcr.io", []string{"host=mirror.example.com:5000, ghcr.io"}, []string{"ghcr.io", "mirror.example.com:5000"}},
		{"", []string{corp, "host=containers.github.corp.example"}, []string{"containers.github.corp.example"}},
		{"ghcr.io", []string{corp, "host=ghcr.io"}, []string{"ghcr.io"}},

		{"ghcr.io", []string{corp, "host=containers.github.corp.example"}, nil},
		{"", []string{corp}, nil},
		{"ghcr.io", []string{corp}, nil},
		{"ghcr.io:8443", nil, nil},
		{"ghcr.io.evil.example", nil, nil},
		{"evilghcr.io", nil, nil},
		{"evil.ghcr.io", nil, nil},
		{"mirror.example.com:444", []string{"host=mirror.example.com"}, nil},
		{"x.mirror.example.com", []string{"host=mirror.example.com"}, nil},
		{"ghcr.io", []string{"host=gcr.io,azurecr.io"}, nil}, // registries of many owners
	}
	for _, test := range tests {
		c := credential(t, test.changes...)
		c.Location = imageref.Location{}
		if test.location != "" {
			c.Location = location(t, test.location)
		}
		fake := fakegithub.New(options())
		p := github.New(github.Options{Transport: regcredtest.HandlerTransport{api: fake, "github.corp.example": under("/api/v3", fake)}})
		login, err := p.Mint(t.Context(), c)
		if (err != nil) != (test.want == nil) || err != nil && regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%q with %q: %v", test.location, test.changes, err)
		}
		if err != nil && len(fake.Calls()) > 0 {
			t.Errorf("%q with %q: refused, yet %v were asked", test.location, test.changes, fake.Calls())
		}
		if diff := cmp.Diff(test.want, login.Hosts); diff != "" {
			t.Errorf("%q with %q (-want +got): %s", test.location, test.changes, diff)
		}
	}
}

package azure_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/azure"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeazure"
)

const (
	tenant = "409520d4-8100-4d1d-ad47-72432ddcc120"
	client = "7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11"
	secret = "canary~client-secret/4711+="
)

// principal is the application's certificate and its key, as PEM and parsed. A key
// takes long to make.
var principal = sync.OnceValues(newCertificate)

func newCertificate() (text string, cert *x509.Certificate) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "regcred"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return string(append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)), cert
}

// options are those of a fake that knows each kind of identity.
func options() fakeazure.Options {
	return fakeazure.Options{Tenant: tenant, Client: client, Secret: secret, SystemAssigned: true}
}

// newProvider returns a provider that reaches the fake alone, by its usual hosts.
func newProvider(s http.Handler) *azure.Provider {
	return azure.New(azure.Options{Transport: regcredtest.HandlerTransport{
		fakeazure.Authority: s, fakeazure.Metadata: s, fakeazure.Registry: s,
	}})
}

// credential is one by client secret, with changes: alternating names and values of
// settings, where "" leaves one out.
func credential(changes ...string) regcred.Credential {
	c := regcred.Credential{
		GUID: "guid-1", Provider: azure.Name, Location: location(fakeazure.Registry),
		Settings: map[string]string{"tenant-id": tenant, "client-id": client},
		Secrets:  map[string]regcred.Secret{"client-secret": regcred.NewSecret(secret)},
	}
	return with(c, changes...)
}

// ambient is one by the server's own identity, with changes.
func ambient(changes ...string) regcred.Credential {
	return with(regcred.Credential{GUID: "guid-1", Provider: azure.Name, Location: location(fakeazure.Registry)}, changes...)
}

func with(c regcred.Credential, changes ...string) regcred.Credential {
	c = c.Clone()
	for i := 0; i < len(changes); i += 2 {
		name, value := changes[i], changes[i+1]
		switch {
		case name == "location":
			c.Location = location(value)
		case name == "client-secret" || name == "client-certificate":
			if c.Secrets == nil {
				c.Secrets = map[string]regcred.Secret{}
			}
			c.Secrets[name] = regcred.NewSecret(value)
			if value == "" {
				delete(c.Secrets, name)
			}
		case value == "":
			delete(c.Settings, name)
		default:
			if c.Settings == nil {
				c.Settings = map[string]string{}
			}
			c.Settings[name] = value
		}
	}
	return c
}

func location(text string) imageref.Location {
	if text == "" {
		return imageref.Location{}
	}
	l, err := imageref.ParseLocation(text)
	if err != nil {
		panic(err)
	}
	return l
}

func TestProvider(t *testing.T) {
	change := func(names string, changes ...string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: names, Change: func(c *regcred.Credential) { *c = with(*c, changes...) }}
	}
	empty := func(name string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Settings[name] = "" }}
	}
	certificate, _ := principal()
	other, _ := newCertificate()
	block, _ := pem.Decode([]byte(certificate))
	_, key := pem.Decode([]byte(other))
	mixed := string(pem.EncodeToMemory(block)) + string(key)

	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New:        func(*testing.T) regcred.Provider { return newProvider(fakeazure.New(options())) },
		Credential: credential(),
		Unique:     true,
		Lifetime:   3 * time.Hour,
		Invalid: map[string]regcredtest.InvalidChange{
			"no location":             change("location", "location", ""),
			"another registry":        change("registry.corp.example", "location", "registry.corp.example"),
			"a data endpoint":         change("data.azurecr.io", "location", "acme.eastus.data.azurecr.io"),
			"no tenant":               change("tenant-id", "tenant-id", ""),
			"an empty tenant":         empty("tenant-id"),
			"a tenant that is a path": change("tenant-id", "tenant-id", "../common"),
			"no client":               change("client-id", "client-id", ""),
			"a client by name":        change("client-id", "client-id", "regcred"),
			"an empty secret": {Names: "client-secret", Change: func(c *regcred.Credential) {
				c.Secrets["client-secret"] = regcred.Secret{}
			}},
			"two secrets":           change("client-certificate", "client-certificate", certificate),
			"a secret and a file":   change("federated-token-file", "federated-token-file", "/var/run/token"),
			"a secret and managed":  change("client-secret", "identity", "managed"),
			"a secret and workload": change("client-secret", "identity", "workload"),
			"an unknown identity":   change("identity", "identity", "own"),
			"an empty identity":     empty("identity"),
			"an empty file": {Names: "federated-token-file", Change: func(c *regcred.Credential) {
				*c = with(*c, "client-secret", "")
				c.Settings["federated-token-file"] = ""
			}},
			"managed and a file":         change("federated-token-file", "client-secret", "", "identity", "managed", "federated-token-file", "/f"),
			"managed and a cloud":        change("cloud", "client-secret", "", "identity", "managed", "cloud", "china"),
			"managed and endpoint":       change("endpoint", "client-secret", "", "identity", "managed", "endpoint", "https://login.corp.example"),
			"a certificate alone":        change("client-certificate", "client-secret", "", "client-certificate", string(pem.EncodeToMemory(block))),
			"another's key":              change("client-certificate", "client-secret", "", "client-certificate", mixed),
			"garbage as certificate":     change("client-certificate", "client-secret", "", "client-certificate", "canary-4711-garbage"),
			"a huge certificate":         change("client-certificate", "client-secret", "", "client-certificate", strings.Repeat("QUFB", 1<<20)),
			"an unknown cloud":           change("cloud", "cloud", "mars"),
			"an empty cloud":             empty("cloud"),
			"an endpoint in clear":       change("endpoint", "endpoint", "http://login.corp.example"),
			"an audience that is no URL": change("audience", "audience", "containerregistry"),
			"a bad host":                 change("host", "host", "registry.corp.example/path"),
			"a login server elsewhere":   change("login-server", "host", "registry.corp.example", "location", "registry.corp.example", "login-server", "acme.azurecr.io.evil"),
			"a login server with a path": change("login-server", "host", "registry.corp.example", "location", "registry.corp.example", "login-server", "acme.azurecr.io/app"),
			"a login server for one":     change("login-server", "login-server", "other.azurecr.io"),
			"an empty login server":      empty("login-server"),
			"a ca for nobody":            change("ca", "ca", certificate),
			"no ca":                      change("ca", "ca", "garbage", "endpoint", "https://login.corp.example"),
			"an empty scope":             empty("scope"),
			"a scope without action":     change("scope", "scope", "repository:acme/app"),
			"a scope with a pattern":     change("scope", "scope", "repository:acme/*:pull"),
			"a scope of commas":          change("scope", "scope", ",,,"),
			"a scope of no type":         change("scope", "scope", "image:acme/app:pull"),
			"too many scopes":            change("scope", "scope", strings.Repeat("repository:a:pull ", 33)),
			"10 MiB of scopes":           change("scope", "scope", strings.Repeat("a:b:c,", 10<<20/6)),
			"a username":                 {Names: "username", Change: func(c *regcred.Credential) { c.Username = "admin" }},
			"a password": {Names: "password", Change: func(c *regcred.Credential) {
				c.Password = regcred.NewSecret("canary-password-4711")
			}},
		},
	})
}

// TestIdentities mints by each kind of identity.
func TestIdentities(t *testing.T) {
	certificate, cert := principal()
	file := federatedToken(t, federation())
	const assigned = "11111111-2222-3333-4444-555555555555"
	workload := map[string]string{"AZURE_FEDERATED_TOKEN_FILE": file, "AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": client}
	tests := []struct {
		name string
		c    regcred.Credential
		env  map[string]string
		want map[string]int // calls
	}{
		{"secret", credential(), nil, byToken},
		{"certificate", credential("client-secret", "", "client-certificate", certificate), nil, byToken},
		{"token file", credential("client-secret", "", "federated-token-file", file), nil, byToken},
		{"token file, the rest from the environment", ambient("federated-token-file", file), workload, byToken},
		{"workload", ambient("identity", "workload"), workload, byToken},
		{"the server's own: workload", ambient(), workload, byToken},
		{"the server's own: managed", ambient(), nil, byMachine},
		{"the server's own: managed, user-assigned", ambient(), map[string]string{"AZURE_CLIENT_ID": assigned}, byMachine},
		{"default", ambient("identity", "default"), nil, byMachine},
		{"managed", ambient("identity", "managed"), workload, byMachine},
		{"managed, with the tenant", ambient("identity", "managed", "tenant-id", tenant), nil, byMachine},
		{"managed, user-assigned", ambient("identity", "managed", "client-id", assigned), nil, byMachine},
		{"the setting before the environment", ambient("client-id", assigned), map[string]string{"AZURE_CLIENT_ID": client}, byMachine},
		{"for Azure Resource Manager", credential("audience", "https://management.azure.com/"), nil, byToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			noIdentity(t)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			o := options()
			o.Certificate, o.Federated, o.UserAssigned = cert, federation().trust, []string{assigned}
			s := fakeazure.New(o)
			p := newProvider(s)
			l, err := p.Mint(t.Context(), test.c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, s.Calls()); diff != "" {
				t.Errorf("it asked otherwise: %s", diff)
			}
			checkLogin(t, s, l)
			if _, err := p.Mint(t.Context(), test.c); err != nil {
				t.Fatal(err)
			}
			if n := s.Calls()["token"] + s.Calls()["managed"]; n != 2 {
				t.Errorf("%d tokens of Entra ID for two mints: an old one was used again", n)
			}
		})
	}
}

var (
	byToken   = map[string]int{"token": 1, "exchange": 1}
	byMachine = map[string]int{"managed": 1, "exchange": 1}
)

// noIdentity unsets all variables that give a server an identity.
func noIdentity(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT",
	} {
		t.Setenv(name, "")
	}
}

// checkLogin checks a login at the registry, as docker uses it.
func checkLogin(t *testing.T, s *fakeazure.Server, l regcred.Login) {
	t.Helper()
	if l.Username != "00000000-0000-0000-0000-000000000000" || !cmp.Equal(l.Hosts, []string{fakeazure.Registry}) {
		t.Errorf("the login is for user %q at %q", l.Username, l.Hosts)
	}
	if status := use(t, s, l, "/v2/"); status != http.StatusOK {
		t.Errorf("the registry answers the login with status %d", status)
	}
}

// use sends a login to the registry and returns the status.
func use(t *testing.T, s http.Handler, l regcred.Login, path string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+fakeazure.Registry+path, http.NoBody)
	r.SetBasicAuth(l.Username, l.Password.Reveal())
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}

// TestScope checks that a login with scopes is for those alone.
func TestScope(t *testing.T) {
	s := fakeazure.New(options())
	before := time.Now()
	l, err := newProvider(s).Mint(t.Context(), credential("scope", "repository:acme/app:pull,push, repository:base:pull"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"token": 1, "exchange": 1, "access": 1}, s.Calls()); diff != "" {
		t.Error(diff)
	}
	checkLogin(t, s, l)
	if lifetime := l.ExpiresAt.Sub(before).Round(time.Minute); lifetime != 75*time.Minute {
		t.Errorf("it lives for %s", lifetime)
	}
	for scope, want := range map[string]int{
		"repository:acme/app:pull": 200, "repository:acme/app:pull,push": 200, "repository:base:pull": 200,
		"repository:base:push": 401, "repository:other:pull": 401,
	} {
		if got := use(t, s, l, "/oauth2/token?service="+fakeazure.Registry+"&scope="+scope); got != want {
			t.Errorf("%s: status %d, want %d", scope, got, want)
		}
	}
}

// TestUses: what is the server's own needs an admin.
func TestUses(t *testing.T) {
	const own = "the server's own Azure identity"
	certificate, _ := principal()
	tests := []struct {
		c    regcred.Credential
		want []string
	}{
		{credential(), nil},
		{credential("scope", "repository:a:pull", "cloud", "china", "audience", "https://management.azure.com"), nil},
		{credential("client-secret", "", "client-certificate", certificate), nil},
		{ambient(), []string{own}},
		{ambient("tenant-id", tenant, "client-id", client), []string{own}},
		{ambient("identity", "managed"), []string{`the setting "identity"`, own}},
		{ambient("federated-token-file", "/f"), []string{`the setting "federated-token-file"`}},
		{credential("endpoint", "https://login.corp.example", "host", "r.corp.example", "ca", certificate), []string{`the setting "host"`, `the setting "endpoint"`, `the setting "ca"`}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, azure.New(azure.Options{}).Uses(test.c)); diff != "" {
			t.Errorf("%v: %s", test.c.Settings, diff)
		}
	}
}

// TestIssuer: registries share no queue, nor do Entra IDs.
func TestIssuer(t *testing.T) {
	p := azure.New(azure.Options{})
	for want, c := range map[string]regcred.Credential{
		"acme.azurecr.io":  credential(),
		"other.azurecr.io": credential("location", "Other.azurecr.io:443/team"),
		"acme.azurecr.cn":  credential("location", "registry.corp.example", "host", "registry.corp.example", "login-server", "Acme.azurecr.cn"),
		"acme.azurecr.io by https://login.corp.example": credential("endpoint", "https://login.corp.example"),
	} {
		if got := p.Issuer(c.Public()); got != want {
			t.Errorf("the issuer is %q, want %q", got, want)
		}
	}
}

package oidc_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/oidc"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeoidc"
)

const (
	issuer = "https://id.example.com/realms/ci"
	robot  = "acme+puller"
)

// options are those of a fake with one client and one robot account.
func options() fakeoidc.Options {
	return fakeoidc.Options{
		Issuer: issuer, ClientID: "regcred:ci", ClientSecret: "canary 4711/canary+", Subject: "system:serviceaccount:ci:regcred", Robot: robot,
	}
}

// transport reaches the fake as the issuer, as quay.io, as a Quay of one's own and
// as a token service.
func transport(fake *fakeoidc.Server) regcredtest.HandlerTransport {
	return regcredtest.HandlerTransport{"id.example.com": fake, "quay.io": fake, "quay.corp.example": fake, "sts.example.com": fake}
}

func provider(fake *fakeoidc.Server) *oidc.Provider {
	return oidc.New(oidc.Options{Transport: transport(fake)})
}

func location(t *testing.T, text string) imageref.Location {
	t.Helper()
	if text == "" {
		return imageref.Location{}
	}
	l, err := imageref.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// credential returns one at a location with settings, each "name=value"; token
// and client-secret are secrets.
func credential(t *testing.T, at string, settings ...string) regcred.Credential {
	t.Helper()
	c := regcred.Credential{
		GUID: "guid-1", Location: location(t, at), Provider: oidc.Name,
		Settings: map[string]string{}, Secrets: map[string]regcred.Secret{},
	}
	for _, s := range settings {
		set(&c, s)
	}
	return c
}

func set(c *regcred.Credential, s string) {
	name, value, _ := strings.Cut(s, "=")
	if name == "token" || name == "client-secret" {
		c.Secrets[name] = regcred.NewSecret(value)
	} else {
		c.Settings[name] = value
	}
}

// byIssuer are the settings of a client that the fake's issuer knows.
func byIssuer(more ...string) []string {
	o := options()
	return append([]string{"issuer=" + issuer, "client-id=" + o.ClientID, "client-secret=" + o.ClientSecret}, more...)
}

// tokenFile writes a token as Kubernetes projects it, behind a link.
func tokenFile(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "token")
	if err := os.Symlink("data", name); err != nil {
		t.Fatal(err)
	}
	return name
}

// setup is what the suite has to know of one kind of credential.
func setup(fake *fakeoidc.Server, c regcred.Credential) regcredtest.ProviderSetup {
	return regcredtest.ProviderSetup{
		New:        func(*testing.T) regcred.Provider { return provider(fake) },
		Credential: c, Unique: true, Lifetime: fakeoidc.Lifetime,
		Examples: map[string]string{"token": "canary-4711", "client-secret": "canary-4711"},
	}
}

func TestQuay(t *testing.T) {
	fake := fakeoidc.New(options())
	s := setup(fake, credential(t, "quay.io/acme", "exchange=quay", "username="+robot, "token="+fake.Subject(fakeoidc.Lifetime)))
	s.Invalid = invalid(t,
		"token=", "token=canary 4711 canary", "username=a:b+c", "username=+\n", "username=acme", "exchange=other",
		"lifetime=1", "lifetime=1s", "lifetime=-1h", "lifetime=10000h", "ca=none", "issuer="+issuer, "token-file=/x",
		"client-id=x", "client-secret=canary-4712", "audience=x", "scope=x", "resource=x", "username=a\xff+b", "subject-token-type=jwt", "requested-token-type=jwt",
		"token-url=http://sts.example.com", "token-url=https://canary:canary@sts.example.com/", "token-url=quay.io", "host=a,,b",
	)
	// A token service elsewhere, and no word on which registry it is for.
	s.Invalid["elsewhere"] = regcredtest.InvalidChange{Names: "host", Change: func(c *regcred.Credential) { set(c, "token-url=https://sts.example.com/") }}
	regcredtest.TestProvider(t, s)
}

func TestRFC8693(t *testing.T) {
	o := options()
	o.ClientID, o.Audience, o.Scope = "", "registry", "pull push"
	fake := fakeoidc.New(o)
	file := tokenFile(t, fake.Subject(fakeoidc.Lifetime)+"\n")
	s := setup(fake, credential(t, "registry.example.com", "token-url=https://sts.example.com/realms/ci/token", "token-file="+file,
		"username=oauth2", "audience=registry", "scope=pull push"))
	s.Invalid = invalid(t, "token-file=", "token-file=token", "exchange=none", "subject-token-type=saml", "requested-token-type=", "username=a:b")
	s.Invalid["no token-url"] = regcredtest.InvalidChange{Names: "token-url", Change: func(c *regcred.Credential) { delete(c.Settings, "token-url") }}
	s.Invalid["no location"] = regcredtest.InvalidChange{Names: "location", Change: func(c *regcred.Credential) { c.Location = imageref.Location{} }}
	regcredtest.TestProvider(t, s)
}

func TestIssuerAndRFC8693(t *testing.T) {
	fake := fakeoidc.New(options())
	s := setup(fake, credential(t, "registry.example.com", byIssuer("username=oauth2", "subject-token-type=access_token")...))
	s.Invalid = invalid(t, "client-id=", "client-secret=", "issuer=id.example.com", "issuer=https://id.example.com/?x", "token=canary-4711")
	regcredtest.TestProvider(t, s)
}

func TestIssuerAlone(t *testing.T) {
	o := options()
	o.Opaque = true // then expires_in says it
	fake := fakeoidc.New(o)
	s := setup(fake, credential(t, "registry.example.com", byIssuer("username=oauth2", "exchange=none")...))
	s.Invalid = invalid(t, "token-url=https://sts.example.com/")
	s.Invalid["a token"] = regcredtest.InvalidChange{Names: "token", Change: func(c *regcred.Credential) {
		*c = credential(t, "registry.example.com", "username=oauth2", "exchange=none", "token=canary-4711-canary")
	}}
	regcredtest.TestProvider(t, s)
}

// invalid makes each setting a change that Check refuses, naming it.
func invalid(t *testing.T, changes ...string) map[string]regcredtest.InvalidChange {
	t.Helper()
	all := map[string]regcredtest.InvalidChange{}
	for _, change := range changes {
		name, _, _ := strings.Cut(change, "=")
		all[change] = regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { set(c, change) }}
	}
	return all
}

// TestIssuer shows whose limits a credential falls under.
func TestIssuer(t *testing.T) {
	p := oidc.New(oidc.Options{})
	tests := []struct {
		c    regcred.Credential
		want string
	}{
		{credential(t, "", "exchange=quay"), "quay.io"},
		{credential(t, "quay.corp.example/a", "exchange=quay", "host=quay.corp.example"), "quay.corp.example"},
		{credential(t, "quay.io", "exchange=quay", "token-url=https://x.example/"), "https://x.example/"},
		{credential(t, "r.example", "issuer="+issuer, "token-url=https://x.example/"), "https://x.example/"},
		{credential(t, "r.example", "issuer="+issuer), issuer},
		{credential(t, "r.example", "exchange=none", "token-file=/x"), ""},
	}
	for _, test := range tests {
		if got := p.Issuer(test.c.Public()); got != test.want {
			t.Errorf("at %q with %v: %q, want %q", test.c.Location, test.c.Settings, got, test.want)
		}
	}
}

// TestHosts shows for which hosts logins are, and which locations are refused.
func TestHosts(t *testing.T) {
	const elsewhere = "token-url=https://quay.corp.example/oauth2/federation/robot/token"
	tests := []struct {
		location string
		settings []string
		want     []string // nil: refused
		asked    string
	}{
		{"quay.io", nil, []string{"quay.io"}, "quay.io"},
		{"QUAY.io:443/acme", nil, []string{"quay.io"}, "quay.io"},
		{"", nil, []string{"quay.io"}, "quay.io"},
		{"quay.io", []string{"host=mirror.example.com"}, []string{"quay.io", "mirror.example.com"}, "quay.io"},
		{"quay.corp.example", []string{"host=quay.corp.example"}, []string{"quay.corp.example"}, "quay.corp.example"},
		{"mirror.example.com:5000/a", []string{"host=Mirror.example.com:5000", elsewhere}, []string{"mirror.example.com:5000"}, "quay.corp.example"},
		{"", []string{"host=mirror.example.com", elsewhere}, []string{"mirror.example.com"}, "quay.corp.example"},

		{"quay.io", []string{elsewhere}, nil, ""},
		{"", []string{elsewhere}, nil, ""},
		{"quay.corp.example", nil, nil, ""},
		{"quay.corp.example:8443", []string{"host=quay.corp.example"}, nil, ""},
		{"quay.io:8443", nil, nil, ""},
		{"quay.io.evil.example", nil, nil, ""},
		{"evilquay.io", nil, nil, ""},
		{"cdn.quay.io", nil, nil, ""},
		{"169.254.169.254", nil, nil, ""},
	}
	for _, test := range tests {
		fake := fakeoidc.New(options())
		asked := ""
		p := oidc.New(oidc.Options{Transport: &recorder{next: transport(fake), seen: func(s string) { asked = s }}})
		settings := append([]string{"exchange=quay", "username=" + robot, "token=" + fake.Subject(fakeoidc.Lifetime)}, test.settings...)
		login, err := p.Mint(t.Context(), credential(t, test.location, settings...))
		if (err != nil) != (test.want == nil) || err != nil && regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%q with %q: %v", test.location, test.settings, err)
		}
		if diff := cmp.Diff(test.want, login.Hosts); diff != "" || asked != test.asked {
			t.Errorf("%q with %q: %q was asked, want %q (-want +got): %s", test.location, test.settings, asked, test.asked, diff)
		}
	}
	// Without Quay the location is what an admin says that it is.
	fake := fakeoidc.New(options())
	c := credential(t, "Registry.example.com:443/a", byIssuer("username=oauth2", "host=mirror.example.com:5000")...)
	login, err := provider(fake).Mint(t.Context(), c)
	if diff := cmp.Diff([]string{"registry.example.com", "mirror.example.com:5000"}, login.Hosts); diff != "" || err != nil {
		t.Errorf("%v, hosts (-want +got): %s", err, diff)
	}
}

// TestUses shows that whoever is no admin gets nowhere but to quay.io: it tries
// every combination of the settings that matter, at every kind of location.
func TestUses(t *testing.T) {
	choices := [][]string{
		{"", "exchange=rfc8693", "exchange=quay", "exchange=none"},
		{"", "token=canary-4711"},
		{"", "token-file=/var/run/token"},
		{"", "issuer=" + issuer},
		{"", "client-id=x"},
		{"", "client-secret=canary-4712"},
		{"", "token-url=https://sts.example.com/"},
		{"", "host=quay.corp.example", "host=quay.io"},
	}
	p := oidc.New(oidc.Options{})
	free, bound := 0, 0
	check := func(c regcred.Credential) {
		host := c.Location.Host()
		switch {
		case p.Check(c) != nil:
		case len(p.Uses(c)) > 0:
			bound++
		case c.Settings["exchange"] != "quay" || host != "" && host != "quay.io" || p.Issuer(c.Public()) != "quay.io":
			t.Errorf("at %q, without an admin, with %v", c.Location, c.Settings)
		default:
			free++
		}
	}
	for _, at := range []string{"", "quay.io", "quay.io/acme", "quay.corp.example", "evil.example", "quay.io:8443"} {
		forEach(choices, nil, func(settings []string) { check(credential(t, at, append(settings, "username="+robot)...)) })
	}
	if free == 0 || bound == 0 {
		t.Errorf("of the settings that work, %d are free and %d are an admin's: want some of both", free, bound)
	}
}

// forEach calls f with each combination of one choice of each kind, without "".
func forEach(choices [][]string, chosen []string, f func([]string)) {
	if len(choices) == 0 {
		f(chosen)
		return
	}
	for _, choice := range choices[0] {
		more := slices.Clone(chosen)
		if choice != "" {
			more = append(more, choice)
		}
		forEach(choices[1:], more, f)
	}
}

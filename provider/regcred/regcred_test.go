package regcred_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	provider "regcred.dev/provider/regcred"
	"regcred.dev/regcredtest"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

const host = "127.0.0.1:8440"

func newTokens(t *testing.T) *token.Service {
	t.Helper()
	s, err := token.New(t.Context(), memory.New(), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func credential() regcred.Credential {
	return regcred.Credential{GUID: "guid-1", Provider: provider.Name, Settings: map[string]string{
		"repositories": "acme/app, acme/tools/*", "actions": "pull,push", "lifetime": "30s",
	}}
}

func TestProvider(t *testing.T) {
	setting := func(name, value string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Settings[name] = value }}
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New: func(t *testing.T) regcred.Provider {
			return provider.New(provider.Options{Signer: newTokens(t), Host: host})
		},
		Credential: credential(),
		Unique:     true,
		Lifetime:   30 * time.Second,
		Invalid: map[string]regcredtest.InvalidChange{
			"repositories empty":          setting("repositories", ""),
			"an empty repository":         setting("repositories", "acme/app,,acme/tools"),
			"a repository in upper case":  setting("repositories", "Acme"),
			"a repository with a tag":     setting("repositories", "acme/app:1"),
			"a repository with a host":    setting("repositories", "registry.example.com:5000/acme"),
			"a pattern in the middle":     setting("repositories", "acme/*/app"),
			"a pattern of part of a name": setting("repositories", "acme*"),
			"a path that leaves":          setting("repositories", "../*"),
			"too many repositories":       setting("repositories", strings.Repeat("a,", 32)+"a"),
			"too long repositories":       setting("repositories", strings.Repeat("a", 1537)),
			"10 MiB of repositories":      setting("repositories", strings.Repeat("a,", 5<<20)),
			"actions empty":               setting("actions", ""),
			"an unknown action":           setting("actions", "pull,admin"),
			"all actions":                 setting("actions", "*"),
			"too many actions":            setting("actions", "pull,pull,pull,pull"),
			"no lifetime":                 setting("lifetime", ""),
			"a lifetime without a unit":   setting("lifetime", "30"),
			"a short lifetime":            setting("lifetime", "9.9s"),
			"a long lifetime":             setting("lifetime", "24h0m1s"),
			"a negative lifetime":         setting("lifetime", "-1h"),
			"an overflowing lifetime":     setting("lifetime", "99999999999h"),
			"a username": {Names: "username", Change: func(c *regcred.Credential) {
				c.Username = "admin"
			}},
			"a password": {Names: "password", Change: func(c *regcred.Credential) {
				c.Password = regcred.NewSecret("canary-4711")
			}},
			"another registry": {Names: "registry.example.com", Change: func(c *regcred.Credential) {
				c.Location, _ = imageref.ParseLocation("registry.example.com")
			}},
		},
	})
}

// TestLogin checks what a login allows, by the service that verifies it.
func TestLogin(t *testing.T) {
	tokens := newTokens(t)
	p := provider.New(provider.Options{Signer: tokens, Host: host})
	l, err := p.Mint(t.Context(), credential())
	if err != nil {
		t.Fatal(err)
	}
	if l.Username != "regcred" || !cmp.Equal(l.Hosts, []string{host}) {
		t.Errorf("the login is for user %q at %q", l.Username, l.Hosts)
	}
	got, err := tokens.Verify(time.Now(), l.Password.Reveal(), token.UseLogin)
	if err != nil {
		t.Fatal(err)
	}
	actions := []string{token.Pull, token.Push}
	want := token.Claims{
		ID: got.ID, Subject: "guid-1", Use: token.UseLogin,
		Grants:   []token.Grant{{Repository: "acme/app", Actions: actions}, {Repository: "acme/tools/*", Actions: actions}},
		IssuedAt: l.ExpiresAt.Add(-30 * time.Second), ExpiresAt: l.ExpiresAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := tokens.Verify(l.ExpiresAt, l.Password.Reveal(), token.UseLogin); err == nil {
		t.Error("the password lives longer than the login says")
	}
}

// TestDefaults checks what holds where a credential or the server does not say.
func TestDefaults(t *testing.T) {
	tests := []struct {
		name     string
		options  provider.Options
		settings map[string]string
		want     time.Duration
	}{
		{"nothing is said", provider.Options{}, nil, time.Hour},
		{"the server says", provider.Options{Lifetime: time.Minute}, nil, time.Minute},
		{"the server's maximum is less", provider.Options{MaxLifetime: time.Minute}, nil, time.Minute},
		{"the credential says", provider.Options{Lifetime: time.Minute}, map[string]string{"lifetime": "2h"}, 2 * time.Hour},
		{"the credential says the maximum", provider.Options{}, map[string]string{"lifetime": "24h"}, 24 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tokens := newTokens(t)
			test.options.Signer, test.options.Host = tokens, host
			c := regcred.Credential{GUID: "guid-1", Provider: provider.Name, Settings: map[string]string{"repositories": "*"}}
			maps.Copy(c.Settings, test.settings)
			l, err := provider.New(test.options).Mint(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tokens.Verify(time.Now(), l.Password.Reveal(), token.UseLogin)
			if err != nil {
				t.Fatal(err)
			}
			if lifetime := got.ExpiresAt.Sub(got.IssuedAt); lifetime != test.want {
				t.Errorf("it lives for %s, want %s", lifetime, test.want)
			}
			if !got.Allows("acme/app", token.Pull) || got.Allows("acme/app", token.Push) || got.Allows("acme/app", token.Delete) {
				t.Errorf("it allows %v, want to pull alone", got.Grants)
			}
		})
	}
}

// TestLongestLogin checks that the longest settings give a login that fits into
// the 8 KiB which common proxies allow for a header.
func TestLongestLogin(t *testing.T) {
	var repositories []string
	for range 32 {
		repositories = append(repositories, strings.Repeat("r", 47))
	}
	c := regcred.Credential{GUID: strings.Repeat("g", 253), Provider: provider.Name, Settings: map[string]string{
		"repositories": strings.Join(repositories, ","), "actions": "pull,push,delete",
	}}
	p := provider.New(provider.Options{Signer: newTokens(t), Host: host})
	l, err := p.Mint(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if header := (len(l.Username) + 1 + len(l.Password.Reveal()) + 2) / 3 * 4; header > 8<<10 {
		t.Errorf("the header has %d bytes", header)
	}
}

// TestFieldsAreForAdmins: whoever sets them decides who may do what at the server's
// own registry.
func TestFieldsAreForAdmins(t *testing.T) {
	for _, f := range provider.New(provider.Options{}).Describe().Fields {
		if !f.Admin {
			t.Errorf("the setting %q may be set by anyone", f.Name)
		}
	}
}

package service

import (
	"context"
	"strings"
	"testing"

	"regcred.dev"
)

// usesServer is a provider whose credentials use the server's own identity unless
// they have a key.
type usesServer struct{}

func (usesServer) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{Name: "cloud", Fields: []regcred.Field{{Name: "key", Secret: true}, {Name: "endpoint", Admin: true}}}
}
func (p usesServer) Check(c regcred.Credential) error { return p.Describe().CheckFields(c) }
func (usesServer) Issuer(regcred.Credential) string   { return "" }

func (p usesServer) Uses(c regcred.Credential) []string {
	uses := p.Describe().AdminFields(c)
	if _, ok := c.Secrets["key"]; !ok {
		uses = append(uses, "the server's own identity")
	}
	return uses
}

func (usesServer) Mint(context.Context, regcred.Credential) (regcred.Login, error) {
	return regcred.Login{}, regcred.Errorf(regcred.Unavailable, "nobody is asked")
}

// TestConfigure: what uses or directs the server takes an admin of the foundation,
// whoever else may store credentials.
func TestConfigure(t *testing.T) {
	s := New(Options{Providers: map[string]regcred.Provider{"cloud": usesServer{}}})
	tenant := regcred.Caller{Name: "tenant", Role: regcred.RoleAdmin, Scope: regcred.OrgScope("acme")}
	key := regcred.NewSecret("a-key")
	for _, test := range []struct {
		name     string
		caller   regcred.Caller
		settings map[string]regcred.Secret
		want     string // in the error; "": none
	}{
		{"a tenant with a key", tenant, map[string]regcred.Secret{"key": key}, ""},
		{"a tenant without one", tenant, nil, "the server's own identity"},
		{"a tenant who directs", tenant, map[string]regcred.Secret{"key": key, "endpoint": regcred.NewSecret("https://evil.example.com")}, `the setting "endpoint"`},
		{"an admin", regcred.Local, map[string]regcred.Secret{"endpoint": regcred.NewSecret("https://cloud.example.com")}, ""},
	} {
		c := regcred.Credential{Provider: "cloud"}
		err := s.configure(test.caller, &c, test.settings)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want that it is denied because of %s", test.name, err, test.want)
		}
		if _, shown := c.Settings["key"]; shown {
			t.Errorf("%s: the key is among what may be shown", test.name)
		}
	}
}

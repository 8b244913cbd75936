package static_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/static"
	"regcred.dev/regcredtest"
)

func credential(t *testing.T) regcred.Credential {
	t.Helper()
	location, err := imageref.ParseLocation("registry.example.com/acme")
	if err != nil {
		t.Fatal(err)
	}
	return regcred.Credential{
		GUID: "guid-1", Location: location, Provider: regcred.ProviderStatic,
		Username: "robot$acme+puller", Password: regcred.NewSecret("canary-4711"),
	}
}

func TestProvider(t *testing.T) {
	username := func(s string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: "username", Change: func(c *regcred.Credential) { c.Username = s }}
	}
	password := func(s string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: "password", Change: func(c *regcred.Credential) { c.Password = regcred.NewSecret(s) }}
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New:        func(*testing.T) regcred.Provider { return static.New() },
		Credential: credential(t),
		Invalid: map[string]regcredtest.InvalidChange{
			"no username":                  username(""),
			"a colon in the username":      username("a:b"),
			"a line break in the username": username("a\nb"),
			"DEL in the username":          username("a\x7f"),
			"a username of no text":        username("a\xff"),
			"a long username":              username(strings.Repeat("u", 1025)),
			"no password":                  password(""),
			"NUL in the password":          password("canary-\x00-4712"),
			"a password of no text":        password("canary-\xff-4712"),
			"a long password":              password(strings.Repeat("canary-4712 ", 6000)),
		},
	})
}

// TestAccepted shows passwords and usernames as they are in use.
func TestAccepted(t *testing.T) {
	keyFile := "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n\"\n}\n"
	tests := []struct{ username, password string }{
		{"_json_key", keyFile},
		{"00000000-0000-0000-0000-000000000000", strings.Repeat("x", 64<<10)},
		{"org+robot", "päßwörd"},
		{"user@example.com", " leading and trailing spaces "},
		{"u", "p"},
	}
	for _, test := range tests {
		c := credential(t)
		c.Username, c.Password = test.username, regcred.NewSecret(test.password)
		got, err := static.New().Mint(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", test.username, err)
			continue
		}
		if diff := cmp.Diff(regcred.Login{Username: test.username, Password: c.Password}, got); diff != "" {
			t.Errorf("%s: %s", test.username, diff)
		}
	}
}

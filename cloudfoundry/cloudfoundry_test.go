package cloudfoundry_test

import (
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/cloudfoundry"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
)

const (
	apiURL = "https://api.sys.example.com"
	uaaURL = "https://uaa.sys.example.com"
)

// installation is a fake Cloud Foundry with what asks it.
type installation struct {
	*cloudfoundry.Foundation
	uaa  *fakeuaa.Server
	capi *fakecapi.Server
	// hosts are all that can be reached.
	hosts regcredtest.HandlerTransport
}

// firstKey is that of all fakes: a key takes a while to make.
var firstKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// install returns one with an organization "acme" of a space "dev", an organization
// "other" of a space "lab", an app "web" in dev, and some users.
func install(t testing.TB, change func(*fakeuaa.Options)) installation {
	t.Helper()
	o := fakeuaa.Options{
		URL: uaaURL, FirstKey: firstKey(),
		Users: map[string]fakeuaa.User{
			"alice": {GUID: "u-alice", Password: "p"}, "bob": {GUID: "u-bob", Password: "p"},
			"root":    {GUID: "u-root", Scopes: []string{"cloud_controller.admin"}},
			"reader":  {GUID: "u-reader", Scopes: []string{"cloud_controller.read"}},
			"auditor": {GUID: "u-auditor", Scopes: []string{"cloud_controller.global_auditor", "cloud_controller.write"}},
			"ro":      {GUID: "u-ro", Scopes: []string{"cloud_controller.admin_read_only"}},
			"nobody":  {GUID: "u-nobody", Scopes: []string{"openid"}},
			"writer":  {GUID: "u-writer", Scopes: []string{"cloud_controller.write"}},
			"liar":    {GUID: "u-liar", Scopes: []string{"cloud_controller.administrator", "cloud_controller.read"}},
		},
		Clients: map[string]fakeuaa.Client{"ci": {Secret: "s", Authorities: []string{"cloud_controller.read", "cloud_controller.write"}}},
	}
	if change != nil {
		change(&o)
	}
	i := installation{uaa: fakeuaa.New(o)}
	i.capi = fakecapi.New(fakecapi.Options{URL: apiURL, UAA: uaaURL, Verify: i.uaa.Verify})
	i.capi.AddOrg("o-acme", "acme")
	i.capi.AddOrg("o-other", "other")
	i.capi.AddSpace("s-dev", "dev", "o-acme")
	i.capi.AddSpace("s-prod", "prod", "o-acme")
	i.capi.AddSpace("s-lab", "lab", "o-other")
	i.capi.AddApp("a-web", "web", "s-dev")
	i.hosts = regcredtest.HandlerTransport{"api.sys.example.com": i.capi, "uaa.sys.example.com": i.uaa}
	f, err := cloudfoundry.New(cloudfoundry.Options{API: apiURL, Transport: i.hosts})
	if err != nil {
		t.Fatal(err)
	}
	i.Foundation = f
	return i
}

// alice returns the caller that alice's token stands for.
func (i installation) alice(t testing.TB) regcred.Caller {
	t.Helper()
	c, err := i.Authenticate(t.Context(), time.Now(), i.uaa.Token("alice"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOptions(t *testing.T) {
	for _, api := range []string{
		"", "api.sys.example.com", "http://api.sys.example.com", "https://", "https://u:p@api.example.com", "https://api.example.com/v3",
		"https://api.example.com?x", "https://api.example.com#x", "file:///etc/passwd", "ftp://api.example.com", "http://10.0.0.1", "https:api.example.com",
	} {
		if _, err := cloudfoundry.New(cloudfoundry.Options{API: api}); regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%q: %v", api, err)
		}
	}
	for _, api := range []string{"https://api.sys.example.com", "https://api.sys.example.com/", "https://10.0.0.1:8443", "http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000"} {
		if _, err := cloudfoundry.New(cloudfoundry.Options{API: api}); err != nil {
			t.Errorf("%q: %v", api, err)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	i := install(t, nil)
	for _, test := range []struct {
		raw      string
		name     string
		role     regcred.Role
		readOnly bool
		code     regcred.Code // of the error, where role is ""
	}{
		{i.uaa.Token("alice"), "user alice (u-alice)", regcred.RoleUser, false, 0},
		{i.uaa.Token("reader"), "user reader (u-reader)", regcred.RoleUser, true, 0},
		{i.uaa.Token("root"), "user root (u-root)", regcred.RoleAdmin, false, 0},
		{i.uaa.Token("auditor"), "user auditor (u-auditor)", regcred.RoleAuditor, false, 0},
		{i.uaa.Token("ro"), "user ro (u-ro)", regcred.RoleAuditor, true, 0},
		{i.uaa.ClientToken("ci"), "client ci", regcred.RoleUser, false, 0},
		{i.uaa.Token("liar"), "user liar (u-liar)", regcred.RoleUser, true, 0},
		{i.uaa.Token("nobody"), "", "", false, regcred.Denied},
		{i.uaa.Token("writer"), "", "", false, regcred.Denied},
	} {
		c, err := i.Authenticate(t.Context(), time.Now(), test.raw)
		if test.role == "" {
			if regcred.CodeOf(err) != test.code || c.Role != "" || c.Members != nil {
				t.Errorf("%+v, %v", c, err)
			}
			continue
		}
		if err != nil || c.Name != test.name || c.Role != test.role || c.ReadOnly != test.readOnly || c.Members == nil || c.Scope != regcred.Foundation {
			t.Errorf("%s: %+v, %v", test.name, c, err)
		}
	}
}

// TestTokenEndpoint shows that what the fake's token endpoint gives is accepted, but for
// refresh tokens.
func TestTokenEndpoint(t *testing.T) {
	i := install(t, nil)
	access, refresh := grant(t, i, "cf", "", map[string]string{"grant_type": "password", "username": "alice", "password": "p"})
	if c, err := i.Authenticate(t.Context(), time.Now(), access); err != nil || c.Name != "user alice (u-alice)" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := i.Authenticate(t.Context(), time.Now(), refresh); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Errorf("a refresh token: %v", err)
	}
	access, _ = grant(t, i, "cf", "", map[string]string{"grant_type": "refresh_token", "refresh_token": refresh})
	if c, err := i.Authenticate(t.Context(), time.Now(), access); err != nil || c.Name != "user alice (u-alice)" {
		t.Errorf("%+v, %v", c, err)
	}
	access, _ = grant(t, i, "ci", "s", map[string]string{"grant_type": "client_credentials"})
	if c, err := i.Authenticate(t.Context(), time.Now(), access); err != nil || c.Name != "client ci" {
		t.Errorf("%+v, %v", c, err)
	}
}

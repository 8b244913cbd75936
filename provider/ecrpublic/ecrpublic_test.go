package ecrpublic_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/ecrpublic"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
)

const (
	accessKeyID = "AKIAIOSFODNN7EXAMPLE"
	secretKey   = "canary/secret+access-key-4711"
	userARN     = "arn:aws:iam::123456789012:user/regcred"
	role        = "arn:aws:iam::210987654321:role/ecr-public"
	api         = "api.ecr-public.us-east-1.amazonaws.com"
)

// newProvider returns the provider, and AWS behind it.
func newProvider(o fakeecr.Options, denied ...string) (*ecrpublic.Provider, *fakeecr.Server) {
	o.Users = map[string]fakeecr.User{accessKeyID: {ARN: userARN, Secret: secretKey, Denied: denied}}
	o.Roles = map[string]fakeecr.Role{role: {Trusts: []string{userARN}}}
	server := fakeecr.New(o)
	return ecrpublic.New(ecrpublic.Options{Transport: regcredtest.HandlerTransport{
		api: server, "sts.us-east-1.amazonaws.com": server, "ecr.corp.example": server,
	}}), server
}

func credential(location string, settings map[string]string) regcred.Credential {
	c := regcred.Credential{
		GUID: "guid-1", Provider: ecrpublic.Name, Settings: map[string]string{"access-key-id": accessKeyID},
		Secrets: map[string]regcred.Secret{"secret-access-key": regcred.NewSecret(secretKey)},
	}
	maps.Copy(c.Settings, settings)
	if location != "" {
		var err error
		if c.Location, err = imageref.ParseLocation(location); err != nil {
			panic(err)
		}
	}
	return c
}

func TestProvider(t *testing.T) {
	setting := func(name, value string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Settings[name] = value }}
	}
	at := func(location string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: "is not ECR Public", Change: func(c *regcred.Credential) { c.Location, _ = imageref.ParseLocation(location) }}
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New: func(*testing.T) regcred.Provider {
			p, _ := newProvider(fakeecr.Options{})
			return p
		},
		Credential: credential("public.ecr.aws/acme", nil),
		Examples:   map[string]string{"secret-access-key": secretKey},
		Unique:     true,
		Lifetime:   fakeecr.Lifetime,
		Invalid: map[string]regcredtest.InvalidChange{
			"two identities":             setting("profile", "registry"),
			"a region":                   setting("region", "us-east-1"),
			"no role":                    setting("external-id", "acme"),
			"a user as role":             setting("role-arn", userARN),
			"an endpoint without TLS":    setting("endpoint", "http://ecr.corp.example"),
			"a look-alike":               at("public.ecr.aws.evil.example"),
			"a look-alike in front":      at("evilpublic.ecr.aws"),
			"another port":               at("public.ecr.aws:5000"),
			"a look-alike of the second": at("ecr-public.aws.com.evil"),
			"a private registry":         at("123456789012.dkr.ecr.us-east-1.amazonaws.com"),
			"another registry":           at("registry.example.com"),
			"a password": {Names: "password", Change: func(c *regcred.Credential) {
				c.Password = regcred.NewSecret("canary-4711")
			}},
		},
	})
}

// TestRequest checks the documented shape of GetAuthorizationToken, byte for byte.
func TestRequest(t *testing.T) {
	p, server := newProvider(fakeecr.Options{})
	if _, err := p.Mint(t.Context(), credential("", nil)); err != nil {
		t.Fatal(err)
	}
	got := server.Requests()[0]
	want := fakeecr.Request{
		Method: http.MethodPost, Host: api, URI: "/", Body: `{}`,
		Header: http.Header{
			"Content-Type": {"application/x-amz-json-1.1"},
			"X-Amz-Target": {"SpencerFrontendService.GetAuthorizationToken"},
		},
	}
	for name := range maps.Clone(got.Header) {
		if _, documented := want.Header[name]; !documented {
			delete(got.Header, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHosts(t *testing.T) {
	const first, second = "public.ecr.aws", "ecr-public.aws.com"
	tests := []struct {
		name     string
		location string
		settings map[string]string
		want     []string
	}{
		{"no location", "", nil, []string{first, second}},
		{"the location", first + "/acme/app", nil, []string{first, second}},
		{"the dual-stack name", second, nil, []string{second, first}},
		{"a proxy", "mirror.corp.example", map[string]string{"host": "mirror.corp.example"}, []string{"mirror.corp.example", first, second}},
		{"by a role", first, map[string]string{"role-arn": role}, []string{first, second}},
		{"at an endpoint", first, map[string]string{"endpoint": "https://ecr.corp.example"}, []string{first, second}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, _ := newProvider(fakeecr.Options{})
			l, err := p.Mint(t.Context(), credential(test.location, test.settings))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, l.Hosts); diff != "" || l.Username != "AWS" {
				t.Errorf("user %s: %s", l.Username, diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		quirks fakeecr.Quirks
		denied []string
		code   regcred.Code
		says   string
	}{
		{"no permission", fakeecr.Quirks{}, []string{fakeecr.GetPublicAuthorizationToken}, regcred.Denied, "ecr-public:GetAuthorizationToken"},
		{"no permission of the other service", fakeecr.Quirks{}, []string{fakeecr.GetServiceBearerToken}, regcred.Denied, "sts:GetServiceBearerToken"},
		{"throttled", fakeecr.Quirks{Throttle: -1}, nil, regcred.Throttled, api},
		{"HTML", fakeecr.Quirks{Garbage: fakeecr.HTML}, nil, regcred.Unavailable, "documented form"},
		{"empty", fakeecr.Quirks{Garbage: fakeecr.Void}, nil, regcred.Unavailable, "has no token"},
		{"huge", fakeecr.Quirks{Garbage: fakeecr.Huge}, nil, regcred.Unavailable, "more than"},
		{"without token", fakeecr.Quirks{Garbage: fakeecr.NoToken}, nil, regcred.Unavailable, "password"},
		{"without expiry", fakeecr.Quirks{Garbage: fakeecr.NoExpiry}, nil, regcred.Unavailable, "expires"},
		{"redirected", fakeecr.Quirks{Redirect: "https://evil.example.com/"}, nil, regcred.Unavailable, "redirects"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, _ := newProvider(fakeecr.Options{Quirks: test.quirks}, test.denied...)
			_, err := p.Mint(t.Context(), credential("", nil))
			if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %s: %v", regcred.CodeOf(err), err)
			}
		})
	}
}

// TestSkew: a clock that is off costs no lifetime.
func TestSkew(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 5 * time.Minute, time.Hour} {
		p, _ := newProvider(fakeecr.Options{Quirks: fakeecr.Quirks{Skew: skew}})
		l, err := p.Mint(t.Context(), credential("", nil))
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Until(l.ExpiresAt) - fakeecr.Lifetime; off.Abs() > 10*time.Second {
			t.Errorf("%s: the expiry is off by %s", skew, off)
		}
	}
}

func TestUsesAndIssuer(t *testing.T) {
	p, _ := newProvider(fakeecr.Options{})
	keys := credential("", nil)
	server := credential("", nil)
	delete(server.Settings, "access-key-id")
	server.Secrets = nil
	if uses := p.Uses(keys); len(uses) != 0 {
		t.Errorf("keys use %q", uses)
	}
	if uses := p.Uses(server); len(uses) != 1 || !strings.Contains(uses[0], "AWS identity") {
		t.Errorf("no keys use %q", uses)
	}
	if a, b := p.Issuer(keys.Public()), p.Issuer(server.Public()); a == b || a != p.Issuer(credential("public.ecr.aws/acme", nil).Public()) {
		t.Errorf("the issuers are %q and %q", a, b)
	}
}

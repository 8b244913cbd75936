package ecr_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/ecr"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	host    = account + ".dkr.ecr." + region + ".amazonaws.com"

	accessKeyID = "AKIAIOSFODNN7EXAMPLE"
	secretKey   = "canary/secret+access-key-4711"
	userARN     = "arn:aws:iam::" + account + ":user/regcred"

	pullRole  = "arn:aws:iam::210987654321:role/ecr-pull"
	innerRole = "arn:aws:iam::333333333333:role/team/inner"
	podRole   = "arn:aws:iam::" + account + ":role/pod"
)

// world is AWS as far as the tests know it, without sockets.
type world struct {
	*fakeecr.Server

	provider *ecr.Provider
}

// newWorld returns one with a user, and roles that the user may assume.
func newWorld(change func(*fakeecr.Options)) world {
	o := fakeecr.Options{
		Users: map[string]fakeecr.User{accessKeyID: {ARN: userARN, Secret: secretKey}},
		Roles: map[string]fakeecr.Role{
			pullRole:  {Trusts: []string{userARN, podRole}, ExternalID: "acme-7f3a"},
			innerRole: {Trusts: []string{pullRole}, ExternalID: "acme-7f3a"},
			podRole:   {Subject: "system:serviceaccount:regcred:regcred"},
		},
	}
	if change != nil {
		change(&o)
	}
	server := fakeecr.New(o)
	hosts := regcredtest.HandlerTransport{}
	for _, name := range []string{
		"api.ecr.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com", "ecr.us-east-1.api.aws", "sts.us-east-1.api.aws",
		"sts-fips.us-east-1.amazonaws.com", "ecr-fips.us-east-1.api.aws", "sts-fips.us-east-1.api.aws",
		"api.ecr-fips.us-east-1.amazonaws.com", "api.ecr-fips.us-east-1.api.aws",
		"api.ecr.us-gov-west-1.amazonaws.com", "api.ecr-fips.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.amazonaws.com",
		"api.ecr.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.amazonaws.com.cn", "ecr.cn-north-1.api.amazonwebservices.com.cn",
		"api.ecr.eusc-de-east-1.amazonaws.eu", "api.ecr.eu-west-3.amazonaws.com",
		"ecr.corp.example", "sts.corp.example", "169.254.169.254", "169.254.170.2", "127.0.0.1:51679",
	} {
		hosts[name] = server
	}
	return world{server, ecr.New(ecr.Options{Transport: hosts})}
}

// credential returns one with the user's key; settings are pairs of name and value.
func credential(location string, settings ...string) regcred.Credential {
	c := regcred.Credential{
		GUID: "guid-1", Provider: ecr.Name,
		Settings: map[string]string{"access-key-id": accessKeyID},
		Secrets:  map[string]regcred.Secret{"secret-access-key": regcred.NewSecret(secretKey)},
	}
	if location != "" {
		var err error
		if c.Location, err = imageref.ParseLocation(location); err != nil {
			panic(err)
		}
	}
	for pair := range slices.Chunk(settings, 2) {
		c.Settings[pair[0]] = pair[1]
	}
	return c
}

// ambient returns the credential without the key.
func ambient(c regcred.Credential) regcred.Credential {
	c = c.Clone()
	delete(c.Settings, "access-key-id")
	c.Secrets = nil
	return c
}

func (w world) mint(t *testing.T, c regcred.Credential) regcred.Login {
	t.Helper()
	l, err := w.provider.Mint(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if l.Username != "AWS" || l.Password.IsZero() {
		t.Errorf("the login is for %q", l.Username)
	}
	if left := time.Until(l.ExpiresAt); left < fakeecr.Lifetime-time.Minute || left > fakeecr.Lifetime {
		t.Errorf("the login expires in %s", left)
	}
	return l
}

// TestRequest checks the documented shape of GetAuthorizationToken (its API
// reference, and the JSON 1.1 protocol), byte for byte.
func TestRequest(t *testing.T) {
	tests := []struct {
		name     string
		settings []string
		body     string
	}{
		{"no registries", nil, `{}`},
		{"registries", []string{"registry-ids", "123456789012, 210987654321"}, `{"registryIds":["123456789012","210987654321"]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(nil)
			w.mint(t, credential(host, test.settings...))
			requests := w.Requests()
			if len(requests) != 1 {
				t.Fatalf("%d requests, want one", len(requests))
			}
			got := requests[0]
			want := fakeecr.Request{
				Method: http.MethodPost, Host: "api.ecr.us-east-1.amazonaws.com", URI: "/", Body: test.body,
				Header: http.Header{
					"Content-Type": {"application/x-amz-json-1.1"},
					"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"},
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
		})
	}
}

func TestHosts(t *testing.T) {
	const (
		fips     = account + ".dkr.ecr-fips.us-east-1.amazonaws.com"
		dual     = account + ".dkr-ecr.us-east-1.on.aws"
		fipsDual = account + ".dkr-ecr-fips.us-east-1.on.aws"
		other    = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
		china    = account + ".dkr.ecr.cn-north-1.amazonaws.com.cn"
		proxy    = "registry.corp.example"
	)
	tests := []struct {
		name     string
		location string
		settings []string
		want     []string
		asked    string // the API's host
	}{
		{"the location", host + "/team/app", nil, []string{host}, "api.ecr.us-east-1.amazonaws.com"},
		{"no location", "", []string{"region", region}, []string{host}, "api.ecr.us-east-1.amazonaws.com"},
		{"in upper case, with the usual port", strings.ToUpper(host) + ":443", nil, []string{host}, "api.ecr.us-east-1.amazonaws.com"},
		{"another account's registry", other, nil, []string{other, host}, "api.ecr.us-east-1.amazonaws.com"},
		{"accounts", "", []string{"region", region, "registry-ids", "210987654321," + account}, []string{other, host}, "api.ecr.us-east-1.amazonaws.com"},
		{"accounts beside the location", host, []string{"registry-ids", "210987654321"}, []string{host, other}, "api.ecr.us-east-1.amazonaws.com"},
		{"FIPS", "", []string{"region", region, "fips", "true"}, []string{fips, host}, "api.ecr-fips.us-east-1.amazonaws.com"},
		{"FIPS by the location", fips, nil, []string{fips, host}, "api.ecr-fips.us-east-1.amazonaws.com"},
		{"FIPS by the location alone", fips, []string{"fips", "false"}, []string{fips, host}, "api.ecr.us-east-1.amazonaws.com"},
		{"dual-stack", "", []string{"region", region, "dual-stack", "true"}, []string{dual, host}, "ecr.us-east-1.api.aws"},
		{"dual-stack by the location", dual, nil, []string{dual, host}, "ecr.us-east-1.api.aws"},
		{"both", "", []string{"region", region, "dual-stack", "true", "fips", "true"}, []string{fipsDual, host}, "ecr-fips.us-east-1.api.aws"},
		{"China", china, nil, []string{china}, "api.ecr.cn-north-1.amazonaws.com.cn"},
		{"China, dual-stack", "", []string{"region", "cn-north-1", "dual-stack", "true"}, []string{account + ".dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", china}, "ecr.cn-north-1.api.amazonwebservices.com.cn"},
		{"GovCloud", "", []string{"region", "us-gov-west-1"}, []string{account + ".dkr.ecr.us-gov-west-1.amazonaws.com"}, "api.ecr.us-gov-west-1.amazonaws.com"},
		{"the European sovereign cloud", account + ".dkr.ecr.eusc-de-east-1.amazonaws.eu", nil, []string{account + ".dkr.ecr.eusc-de-east-1.amazonaws.eu"}, "api.ecr.eusc-de-east-1.amazonaws.eu"},
		{"a proxy", proxy, []string{"region", region, "host", proxy}, []string{proxy, host}, "api.ecr.us-east-1.amazonaws.com"},
		{"a proxy beside the location", host, []string{"host", proxy + ",mirror.corp.example:5000"}, []string{host, proxy, "mirror.corp.example:5000"}, "api.ecr.us-east-1.amazonaws.com"},
		{"an endpoint", host, []string{"endpoint", "https://ecr.corp.example", "fips", "true"}, []string{host, fips}, "ecr.corp.example"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(nil)
			l := w.mint(t, credential(test.location, test.settings...))
			if diff := cmp.Diff(test.want, l.Hosts); diff != "" {
				t.Error(diff)
			}
			if got := w.Requests()[0].Host; got != test.asked {
				t.Errorf("it asked %s, want %s", got, test.asked)
			}
		})
	}
}

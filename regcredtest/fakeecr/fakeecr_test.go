package fakeecr_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"regcred.dev/regcredtest/fakeecr"
)

const (
	accessKeyID = "AKIAIOSFODNN7EXAMPLE"
	secretKey   = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	userARN     = "arn:aws:iam::123456789012:user/regcred"
	role        = "arn:aws:iam::210987654321:role/team/pull"
	ecrHost     = "api.ecr.us-east-1.amazonaws.com"
	target      = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
)

func newServer() *fakeecr.Server {
	return fakeecr.New(fakeecr.Options{
		Users: map[string]fakeecr.User{accessKeyID: {ARN: userARN, Secret: secretKey}},
		Roles: map[string]fakeecr.Role{role: {Trusts: []string{userARN}, ExternalID: "acme", Subject: "sa"}},
	})
}

// request is one to the fake, as the SDK's own signer signs it.
type request struct {
	host, path, body    string
	header              map[string]string
	service, region     string
	key, secret, token  string
	at                  time.Time
	unsigned            bool
	afterwards          func(*http.Request) // what is changed once it is signed
	method, contentType string
}

func getToken() request {
	return request{
		method: http.MethodPost, host: ecrHost, path: "/", body: "{}", contentType: "application/x-amz-json-1.1",
		header: map[string]string{"X-Amz-Target": target}, service: "ecr", region: "us-east-1",
		key: accessKeyID, secret: secretKey, at: time.Now(),
	}
}

func assumeRole(form url.Values) request {
	r := getToken()
	form.Set("Version", "2011-06-15")
	r.host, r.body, r.contentType = "sts.us-east-1.amazonaws.com", form.Encode(), "application/x-www-form-urlencoded"
	r.header, r.service = nil, "sts"
	return r
}

// send returns the status and the body of the answer.
func send(t *testing.T, s *fakeecr.Server, r request) (int, string) {
	t.Helper()
	req := httptest.NewRequest(r.method, "https://"+r.host+r.path, bytes.NewReader([]byte(r.body)))
	req.Header.Set("Content-Type", r.contentType)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if !r.unsigned {
		hash := sha256.Sum256([]byte(r.body))
		keys := aws.Credentials{AccessKeyID: r.key, SecretAccessKey: r.secret, SessionToken: r.token}
		if err := v4.NewSigner().SignHTTP(context.Background(), keys, req, hex.EncodeToString(hash[:]), r.service, r.region, r.at); err != nil {
			t.Fatal(err)
		}
	}
	if r.afterwards != nil {
		r.afterwards(req)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

// TestSignatures: the fake accepts what AWS's own signer signs, and nothing else.
func TestSignatures(t *testing.T) {
	tests := []struct {
		name   string
		change func(*request)
		want   string // "": it is accepted
	}{
		{"as it should be", func(*request) {}, ""},
		{"4 minutes old", func(r *request) { r.at = r.at.Add(-4 * time.Minute) }, ""},
		{"6 minutes old", func(r *request) { r.at = r.at.Add(-6 * time.Minute) }, "Signature expired"},
		{"6 minutes early", func(r *request) { r.at = r.at.Add(6 * time.Minute) }, "Signature not yet current"},
		{"not signed", func(r *request) { r.unsigned = true }, "MissingAuthenticationTokenException"},
		{"an unknown key", func(r *request) { r.key = "AKIAUNKNOWN" }, "UnrecognizedClientException"},
		{"a session token of no session", func(r *request) { r.token = "x" }, "UnrecognizedClientException"},
		{"another secret", func(r *request) { r.secret = "x" }, "InvalidSignatureException"},
		{"another region", func(r *request) { r.region = "eu-west-1" }, "valid region"},
		{"another service", func(r *request) { r.service = "ecr-public" }, "correct service"},
		{"a changed body", func(r *request) {
			r.afterwards = func(req *http.Request) { req.Body = io.NopCloser(strings.NewReader(`{"registryIds":[]}`)) }
		}, "InvalidSignatureException"},
		{"a changed header", func(r *request) {
			r.afterwards = func(req *http.Request) { req.Header.Set("Content-Type", "application/json") }
		}, "SerializationException"},
		{"a header that is not signed", func(r *request) {
			r.afterwards = func(req *http.Request) { req.Header.Set("X-Amz-More", "x") }
		}, "InvalidSignatureException"},
		{"another host", func(r *request) {
			r.afterwards = func(req *http.Request) { req.Host = "ecr.us-east-1.api.aws" }
		}, "InvalidSignatureException"},
		{"another method", func(r *request) { r.method = http.MethodGet }, "UnknownOperationException"},
		{"another path", func(r *request) { r.path = "/x" }, "UnknownOperationException"},
		{"another operation", func(r *request) { r.header = map[string]string{"X-Amz-Target": "Other.GetAuthorizationToken"} }, "UnknownOperationException"},
		{"an unknown parameter", func(r *request) { r.body = `{"registryId":"123456789012"}` }, "SerializationException"},
		{"an account that is none", func(r *request) { r.body = `{"registryIds":["1234"]}` }, "InvalidParameterException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := getToken()
			test.change(&r)
			status, body := send(t, newServer(), r)
			if accepted := status == http.StatusOK && strings.Contains(body, "authorizationToken"); accepted != (test.want == "") || !strings.Contains(body, test.want) {
				t.Errorf("status %d, %s", status, body)
			}
		})
	}
}

// TestSTS checks trust policies, and the form of the answers.
func TestSTS(t *testing.T) {
	s := newServer()
	form := func(pairs ...string) url.Values {
		v := url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"regcred"}, "ExternalId": {"acme"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	tokenForm := func(token string) url.Values {
		return form("Action", "AssumeRoleWithWebIdentity", "WebIdentityToken", token)
	}
	good := s.WebIdentityToken("sa", fakeecr.Audience, time.Hour)
	tests := []struct {
		name   string
		form   url.Values
		status int
		want   string
	}{
		{"a role", form(), 200, "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials><AccessKeyId>ASIA"},
		{"its session", form(), 200, "<Arn>arn:aws:sts::210987654321:assumed-role/pull/regcred</Arn>"},
		{"another external id", form("ExternalId", "x"), 403, "<Code>AccessDenied</Code>"},
		{"another role", form("RoleArn", role+"x"), 403, "<Code>AccessDenied</Code>"},
		{"too long", form("DurationSeconds", "43201"), 400, "<Code>ValidationError</Code>"},
		{"no session name", form("RoleSessionName", ""), 400, "<Code>ValidationError</Code>"},
		{"another action", form("Action", "GetSessionToken"), 400, "<Code>InvalidAction</Code>"},
		{"a web identity", tokenForm(good), 200, "<AssumeRoleWithWebIdentityResult><Credentials>"},
		{"of another", tokenForm(s.WebIdentityToken("x", fakeecr.Audience, time.Hour)), 403, "<Code>AccessDenied</Code>"},
		{"for another", tokenForm(s.WebIdentityToken("sa", "x", time.Hour)), 400, "Incorrect token audience"},
		{"expired", tokenForm(s.WebIdentityToken("sa", fakeecr.Audience, -time.Hour)), 400, "ExpiredTokenException"},
		{"of another issuer", tokenForm(newServer().WebIdentityToken("sa", fakeecr.Audience, time.Hour)), 400, "InvalidIdentityToken"},
		{"no token", tokenForm("x"), 400, "ValidationError"},
		{"a token of no algorithm", tokenForm("eyJhbGciOiJub25lIn0" + good[strings.IndexByte(good, '.'):strings.LastIndexByte(good, '.')] + "."), 400, "ValidationError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if status, body := send(t, s, assumeRole(test.form)); status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("status %d, %s", status, body)
			}
		})
	}
}

// TestMachine: the metadata service asks for its token (IMDSv2), the container's
// for the pod's.
func TestMachine(t *testing.T) {
	s := fakeecr.New(fakeecr.Options{MachineRole: role, MachineToken: "pod-token"})
	tests := []struct {
		method, path, name, value string
		status                    int
		want                      string
	}{
		{http.MethodGet, fakeecr.CredentialsPath, "Authorization", "pod-token", 200, `"AccountId":"210987654321"`},
		{http.MethodGet, fakeecr.CredentialsPath, "Authorization", "x", 401, "AccessDenied"},
		{http.MethodGet, "/latest/meta-data/iam/security-credentials/", "X", "", 401, ""},
		{http.MethodGet, "/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300", 403, ""},
		{http.MethodPut, "/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300", 200, "imds-token"},
		{http.MethodGet, "/latest/dynamic/instance-identity/document", "X-Aws-Ec2-Metadata-Token", "imds-token", 200, fakeecr.MachineRegion},
		{http.MethodGet, "/latest/other", "X-Aws-Ec2-Metadata-Token", "imds-token", 404, ""},
	}
	for _, test := range tests {
		r := request{method: test.method, host: "169.254.169.254", path: test.path, header: map[string]string{test.name: test.value}, unsigned: true}
		if status, body := send(t, s, r); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: status %d, %s", test.method, test.path, status, body)
		}
	}
}

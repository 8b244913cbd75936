package ecr_test

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/provider/ecr"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
)

const sessionToken = "canary/session+token-0815"

// TestErrors checks what each refusal reads like, and that none shows a secret.
func TestErrors(t *testing.T) {
	denied := func(actions ...string) func(*fakeecr.Options) {
		return func(o *fakeecr.Options) {
			o.Users = map[string]fakeecr.User{accessKeyID: {ARN: userARN, Secret: secretKey, Denied: actions}}
		}
	}
	quirks := func(q fakeecr.Quirks) func(*fakeecr.Options) {
		return func(o *fakeecr.Options) { o.Quirks = q }
	}
	roles := []string{"role-arn", pullRole, "external-id", "acme-7f3a"}
	tests := []struct {
		name   string
		change func(*fakeecr.Options)
		c      regcred.Credential
		code   regcred.Code
		says   []string
	}{
		{"no permission", denied("ecr:GetAuthorizationToken"), credential(host), regcred.Denied,
			[]string{"access key " + accessKeyID, userARN, "allows ecr:GetAuthorizationToken"}},
		{"an unknown key", nil, credential(host, "access-key-id", "AKIAUNKNOWN"), regcred.Denied, []string{"AKIAUNKNOWN", "deleted or disabled"}},
		{"another secret", func(o *fakeecr.Options) {
			o.Users = map[string]fakeecr.User{accessKeyID: {ARN: userARN, Secret: "other"}}
		}, credential(host), regcred.Denied, []string{"secret access key does not go with the access key " + accessKeyID}},
		{"a session token of no session", nil, func() regcred.Credential {
			c := credential(host)
			c.Secrets["session-token"] = regcred.NewSecret(sessionToken)
			return c
		}(), regcred.Denied, []string{"UnrecognizedClientException"}},
		{"the wrong external id", nil, credential(host, "role-arn", pullRole, "external-id", "other"), regcred.Denied,
			[]string{"may not assume the role " + pullRole, "trust policy", "external id", userARN, "sts:AssumeRole"}},
		{"a role that does not exist", nil, credential(host, "role-arn", "arn:aws:iam::123456789012:role/none"), regcred.Denied,
			[]string{"may not assume the role arn:aws:iam::123456789012:role/none"}},
		{"a role that may not be chained", nil, credential(host, "role-arn", pullRole+","+podRole, "external-id", "acme-7f3a"), regcred.Denied,
			[]string{"the role " + pullRole, "may not assume the role " + podRole}},
		{"a role without permission", func(o *fakeecr.Options) {
			o.Roles[pullRole] = fakeecr.Role{Trusts: []string{userARN}, Denied: []string{"ecr:GetAuthorizationToken"}}
		}, credential(host, roles...), regcred.Denied, []string{"the role " + pullRole + " (arn:aws:sts::210987654321:assumed-role/ecr-pull/regcred)", "ecr:GetAuthorizationToken"}},
		{"an unknown key, for a role", nil, credential(host, append(roles, "access-key-id", "AKIAUNKNOWN")...), regcred.Denied, []string{"sts:AssumeRole (InvalidClientTokenId)", "AKIAUNKNOWN"}},
		{"a region that does not exist", nil, credential("", "region", "xx-nowhere-1"), regcred.Unavailable, []string{"api.ecr.xx-nowhere-1.amazonaws.com cannot be reached"}},
		{"the endpoint of another region", nil, credential("", "region", "eu-west-1", "endpoint", "https://api.ecr.us-east-1.amazonaws.com"), regcred.Denied, []string{"the endpoint is not of this region"}},
		{"throttled", quirks(fakeecr.Quirks{Throttle: -1}), credential(host), regcred.Throttled, []string{"api.ecr.us-east-1.amazonaws.com", "ThrottlingException"}},
		{"throttled by STS", quirks(fakeecr.Quirks{Throttle: -1}), credential(host, roles...), regcred.Throttled, []string{"sts.us-east-1.amazonaws.com", "Throttling"}},
		{"redirected", quirks(fakeecr.Quirks{Redirect: "https://evil.example.com/"}), credential(host), regcred.Unavailable, []string{"redirects", "not followed"}},
		{"HTML", quirks(fakeecr.Quirks{Garbage: fakeecr.HTML}), credential(host), regcred.Unavailable, []string{"not in AWS's documented form"}},
		{"cut", quirks(fakeecr.Quirks{Garbage: fakeecr.Cut}), credential(host), regcred.Unavailable, []string{"not in AWS's documented form"}},
		{"empty", quirks(fakeecr.Quirks{Garbage: fakeecr.Void}), credential(host), regcred.Unavailable, []string{"has no token"}},
		{"huge", quirks(fakeecr.Quirks{Garbage: fakeecr.Huge}), credential(host), regcred.Unavailable, []string{"more than 1048576 bytes"}},
		{"without token", quirks(fakeecr.Quirks{Garbage: fakeecr.NoToken}), credential(host), regcred.Unavailable, []string{"password for the user AWS"}},
		{"without expiry", quirks(fakeecr.Quirks{Garbage: fakeecr.NoExpiry}), credential(host), regcred.Unavailable, []string{"does not say when the token expires"}},
		{"an expiry of long ago", quirks(fakeecr.Quirks{Garbage: fakeecr.BadExpiry}), credential(host), regcred.Unavailable, []string{"expiry that makes no sense"}},
		{"an expiry in a century", quirks(fakeecr.Quirks{Lifetime: 876000 * time.Hour}), credential(host), regcred.Unavailable, []string{"expiry that makes no sense"}},
		{"a registry host of another", func(o *fakeecr.Options) { o.ProxyEndpoint = "https://" + host + ".evil.example" }, credential("", "region", region), regcred.Unavailable, []string{"give the credential a location"}},
		{"a registry host without TLS", func(o *fakeecr.Options) { o.ProxyEndpoint = "http://" + host }, credential("", "region", region), regcred.Unavailable, []string{"give the credential a location"}},
		{"a registry of another region", func(o *fakeecr.Options) { o.ProxyEndpoint = "https://" + account + ".dkr.ecr.eu-west-1.amazonaws.com" }, credential("", "region", region), regcred.Unavailable, []string{"give the credential a location"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, newWorld(test.change), test.c, test.code, test.says...)
		})
	}
}

// wantError mints, and checks the error.
func wantError(t *testing.T, w world, c regcred.Credential, code regcred.Code, says ...string) {
	t.Helper()
	l, err := w.provider.Mint(t.Context(), c)
	if err == nil {
		t.Fatalf("it gave a login for %v", l.Hosts)
	}
	if regcred.CodeOf(err) != code {
		t.Errorf("the error is %s, want %s: %v", regcred.CodeOf(err), code, err)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	for _, secret := range []string{secretKey, sessionToken, "eyJwYXlsb2FkIjoi"} {
		if found := regcredtest.Leaks([]byte(err.Error()), secret); found != nil {
			t.Errorf("the error shows a secret (%v)", found)
		}
	}
	if strings.Contains(err.Error(), "session-") || strings.Contains(err.Error(), "Canonical") {
		t.Errorf("the error shows what AWS said of a signature: %v", err)
	}
}

// TestAnswers checks what answers mean that the fake does not give.
func TestAnswers(t *testing.T) {
	aws := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "of " + secretKey})
		}
	}
	// at has a clock of its own, which the SDK's correction does not help.
	at := func(ahead time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			aws(400, "InvalidSignatureException")(w, r)
		}
	}
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>" + secretKey))
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		code   regcred.Code
		says   string
	}{
		{"the clock is behind", at(time.Hour), regcred.Denied, "behind AWS's: set it"},
		{"the clock is ahead", at(-time.Hour), regcred.Denied, "ahead of AWS's: set it"},
		{"an old session", aws(400, "ExpiredTokenException"), regcred.Denied, "has expired"},
		{"a region to opt in to", aws(403, "OptInRequired"), regcred.Denied, "not enabled for the account"},
		{"an account that is suspended", aws(400, "PendingVerification"), regcred.Denied, "PendingVerification"},
		{"a code that is none", aws(400, "<b>"+secretKey), regcred.Denied, "an unknown error"},
		{"a failure", aws(500, "ServerException"), regcred.Unavailable, "ServerException, status 500"},
		{"a page of a gateway", page(502), regcred.Unavailable, "status 502"},
		{"a page of a proxy", page(403), regcred.Denied, "is it AWS's endpoint?"},
		{"too many, says a proxy", page(429), regcred.Throttled, "less often"},
		{"an empty list", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"authorizationData":[]}`)) }, regcred.Unavailable, "has no token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			transport := regcredtest.HandlerTransport{"api.ecr.us-east-1.amazonaws.com": test.answer}
			wantError(t, world{provider: ecr.New(ecr.Options{Transport: transport})}, credential(host), test.code, test.says)
		})
	}
}

// noName is a transport to hosts whose names do not resolve.
type noName struct{}

func (noName) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}
}

func TestNoName(t *testing.T) {
	w := world{provider: ecr.New(ecr.Options{Transport: noName{}})}
	wantError(t, w, credential("", "region", "us-west-9"), regcred.Unavailable, "api.ecr.us-west-9.amazonaws.com", "is the region right")
}

// TestServerErrors are those of the server's own identity.
func TestServerErrors(t *testing.T) {
	token := func(t *testing.T, content string) {
		dir := cleanServer(t)
		t.Setenv("AWS_ROLE_ARN", podRole)
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, filepath.Join(dir, "token"), content))
	}
	w := newWorld(nil)
	const subject = "system:serviceaccount:regcred:regcred"
	tests := []struct {
		name     string
		prepare  func(t *testing.T)
		settings []string
		code     regcred.Code
		says     []string
	}{
		{"none", func(t *testing.T) {
			cleanServer(t)
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		}, nil, regcred.Unavailable, []string{"the server's own AWS identity", "access-key-id", "role (of EKS, ECS or EC2)"}},
		{"no profile", func(t *testing.T) { cleanServer(t) }, []string{"profile", "none"}, regcred.Invalid, []string{`no profile "none"`}},
		{"no token file", func(t *testing.T) {
			dir := cleanServer(t)
			t.Setenv("AWS_ROLE_ARN", podRole)
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(dir, "missing"))
		}, nil, regcred.Invalid, []string{"missing", "cannot be read", "no such file"}},
		{"no token file of the credential's", func(t *testing.T) { cleanServer(t) },
			[]string{"web-identity-token-file", "/nonexistent/token", "role-arn", podRole}, regcred.Invalid, []string{"/nonexistent/token", "no such file"}},
		{"a token file without an end", func(t *testing.T) { cleanServer(t) },
			[]string{"web-identity-token-file", "/dev/zero", "role-arn", podRole}, regcred.Invalid, []string{"/dev/zero", "no regular file"}},
		{"a token of another service account", func(t *testing.T) { token(t, w.WebIdentityToken("x", fakeecr.Audience, time.Hour)) }, nil,
			regcred.Denied, []string{"sts:AssumeRoleWithWebIdentity", "trust policy"}},
		{"a token for another audience", func(t *testing.T) { token(t, w.WebIdentityToken(subject, "kubernetes", time.Hour)) }, nil,
			regcred.Denied, []string{"web identity token", "audience"}},
		{"a token that has expired", func(t *testing.T) { token(t, w.WebIdentityToken(subject, fakeecr.Audience, -time.Hour)) }, nil,
			regcred.Denied, []string{"has expired"}},
		{"a token that is none", func(t *testing.T) { token(t, sessionToken) }, nil, regcred.Denied, []string{"ValidationError"}},
		{"a configuration that cannot be read", func(t *testing.T) {
			write(t, filepath.Join(cleanServer(t), "config"), "[default]\ncredential_process = "+secretKey+"\nsource_profile = x\nrole_arn\n[=")
		}, []string{"profile", "default"}, regcred.Unavailable, []string{"the profile default"}},
		{"no region", func(t *testing.T) {
			cleanServer(t)
			t.Setenv("AWS_ACCESS_KEY_ID", accessKeyID)
			t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		}, []string{"region", ""}, regcred.Invalid, []string{"AWS_REGION"}},
		{"a bundle of authorities", func(t *testing.T) {
			dir := cleanServer(t)
			t.Setenv("AWS_CA_BUNDLE", write(t, filepath.Join(dir, "ca.pem"), "x"))
		}, nil, regcred.Unavailable, []string{"AWS_CA_BUNDLE", "ca"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.prepare(t)
			c := ambient(credential("", append([]string{"region", region}, test.settings...)...))
			if c.Settings["region"] == "" {
				delete(c.Settings, "region")
			}
			wantError(t, w, c, test.code, test.says...)
		})
	}
}

// TestSkew: a clock that is off costs one more request, and no lifetime.
func TestSkew(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, -5 * time.Minute, 5 * time.Minute, time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(func(o *fakeecr.Options) { o.Skew = skew })
				l := w.mint(t, credential(host, "role-arn", pullRole, "external-id", "acme-7f3a"))
				if off := time.Until(l.ExpiresAt) - fakeecr.Lifetime; off.Abs() > 2*time.Second {
					t.Errorf("the expiry is off by %s", off)
				}
				if n := len(w.Requests()); n > 4 {
					t.Errorf("it took %d requests, want two of each kind at most", n)
				}
			})
		})
	}
}

// TestRetryAfter: what AWS asks for is handed on, and nothing is tried again.
func TestRetryAfter(t *testing.T) {
	w := newWorld(func(o *fakeecr.Options) { o.Throttle, o.RetryAfter = 1, 17*time.Second })
	_, err := w.provider.Mint(t.Context(), credential(host))
	throttled, ok := err.(*regcred.Error) //nolint:errorlint // the very error
	if !ok || throttled.RetryAfter != 17*time.Second {
		t.Errorf("the error is %#v", err)
	}
	if n := len(w.Requests()); n != 1 {
		t.Errorf("%d requests, want one: retries are refresh's", n)
	}
}

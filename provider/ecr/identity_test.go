package ecr_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/provider/ecr"
	"regcred.dev/regcredtest/fakeecr"
)

// cleanServer makes the server's own AWS configuration an empty one.
func cleanServer(t *testing.T) (dir string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restores it at the end
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir = t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	return dir
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// calls returns what was asked in order, by action and session.
func (w world) calls() []string {
	var list []string
	for _, r := range w.Requests() {
		switch {
		case r.Header.Get("X-Amz-Target") != "":
			list = append(list, "GetAuthorizationToken")
		default:
			_, action, _ := strings.Cut(r.Body, "Action=")
			action, _, _ = strings.Cut(action, "&")
			list = append(list, action)
		}
	}
	return list
}

func TestRoles(t *testing.T) {
	tests := []struct {
		name     string
		settings []string
		want     []string
	}{
		{"one", []string{"role-arn", pullRole, "external-id", "acme-7f3a", "role-session-name", "prod@regcred"}, []string{"AssumeRole", "GetAuthorizationToken"}},
		{"chained", []string{"role-arn", pullRole + ", " + innerRole, "external-id", "acme-7f3a"}, []string{"AssumeRole", "AssumeRole", "GetAuthorizationToken"}},
		{"at another STS", []string{"role-arn", pullRole, "external-id", "acme-7f3a", "sts-endpoint", "https://sts.corp.example"}, []string{"AssumeRole", "GetAuthorizationToken"}},
		{"FIPS", []string{"role-arn", pullRole, "external-id", "acme-7f3a", "fips", "true", "dual-stack", "true"}, []string{"AssumeRole", "GetAuthorizationToken"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(nil)
			c := credential("", append(test.settings, "region", region)...)
			l := w.mint(t, c)
			if diff := cmp.Diff(test.want, w.calls()); diff != "" {
				t.Error(diff)
			}
			roles := strings.Split(c.Settings["role-arn"], ":")
			if want := roles[len(roles)-2] + "."; !strings.HasPrefix(l.Hosts[0], want) {
				t.Errorf("the login is for %s, want the account of the last role, %s", l.Hosts[0], want)
			}
			session := "regcred"
			if name, ok := c.Settings["role-session-name"]; ok {
				session = strings.ReplaceAll(name, "@", "%40")
			}
			if body := w.Requests()[0].Body; !strings.Contains(body, "RoleSessionName="+session+"&") || !strings.Contains(body, "ExternalId=acme-7f3a") {
				t.Errorf("it asked for %s", body)
			}
			want := "sts.us-east-1.amazonaws.com"
			switch {
			case c.Settings["sts-endpoint"] != "":
				want = "sts.corp.example"
			case c.Settings["fips"] != "":
				want = "sts-fips.us-east-1.api.aws"
			}
			if got := w.Requests()[0].Host; got != want {
				t.Errorf("it asked %s, want %s", got, want)
			}
		})
	}
}

// TestServerIdentity mints with each of the server's own identities that AWS's SDK
// finds, and says that it uses them.
func TestServerIdentity(t *testing.T) {
	irsa := func(t *testing.T, w world, dir string) {
		t.Setenv("AWS_ROLE_ARN", podRole)
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, filepath.Join(dir, "token"), w.WebIdentityToken("system:serviceaccount:regcred:regcred", fakeecr.Audience, time.Hour)))
	}
	keys := "aws_access_key_id = " + accessKeyID + "\naws_secret_access_key = " + secretKey + "\n"
	tests := []struct {
		name     string
		prepare  func(t *testing.T, w world, dir string)
		settings []string
		want     []string // calls
		machine  bool     // whether the machine is asked who it is
	}{
		{
			"environment", func(t *testing.T, _ world, _ string) {
				t.Setenv("AWS_ACCESS_KEY_ID", accessKeyID)
				t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
				t.Setenv("AWS_REGION", region)
			}, nil, nil, false,
		},
		{
			"environment, another region", func(t *testing.T, _ world, _ string) {
				t.Setenv("AWS_ACCESS_KEY_ID", accessKeyID)
				t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
				t.Setenv("AWS_REGION", "ap-south-1")
			}, []string{"region", region}, nil, false,
		},
		{"service account of EKS", irsa, []string{"region", region}, []string{"AssumeRoleWithWebIdentity"}, false},
		{"service account of EKS, another STS", irsa, []string{"region", region, "sts-endpoint", "https://sts.corp.example"}, []string{"AssumeRoleWithWebIdentity"}, false},
		{
			"service account of EKS, a role more", irsa,
			[]string{"region", region, "role-arn", pullRole, "external-id", "acme-7f3a"}, []string{"AssumeRoleWithWebIdentity", "AssumeRole"}, false,
		},
		{
			"pod identity of EKS", func(t *testing.T, _ world, dir string) {
				t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:51679"+fakeecr.CredentialsPath)
				t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write(t, filepath.Join(dir, "pod"), "pod-token"))
			}, []string{"region", region}, nil, true,
		},
		{
			"task of ECS", func(t *testing.T, _ world, _ string) {
				t.Setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", fakeecr.CredentialsPath)
				t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token")
			}, []string{"region", region}, nil, true,
		},
		{"instance of EC2", func(*testing.T, world, string) {}, []string{"region", region}, nil, true},
		{"instance of EC2, its region", func(*testing.T, world, string) {}, nil, nil, true},
		{
			"default profile", func(t *testing.T, _ world, dir string) {
				write(t, filepath.Join(dir, "config"), "[default]\nregion = us-east-1\n")
				write(t, filepath.Join(dir, "credentials"), "[default]\n"+keys)
			}, nil, nil, false,
		},
		{
			"a profile", func(t *testing.T, _ world, dir string) {
				write(t, filepath.Join(dir, "credentials"), "[registry]\n"+keys)
			}, []string{"profile", "registry", "region", region}, nil, false,
		},
		{
			"a profile with a role", func(t *testing.T, _ world, dir string) {
				write(t, filepath.Join(dir, "config"), "[profile registry]\nregion = us-east-1\nsource_profile = base\nrole_arn = "+pullRole+"\nexternal_id = acme-7f3a\n")
				write(t, filepath.Join(dir, "credentials"), "[base]\n"+keys)
			}, []string{"profile", "registry"}, []string{"AssumeRole"}, false,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := cleanServer(t)
			w := newWorld(func(o *fakeecr.Options) { o.MachineRole, o.MachineToken = podRole, "pod-token" })
			test.prepare(t, w, dir)
			c := ambient(credential("", test.settings...))
			l := w.mint(t, c)
			if diff := cmp.Diff(append(test.want, "GetAuthorizationToken"), w.calls()); diff != "" {
				t.Error(diff)
			}
			if asked := w.Calls()[fakeecr.MachineIdentity] > 0; asked != test.machine {
				t.Errorf("the machine was asked who it is: %t, want %t", asked, test.machine)
			}
			want := ".dkr.ecr.us-east-1.amazonaws.com"
			if c.Settings["region"] == "" && test.machine {
				want = ".dkr.ecr." + fakeecr.MachineRegion + ".amazonaws.com"
			}
			if !strings.HasSuffix(l.Hosts[0], want) {
				t.Errorf("the login is for %s", l.Hosts[0])
			}
			if len(w.provider.Uses(c)) == 0 {
				t.Error("it does not say that it uses the server")
			}
		})
	}
}

// TestWebIdentityFile: a token file and a role that the credential names.
func TestWebIdentityFile(t *testing.T) {
	dir := cleanServer(t)
	w := newWorld(nil)
	file := write(t, filepath.Join(dir, "token"), w.WebIdentityToken("system:serviceaccount:regcred:regcred", fakeecr.Audience, time.Hour))
	c := ambient(credential("", "region", region, "web-identity-token-file", file, "role-arn", podRole+","+pullRole, "external-id", "acme-7f3a"))
	w.mint(t, c)
	if diff := cmp.Diff([]string{"AssumeRoleWithWebIdentity", "AssumeRole", "GetAuthorizationToken"}, w.calls()); diff != "" {
		t.Error(diff)
	}
	// A file that was rotated is read anew.
	write(t, file, w.WebIdentityToken("another", fakeecr.Audience, time.Hour))
	if _, err := w.provider.Mint(t.Context(), c); regcred.CodeOf(err) != regcred.Denied {
		t.Errorf("with the token of another: %v", err)
	}
}

// TestStaticIsolation: a credential with keys of its own sees nothing of the
// server's configuration, however that is set.
func TestStaticIsolation(t *testing.T) {
	dir := cleanServer(t)
	t.Setenv("AWS_ENDPOINT_URL", "https://evil.example")
	t.Setenv("AWS_ENDPOINT_URL_STS", "https://evil.example")
	t.Setenv("AWS_REGION", "ap-south-1")
	t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
	t.Setenv("AWS_SESSION_TOKEN", "server-session")
	t.Setenv("AWS_ROLE_ARN", podRole)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_CA_BUNDLE", filepath.Join(dir, "none"))
	t.Setenv("AWS_PROFILE", "none")
	w := newWorld(nil)
	c := credential(host, "role-arn", pullRole, "external-id", "acme-7f3a")
	w.mint(t, c)
	if got := w.Requests()[0].Host; got != "sts.us-east-1.amazonaws.com" {
		t.Errorf("it asked %s", got)
	}
	if uses := w.provider.Uses(c); len(uses) != 0 {
		t.Errorf("it uses %q", uses)
	}
}

func TestUses(t *testing.T) {
	p := ecr.New(ecr.Options{})
	tests := []struct {
		name string
		c    regcred.Credential
		want []string
	}{
		{"keys", credential(host), nil},
		{"nothing", ambient(credential(host)), []string{"the server's own AWS identity"}},
		{"a role alone", ambient(credential(host, "role-arn", pullRole)), []string{"the server's own AWS identity"}},
		{"a profile", ambient(credential(host, "profile", "p")), []string{`the setting "profile"`}},
		{"an endpoint", credential(host, "endpoint", "https://ecr.corp.example", "ca", "x", "host", "r.corp.example", "sts-endpoint", "https://x"),
			[]string{`the setting "endpoint"`, `the setting "sts-endpoint"`, `the setting "ca"`, `the setting "host"`}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, p.Uses(test.c)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestIssuer: what counts towards one quota has one issuer, known without secrets.
func TestIssuer(t *testing.T) {
	p := ecr.New(ecr.Options{})
	issuer := func(c regcred.Credential) string { return p.Issuer(c.Public()) }
	same := issuer(credential(host))
	for name, c := range map[string]regcred.Credential{
		"another registry of the region":  credential("210987654321.dkr.ecr.us-east-1.amazonaws.com"),
		"by the setting":                  credential("", "region", region),
		"another kind of host":            credential(account + ".dkr.ecr-fips.us-east-1.amazonaws.com"),
		"a path, and accounts beside it":  credential(host+"/team", "registry-ids", account),
		"the region said twice, the same": credential(host, "region", region),
	} {
		if got := issuer(c); got != same {
			t.Errorf("%s: the issuer is %q, not %q", name, got, same)
		}
	}
	others := []string{same}
	for name, c := range map[string]regcred.Credential{
		"another region":     credential("", "region", "eu-west-1"),
		"another key":        credential(host, "access-key-id", "AKIAANOTHER"),
		"a role":             credential(host, "role-arn", pullRole),
		"the server":         ambient(credential(host)),
		"a profile":          ambient(credential(host, "profile", "p")),
		"another endpoint":   credential(host, "endpoint", "https://ecr.corp.example"),
		"roles, the last is": credential(host, "role-arn", pullRole+","+innerRole),
	} {
		got := issuer(c)
		if slices.Contains(others, got) {
			t.Errorf("%s: the issuer is %q, as another's", name, got)
		}
		others = append(others, got)
	}
}

package clients_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/exec"
)

// TestExec has provider exec ask the helpers that docker asks too.
func TestExec(t *testing.T) {
	dir := programs(t)
	command(t, "go", "build", "-o", dir, "github.com/awslabs/amazon-ecr-credential-helper/ecr-login/cli/docker-credential-ecr-login")
	isolate(t)
	serve(t)
	p := exec.New(exec.Options{Dirs: []string{dir}})

	for _, location := range []string{"registry.example.com", "registry.example.com:5000", "docker.io", "docker.io/acme"} {
		c := execCredential(t, location, "regcred", "REGCRED_SERVER,REGCRED_TOKEN,REGCRED_ORG")
		got, err := p.Mint(t.Context(), c)
		host := c.Location.Host()
		if err != nil || got.Username != "user" || got.Password.Reveal() != passwordOf(host) || !got.Serves(host) {
			t.Errorf("%s: it gave %v, %v", location, got, err)
		}
	}
	testAmazon(t, p)
	for _, test := range []struct {
		location, helper, env string
		code                  regcred.Code
		want                  string
	}{
		{"none.example.com", "regcred", "REGCRED_SERVER,REGCRED_TOKEN,REGCRED_ORG", regcred.Denied, "docker-credential-regcred gave no login for none.example.com: it has no login"},
		{"registry.example.com", "regcred", "REGCRED_ORG", regcred.Unavailable, "it ended with exit status 1"},
		{amazonHost, "ecr-login", "AWS_EC2_METADATA_DISABLED", regcred.Denied, "docker-credential-ecr-login gave no login for " + amazonHost + ": it has no login"},
		{"registry.example.com", filepath.Join(dir, "docker-credential-ecr-login"), "HOME", regcred.Denied, "docker-credential-ecr-login gave no login for registry.example.com: it has no login"},
	} {
		got, err := p.Mint(t.Context(), execCredential(t, test.location, test.helper, test.env))
		if regcred.CodeOf(err) != test.code || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %s: it gave %v, %v", test.location, test.helper, got, err)
		}
	}
}

const amazonHost = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

// testAmazon gets a login from Amazon's own helper, with an ECR in this process.
func testAmazon(t *testing.T, p regcred.Provider) {
	t.Helper()
	ecr := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
		if got := r.Header.Get("X-Amz-Target"); got != target {
			t.Errorf("the helper asks for %q", got)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,"proxyEndpoint":%q}]}`,
			base64.StdEncoding.EncodeToString([]byte("AWS:the token")), time.Now().Add(12*time.Hour).Unix(), "https://"+amazonHost)
	}))
	t.Cleanup(ecr.Close)
	t.Setenv("AWS_ENDPOINT_URL_ECR", ecr.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-4711")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	got, err := p.Mint(t.Context(), execCredential(t, amazonHost, "ecr-login", "AWS_ENDPOINT_URL_ECR,AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY"))
	if err != nil || got.Username != "AWS" || got.Password.Reveal() != "the token" || !got.Serves(amazonHost) {
		t.Errorf("it gave %v, %v", got, err)
	}
}

func execCredential(t testing.TB, location, helper, env string) regcred.Credential {
	t.Helper()
	l, err := imageref.ParseLocation(location)
	must(t, err)
	return regcred.Credential{Provider: exec.Name, Location: l, Settings: map[string]string{"helper": helper, "env": env}}
}

package kubelet_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/credentialprovider/plugin"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/regcredtest/fakecluster"
)

// patience bounds what should take an instant.
const patience = 20 * time.Second

const (
	audience = "regcred"
	nodeHost = "node.example.net" // asked for with the node's token
)

// stored are credentials, and whose they are. The password of each says which it is.
var stored = []struct {
	location string
	scope    regcred.Scope
}{
	{"registry.example.com", regcred.Foundation},
	{"registry.example.com", regcred.OrgScope("acme")},
	{"registry.example.com/team", regcred.SpaceScope("acme", "shop")},
	{"registry.example.com/team/app", regcred.OrgScope("acme")},
	{"registry.example.com/v2", regcred.OrgScope("acme")},
	{"registry.example.com:5000", regcred.SpaceScope("acme", "shop")},
	{"whole.example.com", regcred.OrgScope("acme")},
	{"paths.example.com/team", regcred.OrgScope("acme")},
	{"example.com", regcred.OrgScope("bank")},
	{"bank.example.com", regcred.SpaceScope("bank", "vault")},
	{"docker.io", regcred.OrgScope("acme")},
	{"docker.io/team", regcred.SpaceScope("acme", "shop")},
	{nodeHost, regcred.Foundation},
	{nodeHost, regcred.OrgScope("acme")},
}

// asked are images as users write them.
var asked = []string{
	"registry.example.com/app", "registry.example.com/team", "registry.example.com/team/app", "registry.example.com/team/app/x:1",
	"registry.example.com/teams/app", "registry.example.com/v2/app", "registry.example.com/v1/app", "Registry.example.com/team/app",
	"registry.example.com:443/team/app", "registry.example.com:5000/team/app", "registry.example.com:5000/app",
	"whole.example.com/a", "whole.example.com/a/b@sha256:" + strings.Repeat("0", 64), "paths.example.com/team/app", "paths.example.com/other",
	"bank.example.com/app", "other.example.com/app", "nginx", "nginx:1.27", "team/app", "docker.io/team/app", "acme/app", "index.docker.io/acme/app",
	"public.example.org/app",
}

// pods are the namespaces with their scopes, as the configuration below maps them.
var pods = map[string]regcred.Scope{
	"shop": regcred.SpaceScope("acme", "shop"), "tools": regcred.OrgScope("acme"),
	"vault": regcred.SpaceScope("bank", "vault"), "other": regcred.SpaceScope("rest", "other"),
}

const serverConfig = `
kubernetes_tokens:
- name: test
  issuer: %s
  audience: %s
  ca: %s
  scope:
    namespaces:
      shop: {organization: acme, space: shop}
      tools: {organization: acme}
      vault: {organization: bank, space: vault}
    default_organization: rest
`

// guide is the page whose configurations of the kubelet are used here.
const guide = "../../docs/credential-helper.md"

// writeConfigs writes the guide's configurations of the kubelet, for pods and for the
// node, as they stand there but for names, and returns their directory.
func writeConfigs(t *testing.T, url, tokenFile string) string {
	t.Helper()
	page, err := os.ReadFile(guide)
	must(t, err)
	configs := regexp.MustCompile("(?s)```yaml\n(apiVersion: kubelet.config.k8s.io/v1\n.*?)```").FindAllSubmatch(page, -1)
	if len(configs) != 2 {
		t.Fatalf("%s has %d configurations of the kubelet, not one for pods and one for a node", guide, len(configs))
	}
	server := []string{"--server=https://regcred.example.com", "--server=" + url}
	names := strings.NewReplacer(append(server, `"docker.io"]`, `"docker.io", "*.example.com:443", "index.docker.io", "*.example.org"]`)...)
	nodeNames := strings.NewReplacer(append(server,
		"name: docker-credential-regcred", "name: regcred-of-the-node", `"*.example.com"`, `"`+nodeHost+`"`,
		"/etc/kubernetes/regcred.token", tokenFile)...)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pods.yaml"), names.Replace(string(configs[0][1])))
	write(t, filepath.Join(dir, "node.yaml"), nodeNames.Replace(string(configs[1][1])))
	return dir
}

// TestPlugin has the kubelet's own code run the plugin, as CredentialProviderConfig
// says, for pods of several tenants and for a node, and compares what it would pull with to what
// regcred resolves to: in any order, so that nothing that it keeps is used where it is
// wrong.
func TestPlugin(t *testing.T) {
	fake, ca := issuer(t)
	bin := programs(t)
	config := filepath.Join(t.TempDir(), "regcred.yaml")
	write(t, config, fmt.Sprintf(serverConfig, fake.Issuer(), audience, ca))
	server, url, stop := serve(t, bin, config)
	for _, c := range stored {
		_, err := server.CreateCredential(t.Context(), client.CreateRequest{
			Location: c.location, Username: "user", Password: passwordOf(c.location, c.scope), Relationships: client.RelationshipsOf(c.scope),
		})
		must(t, err)
	}
	tokens := register(t, server, fake, bin, url)

	var asks []ask
	for namespace := range pods {
		for _, image := range asked {
			asks = append(asks, ask{namespace, image})
		}
		asks = append(asks, ask{namespace, nodeHost + "/app"})
	}
	right := map[string]string{}
	for range 2 {
		rand.Shuffle(len(asks), func(i, j int) { asks[i], asks[j] = asks[j], asks[i] })
		for _, a := range asks {
			want := a.want(t, server)
			if got := a.tries(t); got != want {
				t.Errorf("a pod of %s pulls %s with %q, regcred gives %q", a.namespace, a.image, got, want)
			}
			right[want] = a.image
		}
	}
	if len(right) < 10 {
		t.Errorf("only %d credentials were used", len(right))
	}
	if tokens.Load() == 0 {
		t.Error("the kubelet asked for no token")
	}
	stop()
	// What the kubelet keeps, it uses without us; where there was nothing it asks again.
	for a, want := range map[ask]string{
		{"shop", "whole.example.com/new"}:         passwordOf("whole.example.com", regcred.OrgScope("acme")),
		{"shop", "registry.example.com/team/app"}: passwordOf("registry.example.com/team", regcred.SpaceScope("acme", "shop")),
		{"shop", "registry.example.com/team/new"}: "",
		{"other", "whole.example.com/new"}:        "",
	} {
		if got := a.tries(t); got != want {
			t.Errorf("without the server, a pod of %s pulls %s with %q, want %q", a.namespace, a.image, got, want)
		}
	}
}

// ask is a pull.
type ask struct{ namespace, image string }

// want returns the password that regcred resolves to, "" for none.
func (a ask) want(t *testing.T, server *client.Client) string {
	t.Helper()
	scope := pods[a.namespace]
	if strings.HasPrefix(a.image, nodeHost) {
		scope = regcred.OrgScope("acme")
	}
	r, err := server.Resolve(t.Context(), a.image, scope)
	must(t, err)
	if r.Match == nil {
		return ""
	}
	for _, c := range stored {
		if r.Match.Location == c.location && r.Match.Scope == c.scope.String() {
			return passwordOf(c.location, c.scope)
		}
	}
	t.Fatalf("%s resolves to %+v, which nobody stored", a.image, r.Match)
	return ""
}

// tries returns the one password that the kubelet tries, "" for none.
func (a ask) tries(t *testing.T) string {
	t.Helper()
	ring := plugin.NewExternalCredentialProviderDockerKeyring(a.namespace, "web-1", "4d2e", "default")
	found, _ := ring.Lookup(repository(t, a.image))
	switch len(found) {
	case 0:
		return ""
	case 1:
		return found[0].Password
	}
	t.Fatalf("%s: the kubelet tries %d logins", a.image, len(found))
	return ""
}

// passwordOf is unique, and tells what it is of.
func passwordOf(location string, scope regcred.Scope) string {
	return "of " + location + " at " + scope.String()
}

// register has the kubelet read its configuration, and returns how many tokens it has
// asked the cluster for.
func register(t *testing.T, server *client.Client, fake *fakecluster.Server, bin, url string) *atomic.Int64 {
	t.Helper()
	tok, err := server.CreateToken(t.Context(), client.TokenRequest{
		Name: "node-1", Role: "target", Relationships: client.RelationshipsOf(regcred.OrgScope("acme")),
	})
	must(t, err)
	tokenFile := filepath.Join(t.TempDir(), "token")
	write(t, tokenFile, tok.Secret+"\n")
	config := writeConfigs(t, url, tokenFile)
	tokens := new(atomic.Int64)
	err = plugin.RegisterCredentialProviderPlugins(config, bin,
		func(namespace, name string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
			tokens.Add(1)
			if len(request.Spec.Audiences) != 1 || request.Spec.Audiences[0] != audience || name != "default" {
				t.Errorf("the kubelet asks for a token of %s for %v", name, request.Spec.Audiences)
			}
			request.Status.Token = fake.Token(time.Now(), namespace, audience)
			return request, nil
		},
		func(namespace, name string) (*v1.ServiceAccount, error) {
			return &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: name, UID: "3b1c",
				Annotations: map[string]string{"regcred.dev/organization": "bank"}, // a tenant's attempt
			}}, nil
		})
	must(t, err)
	return tokens
}

// issuer runs a cluster's issuer over TLS, and returns the file with its certificate.
func issuer(t *testing.T) (fake *fakecluster.Server, ca string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	fake = fakecluster.New(fakecluster.Options{Issuer: s.URL})
	ca = filepath.Join(t.TempDir(), "ca.crt")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	return fake, ca
}

// programs builds regcred's programs, and returns their directory; the plugin has two
// names there, as the kubelet knows a provider by the name of its program.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", dir, "./cmd/regcred", "./cmd/docker-credential-regcred").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, os.Symlink("docker-credential-regcred", filepath.Join(dir, "regcred-of-the-node")))
	return dir
}

// serve runs a server, and returns a client on its socket and its URL. stop ends it.
func serve(t *testing.T, bin, config string) (local *client.Client, url string, stop func()) {
	t.Helper()
	data := t.TempDir()
	var log bytes.Buffer
	server := exec.Command(filepath.Join(bin, "regcred"), "serve", "--config", config, "--data-dir", data, "--listen", "127.0.0.1:0")
	server.Stdout, server.Stderr = &log, &log
	must(t, server.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = server.Process.Signal(os.Interrupt)
		if err := server.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, log.String())
		}
	}
	t.Cleanup(stop)
	local = client.NewLocal(filepath.Join(data, "regcred.sock"))
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if st, err := local.Status(t.Context()); err == nil && st.Current {
			return local, st.LocalURL, stop
		} else if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v", err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

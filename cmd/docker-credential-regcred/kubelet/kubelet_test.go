package kubelet_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/docker-credential-regcred/kubelet"
	"regcred.dev/cmd/regcred/server/servertest"
	"regcred.dev/config"
	"regcred.dev/regcredtest"
)

// node is what a kubelet's machine knows of a running server.
type node struct {
	url    string // plain HTTP, on loopback
	tls    string // HTTPS
	ca     string // a file with the certificate of tls
	socket string
	token  string // an API token of the role target for organization acme
}

// startServer runs a server in a directory of its own, behind a proxy that ends TLS.
func startServer(t *testing.T, cfg config.Config) node {
	t.Helper()
	s := servertest.Start(t, cfg)
	n := node{url: s.URL, socket: s.Socket()}
	n.tls, n.ca = proxy(t, s.URL)
	return n
}

// start runs a server with credentials of organization acme and of everybody.
func start(t *testing.T) node {
	t.Helper()
	n := startServer(t, config.Default())
	local := client.NewLocal(n.socket)
	acme := regcred.OrgScope("acme")
	for location, scope := range map[string]regcred.Scope{
		"registry.example.com": acme, "paths.example.com/team": acme, "paths.example.com": acme, "docker.io": acme,
		"ported.example.com:5000": acme, "all.example.com": regcred.Foundation,
	} {
		_, err := local.CreateCredential(t.Context(), client.CreateRequest{
			Location: location, Username: "user", Password: "p:" + location, Relationships: client.RelationshipsOf(scope),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := local.CreateCredential(t.Context(), client.CreateRequest{
		Location: strings.TrimPrefix(n.url, "http://"), Provider: "regcred", Relationships: client.RelationshipsOf(acme),
		Settings: map[string]string{"repositories": "*", "lifetime": "2m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := local.CreateToken(t.Context(), client.TokenRequest{Name: "node-1", Role: "target", Relationships: client.RelationshipsOf(acme)})
	if err != nil {
		t.Fatal(err)
	}
	n.token = tok.Secret
	return n
}

// proxy ends TLS in front of a server, as an operator's would.
func proxy(t *testing.T, target string) (address, ca string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(u))
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that are to fail
	p.StartTLS()
	t.Cleanup(p.Close)
	ca = filepath.Join(t.TempDir(), "ca.crt")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})))
	return p.URL, ca
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ask is a request of the kubelet's.
func ask(image, token string) string {
	data, err := json.Marshal(map[string]any{
		"kind": "CredentialProviderRequest", "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "image": image,
		"serviceAccountToken": token, "serviceAccountAnnotations": map[string]string{"regcred.dev/organization": "bank"},
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

func run(t *testing.T, stdin string, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	p := kubelet.Program{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &problems,
		Getenv: func(key string) string { return env[key] },
	}
	code = p.Run(t.Context(), args)
	return out.String(), problems.String(), code
}

// answer is what the plugin answers with a login.
func answer(kind, key, password string) map[string]any {
	return map[string]any{
		"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
		"cacheKeyType": kind, "cacheDuration": "5m0s",
		"auth": map[string]any{key: map[string]any{"username": "user", "password": password}},
	}
}

func TestAnswers(t *testing.T) {
	n := start(t)
	none := map[string]any{
		"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
		"cacheKeyType": "Image", "cacheDuration": "0s", "auth": nil,
	}
	for image, want := range map[string]map[string]any{
		"registry.example.com/app":      answer("Registry", "registry.example.com", "p:registry.example.com"),
		"Registry.example.com:443/app":  answer("Registry", "Registry.example.com:443", "p:registry.example.com"),
		"paths.example.com/team/app":    answer("Image", "paths.example.com/team/app", "p:paths.example.com/team"),
		"paths.example.com/other":       answer("Image", "paths.example.com/other", "p:paths.example.com"),
		"paths.example.com/v2/app":      answer("Image", "paths.example.com/v2/v2/app", "p:paths.example.com"),
		"docker.io/library/nginx":       answer("Registry", "docker.io", "p:docker.io"),
		"ported.example.com:5000/app":   answer("Registry", "ported.example.com:5000", "p:ported.example.com:5000"),
		"all.example.com/app":           answer("Registry", "all.example.com", "p:all.example.com"),
		"ported.example.com/app":        none,
		"registry.example.com.evil/app": none,
		"nothing.example.org/app":       none,
	} {
		stdout, stderr, code := run(t, ask(image, ""), map[string]string{"REGCRED_SERVER": n.url, "REGCRED_TOKEN": n.token + "\n"})
		var got map[string]any
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || stderr != "" {
			t.Errorf("%s: exit code %d, %s, %v", image, code, stderr, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", image, diff)
		}
	}
}

// TestCacheEndsBeforeTheLogin shows a login of two minutes: the kubelet asks again half
// a minute before its end, or sooner.
func TestCacheEndsBeforeTheLogin(t *testing.T) {
	n := start(t)
	stdout, stderr, code := run(t, ask(strings.TrimPrefix(n.url, "http://")+"/app", ""), nil, "--server", n.url, "--token-file", n.file(t), "--cache", "1h")
	var got struct{ CacheDuration string }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("%s, %v", stderr, err)
	}
	var seconds float64
	if _, err := fmt.Sscanf(got.CacheDuration, "%fs", &seconds); err != nil {
		_, err = fmt.Sscanf(got.CacheDuration, "1m%fs", &seconds)
		if seconds += 60; err != nil {
			t.Fatal(err)
		}
	}
	if seconds <= 0 || seconds > 90 {
		t.Errorf("cached for %s", got.CacheDuration)
	}
}

// file returns a file with the node's token.
func (n node) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, n.token+"\n")
	return path
}

// TestWays shows how the server is reached, and with whose token.
func TestWays(t *testing.T) {
	n := start(t)
	image, everybody := "registry.example.com/app", "all.example.com/app"
	env := map[string]string{"REGCRED_SERVER": n.tls, "REGCRED_CA": n.ca, "REGCRED_TOKEN_FILE": n.file(t)}
	const got = `"password":"p:`
	for _, test := range []struct {
		name, stdin string
		env         map[string]string
		args        []string
		want        string // in the output
		problem     string // on standard error; "": none
	}{
		{"HTTPS, by arguments", ask(image, ""), nil, []string{"--server", n.tls, "--ca", n.ca, "--token-file", n.file(t)}, got, ""},
		{"HTTPS, by the environment", ask(image, ""), env, nil, got, ""},
		{"arguments win", ask(image, ""), env, []string{"--server", "https://127.0.0.1:1"}, "", "cannot reach the server"},
		{"another authority", ask(image, ""), env, []string{"--ca", otherCA(t)}, "", "certificate"},
		{"the system's authorities", ask(image, ""), env, []string{"--ca", ""}, "", "certificate"},
		{"the socket, for everybody", ask(everybody, ""), nil, []string{"--server", "unix://" + n.socket}, got, ""},
		{"the socket, for nobody else", ask(image, ""), nil, []string{"--server", "unix://" + n.socket}, `"auth":null`, ""},
		{"the socket, with the node's token", ask(image, ""), nil, []string{"--server", "unix://" + n.socket, "--token-file", n.file(t)}, got, ""},
		{"no socket", ask(image, ""), nil, []string{"--server", "unix:///nonexistent/regcred.sock"}, "", "cannot reach the server"},
		{"a service account token is never replaced by the node's", ask(image, "canary.sa.token"), env, nil, "", "refused"},
		{"on the socket neither", ask(everybody, "canary.sa.token"), nil, []string{"--server", "unix://" + n.socket}, "", "refused"},
		{"no token", ask(image, ""), nil, []string{"--server", n.tls, "--ca", n.ca}, "", "tokenAttributes"},
		{"a token of nobody", ask(image, ""), nil, []string{"--server", n.tls, "--ca", n.ca, "--token-file", "/dev/null"}, "", "holds none"},
		{"a token's file that is not there", ask(image, ""), env, []string{"--token-file", "/nonexistent"}, "", "no such file"},
		{"no authority", ask(image, ""), env, []string{"--ca", "/dev/null"}, "", "no certificate in PEM"},
		{"in clear", ask(image, "canary.sa.token"), nil, []string{"--server", "http://regcred.example.com"}, "", "in clear"},
		{"in clear, to what looks like loopback", ask(image, "canary.sa.token"), nil, []string{"--server", "http://127.0.0.1.example.com"}, "", "in clear"},
		{"another protocol", ask(image, "canary.sa.token"), nil, []string{"--server", "ftp://regcred.example.com"}, "", "https://HOST"},
		{"no server", ask(image, ""), nil, nil, "", "--server"},
		{"an unknown flag", ask(image, ""), env, []string{"--colour"}, "", "--help"},
		{"an argument", ask(image, ""), env, []string{"get"}, "", "unexpected argument"},
		{"a negative cache", ask(image, ""), env, []string{"--cache", "-1s"}, "", "--cache"},
		{"no request", "", env, nil, "", "plugin for the kubelet"},
		{"docker's protocol", "registry.example.com", env, nil, "", "plugin for the kubelet"},
		{"an older protocol", strings.Replace(ask(image, "canary.sa.token"), "k8s.io/v1", "k8s.io/v1beta1", 1), env, nil, "", "apiVersion: credentialprovider.kubelet.k8s.io/v1"},
		{"another kind", strings.Replace(ask(image, "canary.sa.token"), "Request", "Response", 1), env, nil, "", "CredentialProviderRequest"},
		{"no image", ask("", "canary.sa.token"), env, nil, "", "no image"},
		{"what is no image", ask("registry.example.com/UPPER", ""), env, nil, "", "lower case"},
		{"an image of an IPv6 address", ask("[fd00::1]/app", ""), env, nil, `"auth":null`, ""},
	} {
		stdout, stderr, code := run(t, test.stdin, test.env, test.args...)
		switch {
		case test.problem == "" && (code != 0 || stderr != "" || !strings.Contains(stdout, test.want)):
			t.Errorf("%s: exit code %d, %s%s", test.name, code, stdout, stderr)
		case test.problem != "" && (code != 1 || stdout != "" || !strings.Contains(stderr, test.problem) || strings.Count(stderr, "\n") != 1):
			t.Errorf("%s: exit code %d, %s%s, want %q in one line", test.name, code, stdout, stderr, test.problem)
		}
		for _, secret := range []string{"canary.sa.token", n.token, "p:registry.example.com"} {
			if found := regcredtest.Leaks([]byte(stderr), secret); found != nil {
				t.Errorf("%s: standard error shows a secret: %s", test.name, stderr)
			}
		}
	}
}

// otherCA returns a file with an authority that signed no server's certificate here.
func otherCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.crt")
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return path
}

// TestStrangeServers shows servers that are not regcred's: there is one line, and no
// login.
func TestStrangeServers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>\n<body>") },
		"an echo": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization"), http.StatusInternalServerError)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com/", http.StatusTemporaryRedirect)
		},
		"lines": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":10003,"detail":"one\ntwo"}]}`)
		},
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"a hanging up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := httptest.NewServer(h)
		stdout, stderr, code := run(t, ask("registry.example.com/app", "canary.sa.token"), nil, "--server", s.URL)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "canary") {
			t.Errorf("%s: exit code %d, %q, %q", name, code, stdout, stderr)
		}
		s.Close()
	}
}

func TestHelp(t *testing.T) {
	if stdout, stderr, code := run(t, "", nil, "--help"); code != 0 || stdout != "" || !strings.Contains(stderr, "unix:///PATH") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

package server_test

import (
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecluster"
)

// startCluster runs a cluster's issuer over TLS, and returns the file with its
// certificate.
func startCluster(t *testing.T) (fake *fakecluster.Server, ca string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that are to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	fake = fakecluster.New(fakecluster.Options{Issuer: s.URL})
	ca = filepath.Join(t.TempDir(), "ca.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return fake, ca
}

// kubeletLogin asks for an image's login, and returns its password, "" where there is
// none.
func (r *running) kubeletLogin(token, image string) (status int, password string) {
	r.t.Helper()
	status, body := r.do(http.MethodPost, "/regcred/v1/kubelet/login", token, `{"image": "`+image+`"}`)
	var a client.KubeletAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		r.t.Fatalf("%d: %s", status, body)
	}
	if a.Login != nil {
		password = a.Login.Password
	}
	return status, password
}

// TestWorkloads shows what a service account token gives: the login of one image at the
// scope of its namespace, and nothing else.
func TestWorkloads(t *testing.T) {
	fake, ca := startCluster(t)
	stranger, _ := startCluster(t)
	now := time.Now()
	cfg := config.Default()
	cfg.KubernetesTokens = []config.KubernetesTokens{{
		Name: "prod", Issuer: fake.Issuer(), Audience: "regcred", CA: ca,
		Scope: config.KubernetesScope{
			Namespaces:          map[string]regcred.Scope{"shop": regcred.SpaceScope("acme", "dev"), "tools": regcred.Foundation},
			DefaultOrganization: "prod",
		},
	}}
	r, _ := start(t, cfg)
	for _, s := range []regcred.Scope{regcred.SpaceScope("acme", "dev"), regcred.OrgScope("bank"), regcred.SpaceScope("prod", "web"), regcred.Foundation} {
		r.create("registry.example.com", s, "of "+s.String())
	}
	token := func(namespace string) string { return fake.Token(now, namespace, "regcred") }
	for namespace, want := range map[string]string{
		"shop": "of space acme/dev", "web": "of space prod/web", "other": "of foundation", "tools": "of foundation",
	} {
		if status, got := r.kubeletLogin(token(namespace), "registry.example.com/app"); status != http.StatusOK || got != want {
			t.Errorf("namespace %s: %d %q, want %q", namespace, status, got, want)
		}
	}
	if status, got := r.kubeletLogin(token("shop"), "public.example.com/app"); status != http.StatusOK || got != "" {
		t.Errorf("a public image: %d %q", status, got)
	}

	annotated := fake.Claims(now, "web", "regcred")
	annotated["kubernetes.io"].(map[string]any)["annotations"] = map[string]string{"regcred.dev/organization": "bank", "regcred.dev/scope": "bank"}
	annotated["regcred.dev/organization"] = "bank"
	if _, got := r.kubeletLogin(fake.Sign(annotated, nil), "registry.example.com/app"); got != "of space prod/web" {
		t.Errorf("annotations changed the scope: %q", got)
	}
	for path, body := range map[string]string{
		"?organization=bank": `{"image": "registry.example.com/app"}`,
		"":                   `{"image": "registry.example.com/app", "organization": "bank"}`,
		"?":                  `{"image": "registry.example.com/app", "serviceAccountAnnotations": {"regcred.dev/organization": "bank"}}`,
	} {
		if status, got := r.do(http.MethodPost, "/regcred/v1/kubelet/login"+path, token("web"), body); status < 400 || status >= 500 {
			t.Errorf("%s %s: %d %s", path, body, status, got)
		}
	}
	expired := fake.Claims(now.Add(-2*time.Hour), "shop", "regcred")
	for name, raw := range map[string]string{
		"another cluster":  stranger.Token(now, "shop", "regcred"),
		"another audience": fake.Token(now, "shop", "vault"),
		"expired":          fake.Sign(expired, nil),
		"tampered":         token("shop") + "x",
		"nothing":          "",
	} {
		if status, got := r.kubeletLogin(raw, "registry.example.com/app"); status != http.StatusUnauthorized || got != "" {
			t.Errorf("%s: %d %q", name, status, got)
		}
	}
	// The server refuses such a header before anything reads it, and may hang up.
	if got := r.hugeHeader(10 << 20); got != "" && !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("a header of 10 MiB: %q", got)
	}
	r.only(token("shop"))
}

// only fails where a workload's token opens any other route.
func (r *running) only(token string) {
	r.t.Helper()
	guid := r.create("other.example.com", regcred.SpaceScope("acme", "dev"), "x").GUID
	for _, pattern := range api.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		if path == "/regcred/v1/kubelet/login" {
			continue
		}
		path = strings.NewReplacer("{guid}", guid, "{name}", "ecr", "{id}", "x").Replace(path)
		if status, body := r.do(method, path, token, ""); status != http.StatusUnauthorized {
			r.t.Errorf("%s with a workload's token: %d %s", pattern, status, body)
		}
	}
	if status, body := r.do(http.MethodGet, "/v2/", token, ""); status != http.StatusUnauthorized {
		r.t.Errorf("the registry with a workload's token: %d %s", status, body)
	}
}

// hugeHeader sends a request with a token of so many bytes and returns the first line
// of the answer, "" where there is none.
func (r *running) hugeHeader(size int) string {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = conn.Write([]byte("POST /regcred/v1/kubelet/login HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat("a", size) + "\r\n\r\n"))
	}()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	line, _, _ := strings.Cut(string(answer[:n]), "\r\n")
	return line
}

// TestWorkloadsOnTheSocket shows that a token counts there too: the socket's owner gets
// no more for a pod than the pod may have.
func TestWorkloadsOnTheSocket(t *testing.T) {
	fake, ca := startCluster(t)
	cfg := config.Default()
	cfg.KubernetesTokens = []config.KubernetesTokens{{
		Name: "prod", Issuer: fake.Issuer(), Audience: "regcred", CA: ca, Scope: config.KubernetesScope{DefaultOrganization: "prod"},
	}}
	r, _ := start(t, cfg)
	r.create("pods.example.com", regcred.OrgScope("prod"), "of prod")
	r.create("all.example.com", regcred.Foundation, "of all")
	socket := client.NewLocal(filepath.Join(r.dir, server.SocketName))
	pod := socket.WithToken(regcred.NewSecret(fake.Token(time.Now(), "shop", "regcred")))
	for _, test := range []struct {
		name, image string
		c           *client.Client
		want        string
	}{
		{"a pod", "pods.example.com/app", pod, "of prod"},
		{"a pod", "all.example.com/app", pod, "of all"},
		{"the owner", "pods.example.com/app", socket, ""},
		{"the owner", "all.example.com/app", socket, "of all"},
	} {
		a, err := test.c.KubeletLogin(t.Context(), test.image)
		if err != nil || (a.Login != nil) != (test.want != "") || a.Login != nil && a.Login.Password != test.want {
			t.Errorf("%s, %s: %+v, %v", test.name, test.image, a, err)
		}
	}
	bad := socket.WithToken(regcred.NewSecret(fake.Token(time.Now(), "shop", "vault")))
	if _, err := bad.KubeletLogin(t.Context(), "all.example.com/app"); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Errorf("a token that is refused: %v", err)
	}
}

// TestWorkloadTokensAreNotSaid looks for tokens in every answer and the log at its most
// talkative, whether they are accepted, refused, or cannot be judged.
func TestWorkloadTokensAreNotSaid(t *testing.T) {
	fake, ca := startCluster(t)
	down, downCA := startCluster(t)
	down.Set(fakecluster.Quirks{Status: http.StatusInternalServerError})
	cfg := config.Default()
	cfg.KubernetesTokens = []config.KubernetesTokens{
		{Name: "prod", Issuer: fake.Issuer(), Audience: "regcred", CA: ca},
		{Name: "down", Issuer: down.Issuer(), Audience: "regcred", CA: downCA},
		{Name: "unknown authority", Issuer: "https://" + strings.Replace(strings.TrimPrefix(fake.Issuer(), "https://"), "127.0.0.1", "localhost", 1), Audience: "regcred"},
	}
	r, stop := start(t, cfg)
	r.create("registry.example.com", regcred.Foundation, "canary-password-4711")
	now := time.Now()
	untrusted := fake.Claims(now, "shop", "regcred")
	untrusted["iss"] = cfg.KubernetesTokens[2].Issuer
	tokens := map[int]string{
		http.StatusOK:           fake.Token(now, "shop", "regcred"),
		http.StatusUnauthorized: fake.Token(now, "shop", "vault"),
	}
	unavailable := []string{down.Token(now, "shop", "regcred"), fake.Sign(untrusted, nil)}
	var said strings.Builder
	ask := func(raw string, want int) {
		status, body := r.do(http.MethodPost, "/regcred/v1/kubelet/login", raw, `{"image": "registry.example.com/app"}`)
		if status != want {
			t.Errorf("%d, want %d: %s", status, want, body)
		}
		if status != http.StatusOK { // that one is for the password
			said.WriteString(body)
		}
	}
	for want, raw := range tokens {
		ask(raw, want)
	}
	for _, raw := range unavailable {
		ask(raw, http.StatusServiceUnavailable)
	}
	stop()
	said.WriteString(r.log.String())
	if !strings.Contains(said.String(), "logins released") {
		t.Error("the log does not say that a login was released")
	}
	secrets := slices.Concat(unavailable, []string{tokens[http.StatusOK], tokens[http.StatusUnauthorized], "canary-password-4711"})
	for _, secret := range secrets {
		if dot := strings.LastIndexByte(secret, '.'); dot > 0 {
			secret = secret[dot+1:] // the signature: whoever has it has the token
		}
		if forms := regcredtest.Leaks([]byte(said.String()), secret); len(forms) > 0 {
			t.Errorf("a secret was said (%v)", forms)
		}
	}
}

// TestClusterConfiguration shows mistakes that stop the start.
func TestClusterConfiguration(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tokens := range map[string]config.KubernetesTokens{
		"kubernetes_tokens x: ca: open":                     {Name: "x", Issuer: "https://x.example.com", CA: empty + "x"},
		"holds no certificate in PEM":                       {Name: "x", Issuer: "https://x.example.com", CA: empty},
		"the way to the Kubernetes API server is not known": {Name: "x", Issuer: "https://x.example.com", Review: &config.KubernetesAPI{Kubeconfig: empty + "x"}},
	} {
		cfg := config.Default()
		cfg.DataDir, cfg.Listen, cfg.KubernetesTokens = t.TempDir(), "127.0.0.1:0", []config.KubernetesTokens{tokens}
		if _, err := server.Open(t.Context(), cfg, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// harness is a registry server over a directory, with real tokens.
type harness struct {
	*httptest.Server
	host    string
	dir     string
	blobs   *blob.Dir
	storage *registry.Storage
	tokens  *token.Service
	metrics *prometheus.Registry
	log     *syncBuffer
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{dir: t.TempDir(), metrics: prometheus.NewRegistry(), log: new(syncBuffer)}
	h.blobs = openDir(t, h.dir)
	h.storage = registry.NewStorage(h.blobs, registry.StorageOptions{})
	h.tokens = newTokens(t, "registry.test")
	server, err := registry.New(registry.Options{
		Storage: h.storage, Tokens: h.tokens, Metrics: h.metrics,
		Log: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(server)
	t.Cleanup(h.Close)
	h.host = strings.TrimPrefix(h.URL, "http://")
	return h
}

func openStorage(t testing.TB, dir string) *registry.Storage {
	t.Helper()
	return registry.NewStorage(openDir(t, dir), registry.StorageOptions{})
}

func openDir(t testing.TB, dir string) *blob.Dir {
	t.Helper()
	d, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func newTokens(t testing.TB, issuer string) *token.Service {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { _ = store.Close() })
	tokens, err := token.New(t.Context(), store, token.Options{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// login signs a registry login that ends after a time.
func (h *harness) login(t testing.TB, lifetime time.Duration, grants ...token.Grant) regcred.Secret {
	t.Helper()
	return sign(t, h.tokens, token.UseLogin, lifetime, grants...)
}

func sign(t testing.TB, tokens *token.Service, use string, lifetime time.Duration, grants ...token.Grant) regcred.Secret {
	t.Helper()
	now := time.Now()
	raw, err := tokens.Sign(token.Claims{Subject: "credential-1", Use: use, Grants: grants, IssuedAt: now, ExpiresAt: now.Add(lifetime)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// apiToken makes an API token.
func (h *harness) apiToken(t testing.TB, role regcred.Role, scope regcred.Scope) regcred.Secret {
	t.Helper()
	_, secret, err := h.tokens.CreateAPIToken(t.Context(), regcred.APIToken{Name: "test", Role: role, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (h *harness) admin(t testing.TB) regcred.Secret {
	return h.apiToken(t, regcred.RoleAdmin, regcred.Foundation)
}

// grant is token.Grant in short.
func grant(repo string, actions ...string) token.Grant {
	return token.Grant{Repository: repo, Actions: actions}
}

func (h *harness) ref(t testing.TB, image string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(h.host+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// authFor logs in with a password; go-containerregistry then gets a Bearer token.
func authFor(password regcred.Secret) authn.Authenticator {
	return &authn.Basic{Username: "anyone", Password: password.Reveal()}
}

// basicTransport sends HTTP Basic authentication with every request.
type basicTransport struct{ password regcred.Secret }

func (b basicTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("anyone", b.password.Reveal())
	return http.DefaultTransport.RoundTrip(r)
}

// call is one request of a test.
type call struct {
	method, path string
	body         string
	header       map[string]string // "Authorization" and others
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the first error code of an answer.
func (a answer) code() string {
	var e struct {
		Errors []struct{ Code string }
	}
	if json.Unmarshal([]byte(a.body), &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

// do sends a request as it is, with a password for Basic unless it is empty.
func (h *harness) do(t testing.TB, password regcred.Secret, c call) answer {
	t.Helper()
	url := c.path
	if !strings.HasPrefix(url, "http") {
		url = h.URL + url
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, url, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	if !password.IsZero() {
		r.SetBasicAuth("anyone", password.Reveal())
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// pushBlob pushes a blob straight into the storage.
func (h *harness) pushBlob(t testing.TB, repo, content string) digest.Digest {
	t.Helper()
	return pushBlob(t, h.storage, repo, content)
}

func pushBlob(t testing.TB, s *registry.Storage, repo, content string) digest.Digest {
	t.Helper()
	d := digest.FromString(content)
	if _, err := s.PushBlob(t.Context(), repo, descriptor(content), strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func randomImage(t testing.TB) v1.Image {
	t.Helper()
	img, err := random.Image(10_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// syncBuffer is a bytes.Buffer that may be written to concurrently.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

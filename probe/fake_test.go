package probe_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"regcred.dev"
	"regcred.dev/regcredtest"
)

// What the tests log in with, and what must never be seen: all has "canary" in it.
const (
	user     = "robot"
	password = "canary-4711"
)

func login(password string) regcred.Login {
	return regcred.Login{Username: user, Password: regcred.NewSecret(password), Hosts: []string{registryHost}}
}

// Hosts of the fakes.
const (
	registryHost = "registry.example.com"
	tokenHost    = "auth.example.net"
)

// fake is a registry with logins in front of a real one, and its token service. Its
// repositories are acme/app, acme/denied, which the login may not pull, and acme/none,
// which does not exist. Fields imitate what vendors do.
type fake struct {
	images http.Handler

	// Challenge is WWW-Authenticate; "" is a registry that asks for no login.
	Challenge string
	// AnonymousPing answers /v2/ without a login all the same.
	AnonymousPing bool
	// Ping is the status of /v2/, without a login, 0 for the usual one.
	Ping int
	// HandsOutAll gives a token to any login.
	HandsOutAll bool
	// Reduced gives a token of no rights for what the login may not pull.
	Reduced bool
	// Scopeless is the token service's status for a repository that the login may not
	// pull, unless Reduced.
	Scopeless int
	// Forbidden is the status for a token or login of too few rights. 401 comes with
	// insufficient_scope.
	Forbidden int
	// ListDenied refuses tags/list to a token for pull alone, as Azure's does.
	ListDenied bool
	// TokenBody is the answer of the token service, with %s where the token is.
	TokenBody string
	// Token makes a token; default one that says its scope.
	Token func(scope string) string
	// Before sees each request first; true is that it has answered.
	Before func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		images:    registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		Challenge: `Bearer realm="https://auth.example.net/token?tenant=7",service="registry.example.com"`,
		Forbidden: http.StatusUnauthorized,
		Scopeless: http.StatusForbidden,
		TokenBody: `{"token": %q, "expires_in": 300}`,
		Token: func(scope string) string {
			return "canary-token." + base64.RawURLEncoding.EncodeToString([]byte(scope))
		},
	}
	for _, repository := range []string{"acme/app", "acme/denied", "library/nginx"} {
		req := httptest.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/v1", strings.NewReader("{}"))
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		answer := httptest.NewRecorder()
		if f.images.ServeHTTP(answer, req); answer.Code != http.StatusCreated {
			t.Fatalf("pushing %s: %d %s", repository, answer.Code, answer.Body)
		}
	}
	return f
}

// transport reaches the fake, and a trap at every other host that a test names.
func (f *fake) transport() regcredtest.HandlerTransport {
	return regcredtest.HandlerTransport{
		registryHost: http.HandlerFunc(f.serveRegistry), tokenHost: http.HandlerFunc(f.serveToken),
		"registry-1.docker.io": http.HandlerFunc(f.serveRegistry), "auth.docker.io": http.HandlerFunc(f.serveToken),
	}
}

// seen returns all requests, each with what it was authorized by.
func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *fake) note(r *http.Request) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, strings.TrimSpace(fmt.Sprintf("%s %s%s %s", r.Method, r.Host, r.URL.RequestURI(), scheme)))
}

func (f *fake) serveRegistry(w http.ResponseWriter, r *http.Request) {
	f.note(r)
	if f.Before != nil && f.Before(w, r) {
		return
	}
	authorization := r.Header.Get("Authorization")
	if r.URL.Path == "/v2/" && authorization == "" && f.Ping != 0 {
		w.WriteHeader(f.Ping)
		return
	}
	if r.URL.Path == "/v2/" && authorization == "" && f.AnonymousPing || f.Challenge == "" && authorization == "" {
		f.images.ServeHTTP(w, r)
		return
	}
	who, rights := f.who(r)
	_, path, _ := strings.Cut(r.URL.Path, "/v2/")
	switch {
	case !who && (r.URL.Path == "/v2/" || authorization != ""):
		f.refuse(w, http.StatusUnauthorized, "")
	case !who:
		f.refuse(w, http.StatusUnauthorized, scopeFor(path))
	case r.URL.Path != "/v2/" && !strings.Contains(rights, repositoryOf(path)+":pull"):
		f.refuse(w, f.Forbidden, scopeFor(path))
	case f.ListDenied && strings.Contains(path, "/tags/list"):
		f.refuse(w, http.StatusUnauthorized, "repository:"+repositoryOf(path)+":metadata_read")
	default:
		f.images.ServeHTTP(w, r)
	}
}

// who reports whether a request is from somebody known, and for what.
func (f *fake) who(r *http.Request) (known bool, rights string) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	basic := f.Challenge == "" || strings.HasPrefix(f.Challenge, "Basic")
	switch {
	case scheme == "Basic" && basic:
		u, p, _ := r.BasicAuth()
		return u == user && p == password, "acme/app:pull acme/none:pull library/nginx:pull"
	case scheme == "Bearer" && !basic:
		scope, ok := strings.CutPrefix(text, "canary-token.")
		raw, err := base64.RawURLEncoding.DecodeString(scope)
		return ok && err == nil, string(raw)
	}
	return false, ""
}

func (f *fake) refuse(w http.ResponseWriter, status int, scope string) {
	if status == http.StatusUnauthorized {
		challenge := f.Challenge
		if scope != "" && strings.HasPrefix(challenge, "Bearer") {
			challenge += `,scope="` + scope + `",error="insufficient_scope"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"canary-message"},{"code":"CANARY"},{"code":"DENIED"}]}`)
}

func (f *fake) serveToken(w http.ResponseWriter, r *http.Request) {
	f.note(r)
	if f.Before != nil && f.Before(w, r) {
		return
	}
	u, p, _ := r.BasicAuth()
	if (u != user || p != password) && !f.HandsOutAll || r.URL.Query().Get("service") != registryHost || r.URL.Query().Get("tenant") != "7" {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"details": "incorrect username or password: " + p})
		return
	}
	scope := r.URL.Query().Get("scope")
	mayPull := u == user && p == password && !strings.Contains(scope, "acme/denied")
	if scope != "" && !mayPull && !f.Reduced {
		f.refuse(w, f.Scopeless, "")
		return
	}
	if !mayPull {
		scope = "nothing"
	}
	fmt.Fprintf(w, f.TokenBody, f.Token(scope))
}

// repositoryOf returns the repository of a path below /v2/.
func repositoryOf(path string) string {
	for _, keyword := range []string{"/manifests/", "/tags/list"} {
		if name, _, ok := strings.Cut(path, keyword); ok {
			return name
		}
	}
	return ""
}

func scopeFor(path string) string { return "repository:" + repositoryOf(path) + ":pull" }

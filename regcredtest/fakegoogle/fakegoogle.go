// Package fakegoogle is a fake of what Google's registries and their logins need:
// the OAuth 2.0 token endpoint, the Security Token Service, the IAM Service Account
// Credentials API, the metadata server of Google's machines, and the token check of
// a registry. One handler is all of them: it goes by the request's host.
//
// It verifies what Google verifies: signatures, audiences, times, scopes, grants.
package fakegoogle

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are ways in which Google differs or fails.
type Quirks = fake.Quirks

// Garbage is how an answer makes no sense: one of GarbageKinds.
type Garbage = fake.Garbage

// GarbageKinds returns all kinds of answers that make no sense.
func GarbageKinds() []Garbage {
	return []Garbage{fake.HTML, fake.Cut, fake.Void, fake.Huge, fake.NoToken, fake.NoExpiry, fake.BadExpiry}
}

// Lifetime is how long access tokens live.
const Lifetime = time.Hour

// MetadataCache is how long before a token's end the metadata server of Compute
// Engine gives another one: for Quirks.SameUntil.
const MetadataCache = 5 * time.Minute

// Hosts of the fake.
const (
	TokenHost          = "oauth2.googleapis.com"
	OldTokenHost       = "accounts.google.com"
	STSHost            = "sts.googleapis.com"
	IAMCredentialsHost = "iamcredentials.googleapis.com"
	MetadataHost       = "169.254.169.254"
)

// The names of the calls that Calls counts.
const (
	CallToken       = "token"       // a JWT or a refresh token at the token endpoint
	CallExchange    = "exchange"    // token exchange at the Security Token Service
	CallImpersonate = "impersonate" // generateAccessToken
	CallMetadata    = "metadata"    // the metadata server's token
	CallRegistry    = "registry"    // a registry
)

// Scopes that matter.
const (
	ScopeCloud    = "https://www.googleapis.com/auth/cloud-platform"
	ScopeReadOnly = "https://www.googleapis.com/auth/devstorage.read_only"
)

// Options configure a Server. The zero Options are a Google without accounts.
type Options struct {
	Quirks

	// Machine is the e-mail address of the service account of the machine whose
	// metadata server is asked; "": it has none.
	Machine string
	// MachineScopes are the machine's access scopes. Default cloud-platform.
	MachineScopes []string
	// IAMDisabled says that the project has the IAM Service Account Credentials API
	// disabled.
	IAMDisabled bool
}

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o Options

	mu       sync.Mutex
	accounts map[string]map[string]publicKey // keys by id, by account
	users    map[string]User                 // by refresh token
	pools    map[string]Proof                // by subject token
	grants   map[[2]string]bool              // who may impersonate whom
	tokens   map[string]claim                // by value
	last     *http.Request                   // and its body, see Request
	body     string
}

// claim is what an access token stands for.
type claim struct {
	principal string
	scopes    []string
}

// New returns a Server.
func New(o Options) *Server {
	if o.MachineScopes == nil {
		o.MachineScopes = []string{ScopeCloud}
	}
	return &Server{
		Issuer: fake.New(o.Quirks, Lifetime), o: o,
		accounts: map[string]map[string]publicKey{}, users: map[string]User{}, pools: map[string]Proof{},
		grants: map[[2]string]bool{}, tokens: map[string]claim{},
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := s.note(r)
	form, _ := url.ParseQuery(body)
	host, path := r.Host, r.URL.Path
	switch {
	case path == metadataPath:
		s.serveMetadata(w, r)
	case host == STSHost && path == "/v1/token" && r.Method == http.MethodPost:
		s.serveExchange(w, r, form)
	case host == IAMCredentialsHost && r.Method == http.MethodPost:
		s.serveImpersonate(w, r, body)
	case isRegistry(host):
		s.serveRegistry(w, r)
	case slices.Contains(tokenPaths, path) && r.Method == http.MethodPost:
		s.serveToken(w, r, form)
	default:
		http.NotFound(w, r)
	}
}

// tokenPaths are the token endpoint's, new and old, at any other host: its own, the
// old one's, and any that a test gives to it.
var tokenPaths = []string{"/token", "/o/oauth2/token", "/oauth2/v3/token", "/oauth2/v4/token"}

// isRegistry reports whether a host is a registry's.
func isRegistry(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

// Request returns the newest request and its body: the tests of request shapes
// look at it. Its own body was read.
func (s *Server) Request() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.body
}

// Principal returns whom an access token stands for, and its scopes; "" for one that
// is not valid.
func (s *Server) Principal(token string) (principal string, scopes []string) {
	if _, ok := s.Find(token); !ok {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.tokens[token]
	return c.principal, c.scopes
}

// issue returns a token for a principal.
func (s *Server) issue(principal string, scopes []string) fake.Token {
	t := s.Issue(principal+" "+strings.Join(scopes, " "), "ya29.")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Value] = claim{principal, scopes}
	return t
}

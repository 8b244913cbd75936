// Package fakeazure is Microsoft Entra ID, a machine's metadata service and Azure
// Container Registry in one http.Handler, as far as logins to the registry go. It
// checks what the real ones check, so that a wrong request fails.
//
// Its shapes are those of "Microsoft identity platform and the OAuth 2.0 client
// credentials flow", of "How to use managed identities for Azure resources on an
// Azure VM to acquire an access token", and of AAD-OAuth.md and Token-BasicAuth.md
// in github.com/Azure/acr.
package fakeazure

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are ways in which Entra ID or a registry may behave.
type Quirks = fake.Quirks

// Garbage is a kind of answer that makes no sense.
type Garbage = fake.Garbage

// The kinds of Garbage.
const (
	HTML      = fake.HTML
	Cut       = fake.Cut
	Void      = fake.Void
	Huge      = fake.Huge
	NoToken   = fake.NoToken
	NoExpiry  = fake.NoExpiry
	BadExpiry = fake.BadExpiry
)

// Hosts that the fake answers for where Options does not say otherwise.
const (
	Authority = "login.microsoftonline.com"
	Metadata  = "169.254.169.254"
	Registry  = "acme.azurecr.io"
)

// Audiences of access tokens that registries take.
const (
	RegistryAudience = "https://containerregistry.azure.net"
	ManagerAudience  = "https://management.azure.com"
)

// Username is the user whose password is a token of the registry.
const Username = "00000000-0000-0000-0000-000000000000"

// Lifetimes of the real tokens.
const (
	entraLifetime   = time.Hour
	refreshLifetime = 3 * time.Hour
	accessLifetime  = 75 * time.Minute
)

// Options say who is known. The zero Options know nobody.
type Options struct {
	// Entra and Registry are the quirks of the two. Entra's are the metadata
	// service's too. Lifetime, ExpiredAtIssue, SameUntil and the kinds of garbage
	// about expiries are for the registry's alone.
	Entra, Registry Quirks

	// Tenant is the one tenant, Client the one application in it.
	Tenant, Client string
	// Secret is the application's secret; SecretExpired says that it has expired.
	Secret        string
	SecretExpired bool
	// Certificate is the application's.
	Certificate *x509.Certificate
	// Federated is what the application trusts instead.
	Federated Federated
	// SystemAssigned says that the machine has an identity of its own,
	// UserAssigned which others by their client ids.
	SystemAssigned bool
	UserAssigned   []string

	// Authority is the host of Entra ID. Default Authority.
	Authority string
	// Registries are the hosts of the registries. Default Registry.
	Registries []string
	// NoRole says that no identity has a role on the registries.
	NoRole bool
	// NoManagerTokens says that the registries refuse tokens for Azure Resource
	// Manager.
	NoManagerTokens bool
}

// Federated is a federated identity credential: the issuer and subject of tokens
// for Entra ID's audience, and the key that they are signed with.
type Federated struct {
	Issuer, Subject string
	Key             crypto.PublicKey
}

// FederatedAudience is the audience of federated tokens.
const FederatedAudience = "api://AzureADTokenExchange"

// Server is the fake. It may be used concurrently.
type Server struct {
	o        Options
	key      []byte // signs all tokens
	entra    *fake.Issuer
	registry *fake.Issuer // of refresh tokens
	access   *fake.Issuer // of the registry's access tokens
}

// New returns a Server.
func New(o Options) *Server {
	if o.Authority == "" {
		o.Authority = Authority
	}
	if o.Registries == nil {
		o.Registries = []string{Registry}
	}
	return &Server{
		o: o, key: []byte(rand.Text() + rand.Text()),
		entra:    fake.New(o.Entra, entraLifetime),
		registry: fake.New(o.Registry, refreshLifetime),
		access:   fake.New(o.Registry, accessLifetime),
	}
}

// SetEntra replaces Entra ID's quirks from the next request on.
func (s *Server) SetEntra(q Quirks) { s.entra.Set(q) }

// SetRegistry replaces the registries' quirks from the next request on.
func (s *Server) SetRegistry(q Quirks) {
	s.registry.Set(q)
	s.access.Set(q)
}

// Calls returns how often each call was begun: "discovery", "token" and "managed"
// of Entra ID, "exchange", "access" and "registry" of the registries.
func (s *Server) Calls() map[string]int {
	calls := s.entra.Calls()
	maps.Copy(calls, s.registry.Calls())
	return calls
}

// ServeHTTP answers by the request's host.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Host == s.o.Authority:
		s.serveEntra(w, r)
	case r.Host == Metadata:
		s.serveMetadata(w, r)
	case slices.Contains(s.o.Registries, r.Host):
		s.serveRegistry(w, r)
	default:
		http.Error(w, "no such host: "+r.Host, http.StatusMisdirectedRequest)
	}
}

// isForm reports whether a request is the post of a form, and parses it.
func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.RawQuery == "" && r.ParseForm() == nil &&
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// claims are those that the fake puts into its tokens, and reads in assertions.
type claims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ID        string   `json:"jti"`
	NotBefore int64    `json:"nbf"`
	Expires   any      `json:"exp,omitempty"`
	Tenant    string   `json:"tid,omitempty"`
	Client    string   `json:"appid,omitempty"`
	Grant     string   `json:"grant_type,omitempty"`
	Access    []access `json:"access,omitempty"`
}

// access is what a registry's access token allows.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// expires returns the claim exp, the zero time where it is no number.
func (c claims) expires() time.Time {
	seconds, _ := c.Expires.(float64)
	return time.Unix(int64(seconds), 0)
}

// sign makes a JSON Web Token, the same one for the same claims.
func (s *Server) sign(c claims) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: s.key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic("fakeazure: " + err.Error())
	}
	payload, err := json.Marshal(c)
	if err != nil {
		panic("fakeazure: " + err.Error())
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic("fakeazure: " + err.Error())
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic("fakeazure: " + err.Error())
	}
	return token
}

// verify returns the claims of a token that the fake signed and that is valid now.
func (s *Server) verify(token string, now time.Time) (claims, bool) {
	var c claims
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return c, false
	}
	payload, err := signed.Verify(s.key)
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, false
	}
	return c, now.Before(c.expires())
}

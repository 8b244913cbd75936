// Package fakeoidc is a fake of an OpenID Connect issuer with a token endpoint that
// knows the grants client_credentials (RFC 6749, section 4.4) and token exchange
// (RFC 8693), and of the federation of Quay's robot accounts, which trusts it.
package fakeoidc

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are ways in which the services fail.
type Quirks = fake.Quirks

// Garbage is a kind of answer that makes no sense.
type Garbage = fake.Garbage

// Options say who is known, and how the services differ.
type Options struct {
	Quirks

	// Issuer is the issuer's URL, such as "https://id.example.com". Required.
	Issuer string
	// TokenEndpoint is what the OpenID configuration says. Default: Issuer + "/token".
	TokenEndpoint string
	// ClientID and ClientSecret are of the one client. Where ClientID is "", tokens
	// are exchanged without one.
	ClientID     string
	ClientSecret string
	// Audience, Resource and Scope are the only ones that tokens are given for; ""
	// is to ask for none.
	Audience string
	Resource string
	Scope    string
	// Subject is whose tokens are exchanged. Default: ClientID.
	Subject string
	// Robot is the robot account of Quay's whose federation trusts Subject.
	Robot string
	// Opaque makes tokens random text, and no JWTs.
	Opaque bool
	// Silent makes answers of the token endpoint not say expires_in.
	Silent bool
}

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o   Options
	key ed25519.PrivateKey
	mux *http.ServeMux
}

// The names of the calls that Calls counts.
const (
	CallDiscovery = "discovery" // GET /.well-known/openid-configuration
	CallToken     = "token"     // POST /token
	CallRobot     = "robot"     // GET /oauth2/federation/robot/token
)

// Lifetime is how long tokens live: Quay's an hour.
const Lifetime = time.Hour

// New returns a Server. Paths begin with that of Options.Issuer, but for Quay's.
func New(o Options) *Server {
	if o.TokenEndpoint == "" {
		o.TokenEndpoint = o.Issuer + "/token"
	}
	if o.Subject == "" {
		o.Subject = o.ClientID
	}
	s := &Server{Issuer: fake.New(o.Quirks, Lifetime), o: o, key: newKey(), mux: http.NewServeMux()}
	_, rest, _ := strings.Cut(o.Issuer, "://")
	path := ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		path = strings.TrimSuffix(rest[i:], "/")
	}
	s.mux.HandleFunc("GET "+path+"/.well-known/openid-configuration", s.call(CallDiscovery, s.getConfiguration))
	s.mux.HandleFunc("POST "+path+"/token", s.call(CallToken, s.postToken))
	s.mux.HandleFunc("GET /oauth2/federation/robot/token", s.call(CallRobot, s.getRobotToken))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) call(name string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch s.Begin(w, r, name) {
		case fake.Serve:
			serve(w, r)
		case fake.Throttle:
			s.Write(w, http.StatusTooManyRequests, map[string]string{"error": "slow_down"})
		case fake.Done:
		}
	}
}

// getConfiguration answers as OpenID Connect Discovery 1.0, section 4.2, asks for.
func (s *Server) getConfiguration(w http.ResponseWriter, _ *http.Request) {
	s.Write(w, http.StatusOK, map[string]any{
		"issuer":                                s.o.Issuer,
		"token_endpoint":                        s.o.TokenEndpoint,
		"authorization_endpoint":                s.o.Issuer + "/authorize",
		"jwks_uri":                              s.o.Issuer + "/keys",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"EdDSA"},
	})
}

// getRobotToken answers as Quay's endpoint for federated robot accounts: Basic
// authentication with the robot's name and the issuer's token.
func (s *Server) getRobotToken(w http.ResponseWriter, r *http.Request) {
	robot, subject, ok := r.BasicAuth()
	switch {
	case !ok:
		s.Write(w, http.StatusUnauthorized, map[string]string{"error": "missing auth"})
	case s.o.Robot == "" || robot != s.o.Robot:
		s.Write(w, http.StatusUnauthorized, map[string]string{"error": "Could not find robot with username: " + robot})
	case s.Verify(subject) != nil:
		s.Write(w, http.StatusUnauthorized, map[string]string{"error": "Signature verification failed"})
	default:
		answer := map[string]string{"token": s.sign(s.Issue("robot "+robot, ""), "robot:"+robot)}
		if s.Quirks().Garbage == fake.NoToken {
			answer["token"] = ""
		}
		s.Write(w, http.StatusOK, answer)
	}
}

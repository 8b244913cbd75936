// Package fakeuaa is a fake of Cloud Foundry's UAA: its OpenID configuration, its
// /token_keys with keys that rotate, and enough of /login and /oauth/token to have tokens
// from (UAA API reference: "Token Keys", "Server Information", "Password Grant", "Client
// Credentials Grant", "Refresh Token"). Its signatures are real, and the cf CLI can log in.
package fakeuaa

import (
	"crypto/rsa"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are ways in which the UAA fails. A UAA that does not answer at all is one that
// is Slow by more than its caller waits.
type Quirks = fake.Quirks

// Kinds of answers that make no sense.
const (
	HTML = fake.HTML
	Cut  = fake.Cut
	Void = fake.Void
	Huge = fake.Huge
)

// Options say who is known. URL is required.
type Options struct {
	Quirks

	// URL is the UAA's, such as "https://uaa.sys.example.com".
	URL string
	// Issuer is the claim "iss" of its tokens. Default: URL + "/oauth/token".
	Issuer string
	// Users are known by their names, Clients by their ids. A client "cf" without a
	// secret, which the cf CLI is, is there in any case.
	Users   map[string]User
	Clients map[string]Client
	// FirstKey is what it signs with until it is told to Rotate. Default: a new one, which
	// takes a while to make.
	FirstKey *rsa.PrivateKey
	// OneKeyID gives every key the id "key-1", as foundations do whose operators
	// replace a key under its old name.
	OneKeyID bool
}

// User is a person.
type User struct {
	GUID     string
	Password string
	// Scopes are those of the user's tokens. nil: what all users of Cloud Foundry have.
	Scopes []string
}

// Client is a program.
type Client struct {
	Secret string
	// Authorities are the scopes of its own tokens.
	Authorities []string
}

// UserScopes are what all users of Cloud Foundry have.
var UserScopes = []string{"cloud_controller.read", "cloud_controller.write", "openid", "password.write", "uaa.user"}

// Lifetime is how long access tokens live: UAA's default for the cf CLI.
const Lifetime = 10 * time.Minute

// The names of the calls that Calls counts.
const (
	CallDiscovery = "discovery" // GET /.well-known/openid-configuration
	CallKeys      = "keys"      // GET /token_keys
	CallToken     = "token"     // POST /oauth/token
	CallLogin     = "login"     // GET /login
)

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o   Options
	mux *http.ServeMux

	mu      sync.Mutex
	keys    []Key             // the newest last
	refresh map[string]string // users' names by their refresh tokens
}

// New returns a Server with one key.
func New(o Options) *Server {
	if o.Issuer == "" {
		o.Issuer = o.URL + "/oauth/token"
	}
	o.Clients = maps.Clone(o.Clients)
	if o.Clients == nil {
		o.Clients = map[string]Client{}
	}
	o.Clients["cf"] = Client{}
	s := &Server{Issuer: fake.New(o.Quirks, Lifetime), o: o, mux: http.NewServeMux(), refresh: map[string]string{}}
	if o.FirstKey != nil {
		s.add(o.FirstKey)
	} else {
		s.Rotate()
	}
	s.mux.HandleFunc("GET /.well-known/openid-configuration", s.call(CallDiscovery, s.getConfiguration))
	s.mux.HandleFunc("GET /token_keys", s.call(CallKeys, s.getKeys))
	s.mux.HandleFunc("GET /login", s.call(CallLogin, s.getLogin))
	s.mux.HandleFunc("POST /oauth/token", s.call(CallToken, s.postToken))
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
			s.Write(w, http.StatusTooManyRequests, map[string]string{"error": "too_many_requests"})
		case fake.Done:
		}
	}
}

func (s *Server) getConfiguration(w http.ResponseWriter, _ *http.Request) {
	s.Write(w, http.StatusOK, map[string]any{
		"issuer": s.o.Issuer, "jwks_uri": s.o.URL + "/token_keys",
		"token_endpoint": s.o.URL + "/oauth/token", "authorization_endpoint": s.o.URL + "/oauth/authorize",
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256"}, "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"},
	})
}

// getLogin says what `cf login` asks its user for.
func (s *Server) getLogin(w http.ResponseWriter, _ *http.Request) {
	s.Write(w, http.StatusOK, map[string]any{
		"links":   map[string]string{"uaa": s.o.URL, "login": s.o.URL},
		"prompts": map[string][]string{"username": {"text", "Email"}, "password": {"password", "Password"}},
	})
}

// postToken answers the grants password, client_credentials and refresh_token. The
// client authenticates by Basic.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	client, known := s.o.Clients[id]
	if !known || client.Secret != secret {
		s.Write(w, http.StatusUnauthorized, oauthError("unauthorized", "Bad credentials"))
		return
	}
	name := r.PostFormValue("username")
	switch r.PostFormValue("grant_type") {
	case "client_credentials":
		s.Write(w, http.StatusOK, s.answer(s.ClientClaims(id), ""))
	case "password":
		if user, known := s.o.Users[name]; !known || user.Password != r.PostFormValue("password") {
			s.Write(w, http.StatusUnauthorized, oauthError("unauthorized", "Bad credentials"))
			return
		}
		s.Write(w, http.StatusOK, s.answer(s.Claims(name), s.Refresh(name)))
	case "refresh_token":
		token := r.PostFormValue("refresh_token")
		s.mu.Lock()
		name, known := s.refresh[token]
		s.mu.Unlock()
		if !known {
			s.Write(w, http.StatusUnauthorized, oauthError("invalid_token", "Invalid refresh token"))
			return
		}
		s.Write(w, http.StatusOK, s.answer(s.Claims(name), token))
	default:
		s.Write(w, http.StatusBadRequest, oauthError("unsupported_grant_type", "Unsupported grant type"))
	}
}

func (s *Server) answer(claims map[string]any, refresh string) map[string]any {
	scopes, _ := claims["scope"].([]string)
	a := map[string]any{
		"access_token": s.Sign(claims, nil), "token_type": "bearer", "jti": claims["jti"],
		"expires_in": int(Lifetime.Seconds()) - 1, "scope": strings.Join(scopes, " "),
	}
	if refresh != "" {
		a["refresh_token"] = refresh
	}
	return a
}

func oauthError(code, description string) map[string]string {
	return map[string]string{"error": code, "error_description": description}
}

// Package fakecluster imitates the part of a Kubernetes API server that issues service
// account tokens and publishes the keys that sign them ("Service account issuer
// discovery"). It is a plain http.Handler.
package fakecluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// JWKSPath is where the keys are.
const JWKSPath = "/openid/v1/jwks"

// jwksType is the only media type that the API server has keys in (RFC 7517, section
// 8.5.2): who does not accept it gets 406.
const jwksType = "application/jwk-set+json"

// Options configure a Server. Issuer is required.
type Options struct {
	// Issuer is its URL, and that of the keys, without a final slash.
	Issuer string
	// Bearer is the token that requests must bring along; "": none.
	Bearer string
	// ECDSA signs with ES256 in place of RS256.
	ECDSA bool
}

// Quirks are how a Server misbehaves. The zero Quirks are none.
type Quirks struct {
	// Status is what it answers to everything, unless it is 0.
	Status int
	// Body is what it answers in place of its keys, unless it is "".
	Body string
	// SaysIssuer is who it says it is, unless that is "".
	SaysIssuer string
	// JWKSURL is where it says that its keys are, unless that is "".
	JWKSURL string
	// Hang has it answer only when its caller has gone.
	Hang bool
}

// Server is the fake. It may be used concurrently.
type Server struct {
	o Options

	mu     sync.Mutex
	quirks Quirks
	calls  map[string]int
	keys   []Key // the newest last
}

// Key is one that signs tokens.
type Key struct {
	ID     string
	Signer crypto.Signer
	alg    jose.SignatureAlgorithm
}

// New returns a Server with one key.
func New(o Options) *Server {
	s := &Server{o: o, calls: map[string]int{}}
	s.Rotate()
	return s
}

// Issuer returns Options.Issuer.
func (s *Server) Issuer() string { return s.o.Issuer }

// Rotate has it sign with a new key from now on; the keys before stay published.
func (s *Server) Rotate() {
	k := Key{alg: jose.RS256}
	if s.o.ECDSA {
		k.alg, k.Signer = jose.ES256, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	} else {
		k.Signer = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	thumbprint := must((&jose.JSONWebKey{Key: k.Signer.Public()}).Thumbprint(crypto.SHA256))
	k.ID = base64.RawURLEncoding.EncodeToString(thumbprint)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, k)
}

// Forget has it publish its newest key alone.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
}

// Key returns the newest key.
func (s *Server) Key() Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1]
}

// Set replaces the quirks.
func (s *Server) Set(q Quirks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quirks = q
}

// Calls returns how often a path was asked for.
func (s *Server) Calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls[r.URL.Path]++
	q := s.quirks
	var set jose.JSONWebKeySet
	for _, k := range s.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Signer.Public(), KeyID: k.ID, Algorithm: string(k.alg), Use: "sig"})
	}
	s.mu.Unlock()
	switch {
	case q.Hang:
		<-r.Context().Done()
	case s.o.Bearer != "" && r.Header.Get("Authorization") != "Bearer "+s.o.Bearer:
		http.Error(w, "Forbidden", http.StatusForbidden)
	case q.Status != 0:
		http.Error(w, strconv.Itoa(q.Status), q.Status)
	case r.URL.Path == "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer": s.o.Issuer, "jwks_uri": s.o.Issuer + JWKSPath, "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		}
		if q.SaysIssuer != "" {
			doc["issuer"] = q.SaysIssuer
		}
		if q.JWKSURL != "" {
			doc["jwks_uri"] = q.JWKSURL
		}
		answer(w, "application/json", doc)
	case r.URL.Path == JWKSPath && !strings.Contains(r.Header.Get("Accept"), jwksType):
		http.Error(w, "Not Acceptable", http.StatusNotAcceptable)
	case r.URL.Path == JWKSPath && q.Body != "":
		_, _ = w.Write([]byte(q.Body))
	case r.URL.Path == JWKSPath:
		answer(w, jwksType, set)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	_ = json.NewEncoder(w).Encode(v)
}

// Claims returns what the API server signs for a pod "web-1" of the service account
// "default", for an hour from now (k8s.io/kubernetes, pkg/serviceaccount/claims.go).
func (s *Server) Claims(now time.Time, namespace, audience string) map[string]any {
	return map[string]any{
		"iss": s.o.Issuer, "aud": []string{audience}, "sub": "system:serviceaccount:" + namespace + ":default",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text(),
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"serviceaccount": map[string]any{"name": "default", "uid": "3b1c"},
			"pod":            map[string]any{"name": "web-1", "uid": "4d2e"},
			"node":           map[string]any{"name": "node-1", "uid": "5f30"},
		},
	}
}

// Token returns a token for a pod of a namespace, valid for an hour from now.
func (s *Server) Token(now time.Time, namespace, audience string) string {
	return s.Sign(s.Claims(now, namespace, audience), nil)
}

// Sign signs claims with the newest key. header is added to that of the token.
func (s *Server) Sign(claims, header map[string]any) string {
	k := s.Key()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": k.ID}}
	for name, value := range maps.All(header) {
		o.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: k.Signer}, o))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package clustertoken

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// discoveryPath is where an issuer describes itself (OpenID Connect Discovery 1.0,
// section 4).
const discoveryPath = "/.well-known/openid-configuration"

// OIDCOptions say who issues tokens and where its keys are.
type OIDCOptions struct {
	// Issuer is the claim "iss" of its tokens, exactly: an https URL.
	Issuer string
	// Audience is what the claim "aud" must name.
	Audience string
	// JWKSURL is where its keys are (RFC 7517); "": where its discovery document says.
	JWKSURL string
	// TokenFile holds a bearer token for the issuer, "" for none: an API server wants
	// one unless system:service-account-issuer-discovery is bound to everybody. It is
	// read for each request, as it is replaced from time to time, and sent to the hosts
	// of Issuer and JWKSURL alone.
	TokenFile string
	// Client asks the issuer.
	Client *web.Client
}

// source reads the keys of one issuer.
type source struct {
	o       OIDCOptions
	trusted map[string]bool // hosts that the bearer token is for
}

func newSource(o OIDCOptions) *source {
	s := &source{o: o, trusted: map[string]bool{}}
	for _, raw := range []string{o.Issuer, o.JWKSURL} {
		if u, err := url.Parse(raw); err == nil && raw != "" {
			s.trusted[u.Host] = true
		}
	}
	return s
}

// keys returns the public keys that the issuer has now.
func (s *source) keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	at := s.o.JWKSURL
	if at == "" {
		var err error
		if at, err = s.discover(ctx); err != nil {
			return nil, err
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.get(ctx, at, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		// Keys of kinds that are not known are passed over (RFC 7517, section 5).
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, regcred.Errorf(regcred.Unavailable, "%s publishes no key that verifies signatures", hostOf(at))
	}
	return keys, nil
}

// usable reports whether a key is one for signatures, and public: a secret that
// somebody published must not verify anything.
func usable(key jose.JSONWebKey) bool {
	switch key.Key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return key.KeyID != "" && (key.Use == "" || key.Use == "sig")
	}
	return false
}

// discover returns where the issuer has its keys.
func (s *source) discover(ctx context.Context) (string, error) {
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := s.get(ctx, strings.TrimSuffix(s.o.Issuer, "/")+discoveryPath, &doc); err != nil {
		return "", err
	}
	if doc.Issuer != s.o.Issuer {
		return "", regcred.Errorf(regcred.Unavailable, "%s says that it is the issuer %.200q, not %q", hostOf(s.o.Issuer), doc.Issuer, s.o.Issuer)
	}
	if u, err := url.Parse(doc.JWKSURI); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", regcred.Errorf(regcred.Unavailable, "%s names no https URL for its keys", hostOf(s.o.Issuer))
	}
	return doc.JWKSURI, nil
}

// get reads a JSON document. Every failure is Unavailable: that an issuer refuses us
// says nothing about a token.
func (s *source) get(ctx context.Context, at string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "the URL of the issuer makes no sense")
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json") // API servers insist on the latter
	if s.o.TokenFile != "" && s.trusted[req.URL.Host] {
		token, err := os.ReadFile(s.o.TokenFile)
		if err != nil {
			return regcred.Errorf(regcred.Unavailable, "the bearer token for %s cannot be read: %w", req.URL.Host, err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answer, err := s.o.Client.Do(req)
	if err == nil {
		err = answer.Err("")
	}
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "%w", err)
	}
	if err := json.Unmarshal(answer.Body, into); err != nil {
		return regcred.Errorf(regcred.Unavailable, "%s answers what is not the JSON that was asked for", req.URL.Host)
	}
	return nil
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the issuer"
	}
	return u.Host
}

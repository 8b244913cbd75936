package jwks

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// DiscoveryPath is where an issuer describes itself, below its URL (OpenID Connect
// Discovery 1.0, section 4).
const DiscoveryPath = "/.well-known/openid-configuration"

// minRSA is the size of the smallest RSA key that is used, in bits (RFC 7518, section
// 3.3).
const minRSA = 2048

// Issuer is an issuer of OpenID Connect. URL and Client are required.
type Issuer struct {
	// URL is the claim "iss" of its tokens, exactly: an https URL.
	URL string
	// JWKSURL is where its keys are (RFC 7517); "": where its discovery document says.
	JWKSURL string
	// Client asks it.
	Client *web.Client
	// Authorize adds to each request what the issuer wants to see; nil: nothing. It
	// must look at the host: the discovery document may name any.
	Authorize func(*http.Request) error
}

// Keys returns the public keys that the issuer has now. Errors: Unavailable: that an
// issuer refuses us says nothing about a token.
func (i Issuer) Keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	at := i.JWKSURL
	if at == "" {
		var err error
		if at, err = i.discover(ctx); err != nil {
			return nil, err
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := i.Get(ctx, at, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		// Keys of kinds that are not known are passed over (RFC 7517, section 5).
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.KeyID != "" && Usable(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, regcred.Errorf(regcred.Unavailable, "%s publishes no key that verifies signatures", hostOf(at))
	}
	return keys, nil
}

// Usable reports whether a key is one for signatures, and public: a secret that
// somebody published must not verify anything.
func Usable(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// discover returns where the issuer has its keys.
func (i Issuer) discover(ctx context.Context) (string, error) {
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := i.Get(ctx, strings.TrimSuffix(i.URL, "/")+DiscoveryPath, &doc); err != nil {
		return "", err
	}
	if doc.Issuer != i.URL {
		return "", regcred.Errorf(regcred.Unavailable, "%s says that it is the issuer %.200q, not %q", hostOf(i.URL), doc.Issuer, i.URL)
	}
	if u, err := url.Parse(doc.JWKSURI); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", regcred.Errorf(regcred.Unavailable, "%s names %.200q as the place of its keys, which is no https URL", hostOf(i.URL), doc.JWKSURI)
	}
	return doc.JWKSURI, nil
}

// Get reads a JSON document of the issuer's. Errors: Unavailable.
func (i Issuer) Get(ctx context.Context, at string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "the URL of the issuer makes no sense")
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json") // API servers insist on the latter
	if i.Authorize != nil {
		if err := i.Authorize(req); err != nil {
			return err
		}
	}
	answer, err := i.Client.Do(req)
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

package cloudfoundry

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev"
	"regcred.dev/internal/jwks"
)

// Scopes of UAA tokens, as CAPI reads them (Cloud Foundry API v3, "Authorization").
const (
	scopeAdmin    = "cloud_controller.admin"
	scopeReadAll  = "cloud_controller.admin_read_only"
	scopeAuditor  = "cloud_controller.global_auditor"
	scopeRead     = "cloud_controller.read"
	scopeWrite    = "cloud_controller.write"
	audience      = "cloud_controller"
	refreshSuffix = "-r" // of the jti of refresh tokens, which are signed like access tokens
)

// algorithms are those that a UAA may sign with. Its keys say which.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

// claims are those of a UAA's access token.
type claims struct {
	jwt.Claims

	UserID   string   `json:"user_id"`
	UserName string   `json:"user_name"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scope"`
}

// Authenticate returns the caller that an access token of the UAA stands for: an
// admin, an auditor (of the scopes cloud_controller.admin_read_only or
// cloud_controller.global_auditor), or a user, whose roles CAPI has: Members asks there,
// with this token. Without the scope cloud_controller.write a caller only reads.
//
// Errors: Unauthenticated where the token is not valid at now; Denied where it has no
// scope of CAPI's; Unavailable where the UAA cannot be asked for its keys.
func (f *Foundation) Authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	if len(raw) > jwks.MaxSize {
		return regcred.Caller{}, jwks.Refused("it is longer than %d bytes", jwks.MaxSize)
	}
	hash := tokenHash(sha256.Sum256([]byte(raw)))
	c, known := f.verified.get(now, hash)
	if !known {
		if err := f.keys.Open(ctx, now, raw, algorithms, &c); err != nil {
			return regcred.Caller{}, err
		}
		f.verified.put(now, hash, c)
	}
	if reason := f.refusal(now, c); reason != "" {
		return regcred.Caller{}, jwks.Refused("%s", reason)
	}
	return f.caller(c, raw, hash)
}

// refusal says in words why a token that the UAA signed is no access token for CAPI, ""
// where it is one.
func (f *Foundation) refusal(now time.Time, c claims) string {
	switch {
	case jwks.Untimely(now, c.Claims) != "":
		return jwks.Untimely(now, c.Claims)
	case f.issuer.Load() == nil || c.Issuer != *f.issuer.Load():
		return "another issuer's name is in it"
	case !c.Audience.Contains(audience):
		return "it is not for the Cloud Controller: its audience lacks " + audience
	case strings.HasSuffix(c.ID, refreshSuffix):
		return "it is a refresh token: send the access token (cf oauth-token)"
	case c.UserID == "" && c.ClientID == "":
		return "it is nobody's"
	}
	return ""
}

// caller returns whom the claims are of. Errors: Denied.
func (f *Foundation) caller(c claims, raw string, hash tokenHash) (regcred.Caller, error) {
	has := func(scope string) bool { return slices.Contains(c.Scopes, scope) }
	guid, name := c.UserID, "user "+c.UserName+" ("+c.UserID+")"
	if guid == "" {
		guid, name = c.ClientID, "client "+c.ClientID
	}
	// An admin's tells where spaces and apps are.
	caller := regcred.Caller{Name: name, Role: regcred.RoleUser, Scope: regcred.Foundation, Members: newUser(f, guid, raw, hash)}
	if has(scopeAdmin) {
		caller.Role = regcred.RoleAdmin
		return caller, nil
	}
	switch {
	case has(scopeReadAll), has(scopeAuditor):
		caller.Role = regcred.RoleAuditor
	case !has(scopeRead):
		return regcred.Caller{}, regcred.Errorf(regcred.Denied, "you are not authorized to perform the requested action: the token of %s lacks the scope %s", name, scopeRead)
	}
	caller.ReadOnly = !has(scopeWrite)
	return caller, nil
}

// readKeys asks CAPI where its UAA is, and that for its name and keys.
func (f *Foundation) readKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	uaa, err := f.uaa(ctx)
	if err != nil {
		return nil, err
	}
	about := jwks.Issuer{URL: uaa, Client: f.about}
	var doc struct {
		Issuer string `json:"issuer"`
	}
	if err := about.Get(ctx, uaa+jwks.DiscoveryPath, &doc); err != nil {
		return nil, err
	}
	var answer struct {
		Keys []uaaKey `json:"keys"`
	}
	if err := about.Get(ctx, uaa+"/token_keys", &answer); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, k := range answer.Keys {
		if key, ok := k.parse(); ok {
			keys = append(keys, key)
		}
	}
	if doc.Issuer == "" || len(keys) == 0 {
		return nil, regcred.Errorf(regcred.Unavailable, "the UAA at %s does not say who it is, or publishes no public key", uaa)
	}
	f.issuer.Store(&doc.Issuer)
	return keys, nil
}

// uaa returns the URL of CAPI's UAA.
func (f *Foundation) uaa(ctx context.Context) (string, error) {
	var root struct {
		Links struct {
			UAA struct {
				Href string `json:"href"`
			} `json:"uaa"`
		} `json:"links"`
	}
	if err := (jwks.Issuer{Client: f.about}).Get(ctx, f.api.String()+"/", &root); err != nil {
		return "", err
	}
	u, err := url.Parse(root.Links.UAA.Href)
	if err != nil || !mayAsk(u) || u.RawQuery != "" || u.Fragment != "" {
		return "", regcred.Errorf(regcred.Unavailable, "%s names no https URL of its UAA: is it the API of a Cloud Foundry?", f.api.Host)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// uaaKey is a key as the UAA publishes it at /token_keys (UAA API reference, "Token
// Keys").
type uaaKey struct {
	Type      string `json:"kty"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	PEM       string `json:"value"`
}

// parse returns a public key, false for any other. It has no id, so that it is tried
// for every token: operators replace keys under their old names.
func (k uaaKey) parse() (jose.JSONWebKey, bool) {
	block, _ := pem.Decode([]byte(k.PEM))
	if block == nil {
		return jose.JSONWebKey{}, false
	}
	var public any
	var err error
	if block.Type == "RSA PUBLIC KEY" {
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	} else {
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	key := jose.JSONWebKey{Key: public, Algorithm: k.Algorithm, Use: k.Use}
	switch k.Algorithm {
	case "", "SHA256withRSA": // the name that UAA 3 gave it
		key.Algorithm = string(jose.RS256)
	}
	_, isRSA := public.(*rsa.PublicKey)
	_, isEC := public.(*ecdsa.PublicKey)
	fits := isRSA && k.Type == "RSA" || isEC && k.Type == "EC"
	return key, err == nil && fits && slices.Contains(algorithms, jose.SignatureAlgorithm(key.Algorithm)) && jwks.Usable(key)
}

package jwks

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses names that are there twice, or in another case
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev"
)

// MaxSize bounds a token, in bytes. Those of Kubernetes have about 1 KiB; one that
// lists two hundred groups has about 10.
const MaxSize = 32 << 10

// Leeway is how far the clocks of an issuer and this machine may differ.
const Leeway = 30 * time.Second

// Refused returns a *regcred.BadToken with a reason that may be shown.
func Refused(format string, args ...any) error {
	reason, fault := fmt.Sprintf(format, args...), regcred.TokenRefused
	if strings.HasPrefix(reason, expired) {
		fault = regcred.TokenExpired
	}
	return regcred.NewBadToken(fault, "", "the token is refused: %s", reason)
}

// expired is how Untimely begins where a token's time is over.
const expired = "it expired at "

// Open reads the claims of a token in the compact form of JWS (RFC 7515, section 7.1)
// that one of the issuer's keys signed. Of its header only the algorithm and the key's
// id are looked at: keys without an id are tried for every token, others for those that
// name them. A key that has an algorithm is used with that alone.
//
// Errors: Unauthenticated where the token is malformed or not the issuer's; Unavailable
// where that cannot be found out.
func (s *Set) Open(ctx context.Context, now time.Time, raw string, algorithms []jose.SignatureAlgorithm, claims ...any) error {
	if len(raw) > MaxSize || strings.ContainsAny(raw, "\r\n") {
		return Refused("it is no JSON Web Token")
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return Refused("it is no JSON Web Token, or is not signed with one of %s", names(algorithms))
	}
	header := jws.Signatures[0].Protected
	if header.JSONWebKey != nil {
		return Refused("it brings along the key that verifies it")
	}
	content, err := s.verify(ctx, now, jws, header)
	if err != nil {
		return err
	}
	for _, into := range claims {
		if json.Unmarshal(content, into) != nil {
			return Refused("its claims are malformed")
		}
	}
	return nil
}

// verify returns what a token says where one of the issuer's keys signed it.
func (s *Set) verify(ctx context.Context, now time.Time, jws *jose.JSONWebSignature, header jose.Header) ([]byte, error) {
	var content []byte
	named := false
	ok, err := s.Accept(ctx, now, func(keys []jose.JSONWebKey) bool {
		for _, key := range keys {
			if key.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
				continue
			}
			named = true
			var err error
			if content, err = jws.Verify(key.Key); err == nil {
				return true
			}
		}
		return false
	})
	switch {
	case err != nil:
		return nil, err
	case !named:
		return nil, Refused("its issuer has no key of the name that it gives, or not for %s", header.Algorithm)
	case !ok:
		return nil, Refused("its signature is not valid")
	}
	return content, nil
}

// Untimely says in words why a token is not valid at now, "" where it is. One that
// never expires is not valid.
func Untimely(now time.Time, c jwt.Claims) string {
	switch {
	case c.Expiry == nil:
		return "it never expires"
	case !now.Before(c.Expiry.Time().Add(Leeway)):
		return expired + c.Expiry.Time().UTC().Format(time.RFC3339)
	case c.NotBefore != nil && now.Add(Leeway).Before(c.NotBefore.Time()):
		return "it is not valid yet: compare the clocks"
	case c.IssuedAt != nil && now.Add(Leeway).Before(c.IssuedAt.Time()):
		return "it was issued in the future: compare the clocks"
	}
	return ""
}

func names(algorithms []jose.SignatureAlgorithm) string {
	var list []string
	for _, a := range algorithms {
		list = append(list, string(a))
	}
	return strings.Join(list, ", ")
}

// ClaimedIssuer returns who a token says has issued it, before anything is verified.
func ClaimedIssuer(raw string) (string, bool) {
	if len(raw) > MaxSize || strings.Count(raw, ".") != 2 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	err = json.Unmarshal(payload, &claims)
	return claims.Issuer, err == nil && claims.Issuer != ""
}

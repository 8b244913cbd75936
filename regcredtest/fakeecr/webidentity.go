package fakeecr

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Audience is that of the web identity tokens which STS accepts.
const Audience = "sts.amazonaws.com"

type claims struct {
	Audience []string `json:"aud"`
	Expires  int64    `json:"exp"`
	Subject  string   `json:"sub"`
}

const joseHeader = `{"alg":"RS256","typ":"JWT"}`

// WebIdentityToken returns a token as the cluster's OIDC issuer signs it for a service
// account, a JWT (RFC 7519).
func (s *Server) WebIdentityToken(subject, audience string, lifetime time.Duration) string {
	body, err := json.Marshal(claims{[]string{audience}, s.Now().Add(lifetime).Unix(), subject})
	if err != nil {
		panic("fakeecr: claims that are no JSON: " + err.Error())
	}
	text := encode([]byte(joseHeader)) + "." + encode(body)
	hash := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.sign(), crypto.SHA256, hash[:])
	if err != nil {
		panic("fakeecr: no signature: " + err.Error())
	}
	return text + "." + encode(signature)
}

// verify returns the subject of a token that the fake's own issuer signed.
func (s *Server) verify(token string) (string, *refusal) {
	invalid := &refusal{"InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements"}
	text, signed, ok := cutLast(token)
	header, body, more := strings.Cut(text, ".")
	signature, err := base64.RawURLEncoding.DecodeString(signed)
	if !ok || !more || err != nil || header != encode([]byte(joseHeader)) {
		// As AWS does, with what it was given.
		return "", &refusal{"ValidationError", "1 validation error detected: Value '" + token + "' at 'webIdentityToken' failed to satisfy constraint"}
	}
	hash := sha256.Sum256([]byte(text))
	if rsa.VerifyPKCS1v15(&s.sign().PublicKey, crypto.SHA256, hash[:], signature) != nil {
		return "", invalid
	}
	var c claims
	plain, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(plain, &c) != nil {
		return "", invalid
	}
	switch {
	case !slices.Contains(c.Audience, Audience):
		return "", &refusal{"InvalidIdentityToken", "Incorrect token audience"}
	case c.Expires < s.Now().Unix():
		return "", &refusal{"ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"}
	}
	return c.Subject, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func cutLast(token string) (before, after string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return "", "", false
	}
	return token[:i], token[i+1:], true
}

// Package jwt reads when a JSON Web Token expires, where that is all there is to
// know of it: issuers hand out tokens as passwords without saying their lifetime.
package jwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"regcred.dev/provider/internal/bearer"
)

// maxSeconds is the end of the year 9999, in seconds since 1970.
const maxSeconds = 253402300799

// ExpiryOf returns the time in the claim exp (RFC 7519, section 4.1.4) of a token
// in the compact form of JWS (RFC 7515, section 7.1), in whole seconds. The
// signature is not verified: whoever asks got the token from its issuer and only
// hands it on.
//
// An error says in words why there is no such time, and quotes nothing of the
// token. It has no code: the caller knows whose token it is.
func ExpiryOf(token string) (time.Time, error) {
	claims, err := claims(token)
	if err != nil {
		return time.Time{}, err
	}
	exp, ok := claims["exp"]
	if !ok {
		return time.Time{}, errors.New("its claim exp, when it expires, is missing")
	}
	// A NumericDate may have a fraction (RFC 7519, section 2).
	var seconds float64
	if err := json.Unmarshal(exp, &seconds); err != nil || seconds < 1 || seconds > maxSeconds {
		return time.Time{}, errors.New("its claim exp, when it expires, is no time in seconds since 1970")
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// claims returns the token's claims by name.
func claims(token string) (map[string]json.RawMessage, error) {
	if len(token) > bearer.MaxLength {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(token), bearer.MaxLength)
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return nil, errors.New("it is no JSON Web Token of three parts, separated by dots")
	}
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, errors.New("it is no JSON Web Token: its claims are not in base64url")
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(data, &claims); err != nil {
		return nil, errors.New("it is no JSON Web Token: its claims are no JSON object")
	}
	return claims, nil
}

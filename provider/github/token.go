package github

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev"
	"regcred.dev/provider/internal/bearer"
)

// GitHub accepts a JWT that was issued in the past and expires at most 10 minutes
// ahead ("Generating a JSON Web Token (JWT) for a GitHub App"). These bounds allow
// for a clock that is a minute fast or nine minutes slow.
const (
	issuedBefore = time.Minute
	expiresAfter = 9 * time.Minute
)

// signJWT returns the JWT that proves, at the time now, to be the app.
func signJWT(app string, key *rsa.PrivateKey, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("signing as a GitHub App: %w", err)
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:   app,
		IssuedAt: jwt.NewNumericDate(now.Add(-issuedBefore)),
		Expiry:   jwt.NewNumericDate(now.Add(expiresAfter)),
	}).Serialize()
}

// parseToken reads the answer to "Create an installation access token for an
// app": the token, and when it expires by GitHub's clock. An error quotes nothing
// of it.
func parseToken(body []byte) (regcred.Secret, time.Time, error) {
	var answer struct {
		Token   string `json:"token"`
		Expires string `json:"expires_at"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return regcred.Secret{}, time.Time{}, errors.New("it is not the JSON that GitHub documents")
	}
	if !bearer.IsToken(answer.Token) {
		return regcred.Secret{}, time.Time{}, errors.New(`its field "token" is empty, or no token`)
	}
	expires, err := time.Parse(time.RFC3339, answer.Expires)
	if err != nil {
		return regcred.Secret{}, time.Time{}, errors.New(`its field "expires_at" is no time (RFC 3339)`)
	}
	return regcred.NewSecret(answer.Token), expires.UTC(), nil
}

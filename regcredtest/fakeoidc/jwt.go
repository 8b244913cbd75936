package fakeoidc

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev/regcredtest/internal/fake"
)

// newKey returns a key whose signatures follow from what is signed, so that the
// same token has the same text.
func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// Subject returns a token of the issuer's for Options.Subject that lives this
// long by its clock, such as Kubernetes projects for a service account.
func (s *Server) Subject(lifetime time.Duration) string {
	now := s.Now()
	return s.sign(fake.Token{Value: rand.Text(), Issued: now, Expires: now.Add(lifetime)}, s.o.Subject)
}

// sign makes a token a JWT for a subject; a token is always the same JWT.
func (s *Server) sign(t fake.Token, subject string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: s.key}, nil)
	if err != nil {
		panic(err)
	}
	claims := jwt.Claims{
		Issuer: s.o.Issuer, Subject: subject, ID: t.Value,
		IssuedAt: jwt.NewNumericDate(t.Issued), Expiry: jwt.NewNumericDate(t.Expires),
	}
	switch s.Quirks().Garbage {
	case fake.NoExpiry:
		claims.Expiry = nil
	case fake.BadExpiry:
		bad := jwt.NumericDate(-1)
		claims.Expiry = &bad
	case fake.HTML, fake.Cut, fake.Void, fake.Huge, fake.NoToken: // not of claims
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return text
}

// Verify returns an error where a token is none of the issuer's for
// Options.Subject, or has expired.
func (s *Server) Verify(text string) error {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return err
	}
	var claims jwt.Claims
	if err := token.Claims(s.key.Public(), &claims); err != nil {
		return err
	}
	if claims.Expiry == nil {
		return errors.New("the token does not expire")
	}
	return claims.ValidateWithLeeway(jwt.Expected{Issuer: s.o.Issuer, Subject: s.o.Subject, Time: s.Now()}, 0)
}

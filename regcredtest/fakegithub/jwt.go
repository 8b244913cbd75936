package fakegithub

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxAhead is the latest that a JWT may expire.
const maxAhead = 10 * time.Minute

// verify returns "" where a request has a JWT that proves to be the app, and else
// what GitHub says.
func (s *Server) verify(r *http.Request) string {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "Requires authentication"
	}
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "A JSON web token could not be decoded"
	}
	var claims jwt.Claims
	if err := token.Claims(s.o.Key, &claims); err != nil {
		return "A JSON web token could not be decoded"
	}
	now := s.Now()
	switch {
	case claims.Issuer != s.o.AppID:
		return "Integration not found"
	case claims.IssuedAt == nil || claims.IssuedAt.Time().After(now):
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case claims.Expiry == nil || !claims.Expiry.Time().After(now):
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case claims.Expiry.Time().Sub(now) > maxAhead:
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

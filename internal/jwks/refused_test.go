package jwks_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev"
	"regcred.dev/internal/jwks"
)

// TestRefused: the fault of a token whose time is over is told from all others.
func TestRefused(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for expiry, want := range map[*jwt.NumericDate]regcred.TokenFault{
		jwt.NewNumericDate(now.Add(-time.Hour)): regcred.TokenExpired,
		nil:                                     regcred.TokenRefused,
	} {
		err := jwks.Refused("%s", jwks.Untimely(now, jwt.Claims{Expiry: expiry}))
		bad, ok := errors.AsType[*regcred.BadToken](err)
		if !ok || bad.Fault != want || bad.ID != "" {
			t.Errorf("%v: %+v", err, bad)
		}
	}
}

package token_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// now is the time of these tests: with microseconds, which tokens keep.
var now = time.Date(2026, 3, 1, 12, 0, 0, 250_000, time.UTC)

func newService(t testing.TB, store regcred.TokenStore, o token.Options) *token.Service {
	t.Helper()
	s, err := token.New(t.Context(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// login returns the claims of a registry login for acme/app.
func login() token.Claims {
	return token.Claims{
		ID: "login-1", Subject: "guid-1", Use: token.UseLogin,
		Grants:   []token.Grant{{Repository: "acme/app", Actions: []string{token.Pull}}},
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func sign(t testing.TB, s *token.Service, c token.Claims) string {
	t.Helper()
	raw, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return raw.Reveal()
}

// wantError checks an error's code, and that its text has a part and not the secret.
func wantError(t testing.TB, err error, code regcred.Code, part, secret string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s: ...%s...", code, part)
	}
	if regcred.CodeOf(err) != code || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %s: %v\nwant %s: ...%s...", regcred.CodeOf(err), err, code, part)
	}
	if secret != "" && strings.Contains(err.Error(), secret) {
		t.Errorf("the error shows the secret: %v", err)
	}
}

// TestKeyIsKept checks that services on one store share their key, and that those
// on two stores do not.
func TestKeyIsKept(t *testing.T) {
	store := memory.New()
	raw := sign(t, newService(t, store, token.Options{}), login())
	if _, err := newService(t, store, token.Options{}).Verify(now, raw, token.UseLogin); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	_, err := newService(t, memory.New(), token.Options{}).Verify(now, raw, token.UseLogin)
	wantError(t, err, regcred.Unauthenticated, "not signed with this server's key", raw)
}

func TestStoredKeyIsNone(t *testing.T) {
	for _, stored := range []string{"not base64!", "c2hvcnQ="} {
		store := memory.New()
		_, err := store.Key(t.Context(), "token-signing", func() (regcred.Secret, error) {
			return regcred.NewSecret(stored), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = token.New(t.Context(), store, token.Options{})
		wantError(t, err, regcred.Corrupt, "not an Ed25519 key", stored)
	}
}

// broken is a store whose every answer is an error.
type broken struct{ regcred.TokenStore }

var errBroken = regcred.Errorf(regcred.Unavailable, "the store cannot be reached")

func (broken) Token(context.Context, string) (regcred.APIToken, error) {
	return regcred.APIToken{}, errBroken
}
func (broken) CreateToken(context.Context, regcred.APIToken) error { return errBroken }
func (broken) DeleteToken(context.Context, string) error           { return errBroken }
func (broken) Revoke(context.Context, regcred.Revocation) error    { return errBroken }
func (broken) Key(context.Context, string, func() (regcred.Secret, error)) (regcred.Secret, error) {
	return regcred.Secret{}, errBroken
}

func TestStoreIsBroken(t *testing.T) {
	_, err := token.New(t.Context(), broken{memory.New()}, token.Options{})
	wantError(t, err, regcred.Unavailable, "cannot be reached", "")
}

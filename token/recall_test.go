package token_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// What is remembered of a token must never outlive what ends it.

// TestRememberedLogin ends a login that was just used, in each way that there is.
func TestRememberedLogin(t *testing.T) {
	for name, test := range map[string]struct {
		at     time.Duration // after now
		use    string
		revoke string // a subject or id
		reason string
	}{
		"it expires":               {at: time.Hour, reason: "it expired"},
		"its subject is revoked":   {revoke: "guid-1", reason: "it was revoked"},
		"it is revoked":            {revoke: "login-1", reason: "it was revoked"},
		"for another use":          {use: token.UseAccess, reason: "it is for another use"},
		"before it was issued":     {at: -2 * time.Minute, reason: "issued in the future"},
		"it expired some time ago": {at: 48 * time.Hour, reason: "it expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, memory.New(), token.Options{})
			raw := sign(t, s, login())
			for range 2 {
				if _, err := s.Verify(now, raw, token.UseLogin); err != nil {
					t.Fatal(err)
				}
			}
			if test.revoke != "" {
				if err := s.Revoke(t.Context(), test.revoke, now.Add(time.Second), now.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			use := test.use
			if use == "" {
				use = token.UseLogin
			}
			_, err := s.Verify(now.Add(test.at), raw, use)
			wantError(t, err, regcred.Unauthenticated, test.reason, raw)
		})
	}
}

// TestRememberedByAllOfIt changes one character of a login that was just used.
func TestRememberedByAllOfIt(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	raw := sign(t, s, login())
	if _, err := s.Verify(now, raw, token.UseLogin); err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) - 1 { // the last one has bits that say nothing
		other := byte('A')
		if raw[i] == other {
			other = 'B'
		}
		if _, err := s.Verify(now, raw[:i]+string(other)+raw[i+1:], token.UseLogin); err == nil {
			t.Fatalf("character %d may be another", i)
		}
	}
}

// TestManyLogins uses more logins than are remembered.
func TestManyLogins(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	c := login()
	for i := range 2000 {
		c.Grants = []token.Grant{{Repository: fmt.Sprintf("acme/app%d", i), Actions: []string{token.Pull}}}
		got, err := s.Verify(now, sign(t, s, c), token.UseLogin)
		if err != nil || !got.Allows(c.Grants[0].Repository, token.Pull) || got.Allows("acme/app", token.Pull) {
			t.Fatalf("login %d grants %v, %v", i, got.Grants, err)
		}
	}
}

// readCounter counts how often API tokens are read.
type readCounter struct {
	regcred.TokenStore
	reads int
}

func (c *readCounter) Token(ctx context.Context, id string) (regcred.APIToken, error) {
	c.reads++
	return c.TokenStore.Token(ctx, id)
}

// TestRememberedAPIToken holds for how long an API token is not read again, and that
// its secret, its end and its deletion count all the same.
func TestRememberedAPIToken(t *testing.T) {
	store := &readCounter{TokenStore: memory.New()}
	here, there := newService(t, store, token.Options{}), newService(t, store, token.Options{})
	expires := time.Now().Add(time.Hour)
	made, secret, err := here.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RolePusher, ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	raw, at := secret.Reveal(), time.Now()
	want := func(s *token.Service, at time.Time, raw string, reads int, part string) {
		t.Helper()
		before := store.reads
		_, err := s.APIToken(t.Context(), at, raw)
		if part != "" {
			wantError(t, err, regcred.Unauthenticated, part, raw)
		} else if err != nil {
			t.Error(err)
		}
		if store.reads-before != reads {
			t.Errorf("%d reads, want %d", store.reads-before, reads)
		}
	}
	want(here, at, raw, 1, "")
	want(here, at.Add(2*time.Second-1), raw, 0, "")
	want(here, at.Add(2*time.Second), raw, 1, "")
	want(here, at, raw, 1, "") // the clock was set back
	want(there, at, raw, 1, "")
	wrong := raw[:len(raw)-64] + strings.Repeat("0", 64)
	want(here, at, wrong, 1, "unknown or wrong") // as one of an unknown ID
	want(here, expires, raw, 1, "expired")

	want(here, at, raw, 1, "")
	if err := here.DeleteAPIToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	want(here, at, raw, 0, "was deleted")
	want(here, at.Add(2*time.Second), raw, 1, "unknown or wrong")
	want(there, at.Add(time.Second), raw, 0, "") // it has not heard of it
	if err := there.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(there, at.Add(time.Second), raw, 0, "was deleted")
	want(there, at.Add(2*time.Second), raw, 1, "unknown or wrong")
}

// slow is a store that deletes an API token while it is being read.
type slow struct {
	regcred.TokenStore
	reading func()
}

func (s *slow) Token(ctx context.Context, id string) (regcred.APIToken, error) {
	t, err := s.TokenStore.Token(ctx, id)
	if s.reading != nil {
		s.reading()
	}
	return t, err
}

// TestDeletedWhileRead deletes an API token in the moment before what was read of it
// is remembered.
func TestDeletedWhileRead(t *testing.T) {
	store := &slow{TokenStore: memory.New()}
	s := newService(t, store, token.Options{})
	made, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RolePusher})
	if err != nil {
		t.Fatal(err)
	}
	store.reading = func() {
		store.reading = nil
		if err := s.DeleteAPIToken(t.Context(), made.ID); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		_, err := s.APIToken(t.Context(), time.Now(), secret.Reveal())
		wantError(t, err, regcred.Unauthenticated, "was deleted", secret.Reveal())
	}
}

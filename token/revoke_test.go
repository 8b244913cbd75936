package token_test

import (
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// TestRevoke checks what a revocation ends, and what it does not.
func TestRevoke(t *testing.T) {
	tests := []struct {
		name    string
		subject string
		before  time.Time
		revoked bool
	}{
		{"its subject, right after it was issued", "guid-1", now.Add(time.Microsecond), true},
		{"its subject, right when it was issued", "guid-1", now, false},
		{"its subject, before it was issued", "guid-1", now.Add(-time.Second), false},
		{"its id", "login-1", now.Add(time.Minute), true},
		{"another subject", "guid-2", now.Add(time.Minute), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t, memory.New(), token.Options{})
			raw := sign(t, s, login())
			if err := s.Revoke(t.Context(), test.subject, test.before, now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			_, err := s.Verify(now.Add(time.Minute), raw, token.UseLogin)
			if !test.revoked {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, regcred.Unauthenticated, "it was revoked", raw)
		})
	}
}

// TestRevokeBoth checks that the Bearer token made from a login ends with it.
func TestRevokeBoth(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	access := login()
	access.ID, access.Use = "access-1", token.UseAccess
	raw := sign(t, s, access)
	if err := s.Revoke(t.Context(), "guid-1", now.Add(time.Second), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Verify(now.Add(time.Second), raw, token.UseAccess)
	wantError(t, err, regcred.Unauthenticated, "it was revoked", raw)
}

// TestRevokeWidens checks that a later revocation undoes nothing of an earlier one.
func TestRevokeWidens(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	raw := sign(t, s, login())
	for _, before := range []time.Time{now.Add(time.Minute), now.Add(-time.Minute)} {
		if err := s.Revoke(t.Context(), "guid-1", before, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Verify(now, raw, token.UseLogin)
	wantError(t, err, regcred.Unauthenticated, "it was revoked", raw)
}

func TestRevokeRefuses(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	wantError(t, s.Revoke(t.Context(), "", now, now.Add(1)), regcred.Invalid, "needs a subject", "")
	wantError(t, s.Revoke(t.Context(), "guid-1", now, now), regcred.Invalid, "after the time before which it holds", "")
}

// TestRevocationIsShared checks that other processes learn of a revocation when
// they start and when they reload, and that it is in effect in this one even
// where the store fails.
func TestRevocationIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		here, there := newService(t, store, token.Options{}), newService(t, store, token.Options{})
		at := time.Now()
		c := login()
		c.IssuedAt, c.ExpiresAt = at, at.Add(time.Hour)
		raw := sign(t, here, c)
		time.Sleep(time.Second)
		if err := here.Revoke(t.Context(), c.Subject, time.Now(), at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := there.Verify(time.Now(), raw, token.UseLogin); err != nil {
			t.Errorf("before it reloads: %v", err)
		}
		if err := there.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]*token.Service{
			"here": here, "there": there, "after a restart": newService(t, store, token.Options{}),
		} {
			if _, err := s.Verify(time.Now(), raw, token.UseLogin); err == nil {
				t.Errorf("%s the token is still accepted", name)
			}
		}
		// Once it is over it is forgotten: the token has expired anyway.
		time.Sleep(time.Hour)
		if err := there.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := there.Verify(time.Now(), raw, token.UseLogin)
		wantError(t, err, regcred.Unauthenticated, "it expired", raw)
		if _, err := there.Verify(at.Add(30*time.Minute), raw, token.UseLogin); err != nil {
			t.Errorf("the revocation was not forgotten: %v", err)
		}
	})
}

func TestRevokeWithoutStore(t *testing.T) {
	store := memory.New()
	s := newService(t, store, token.Options{})
	raw := sign(t, s, login())
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Revoke(t.Context(), "guid-1", now.Add(time.Second), now.Add(time.Hour))
	wantError(t, err, regcred.Unavailable, "closed", raw)
	_, err = s.Verify(now, raw, token.UseLogin)
	wantError(t, err, regcred.Unauthenticated, "it was revoked", raw)
	wantError(t, s.Reload(t.Context()), regcred.Unavailable, "closed", raw)
	_, err = s.Verify(now, raw, token.UseLogin)
	wantError(t, err, regcred.Unauthenticated, "it was revoked", raw)
}

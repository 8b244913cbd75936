package regcredtest

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"regcred.dev"
)

func testTokens(t *testing.T, s regcred.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	tokens := []regcred.APIToken{
		{ID: "zeta", Name: "ci", Hash: bytes.Repeat([]byte{0xff}, 32), Role: regcred.RoleTarget, Scope: regcred.SpaceScope("acme", "dev"), CreatedAt: at, ExpiresAt: at.Add(time.Hour)},
		{ID: "customer", Name: "customer", Hash: []byte{2}, Role: regcred.RolePuller, Repositories: []string{"acme/*", "b"}, CreatedAt: at.Add(time.Millisecond), LastUsedAt: at.Add(time.Minute)},
		{ID: "alpha", Name: "admin", Hash: []byte{0, 1}, Role: regcred.RoleAdmin, CreatedAt: at.Add(time.Second)},
	}
	for _, token := range tokens {
		if err := s.CreateToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		got, err := s.Token(t.Context(), token.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "Token", got, token)
	}
	wantCode(t, "CreateToken again", s.CreateToken(t.Context(), regcred.APIToken{ID: "zeta"}), regcred.Exists, "zeta")
	wantCode(t, "CreateToken without an id", s.CreateToken(t.Context(), regcred.APIToken{}), regcred.Invalid)
	wantCode(t, "CreateToken with half a scope", s.CreateToken(t.Context(), regcred.APIToken{ID: "x", Scope: regcred.Scope{Space: "dev"}}), regcred.Invalid)
	wantCode(t, "CreateToken for no repository", s.CreateToken(t.Context(), regcred.APIToken{ID: "x", Repositories: []string{"a", ""}}), regcred.Invalid)
	list, err := s.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "Tokens", list, tokens)

	list[0].Hash[0], list[1].Repositories[0] = 0, "*" // which is the caller's copy
	if err := s.DeleteToken(t.Context(), "alpha"); err != nil {
		t.Fatal(err)
	}
	list, err = s.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "Tokens after DeleteToken", list, tokens[:2])
	_, err = s.Token(t.Context(), "alpha")
	wantCode(t, "Token", err, regcred.NotFound, "alpha")
	wantCode(t, "DeleteToken again", s.DeleteToken(t.Context(), "alpha"), regcred.NotFound, "alpha")
}

func testUseTokens(t *testing.T, s regcred.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	tokens := []regcred.APIToken{
		{ID: "plain", Name: "a", Hash: []byte{1}, Role: regcred.RoleReader, CreatedAt: at},
		{ID: "bound", Name: "b", Hash: []byte{2}, Role: regcred.RolePuller, Repositories: []string{"acme/*"}, CreatedAt: at},
	}
	for _, token := range tokens {
		if err := s.CreateToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	before := revisionOf(t, s)
	for _, step := range []struct {
		uses         map[string]time.Time
		plain, bound time.Time
	}{
		{nil, time.Time{}, time.Time{}},
		{map[string]time.Time{"plain": at}, at, time.Time{}},
		{map[string]time.Time{"plain": at.Add(time.Hour), "bound": at, "gone": at}, at.Add(time.Hour), at},
		{map[string]time.Time{"plain": at.Add(time.Minute), "bound": at.Add(1)}, at.Add(time.Hour), at.Add(1)}, // never back
		{map[string]time.Time{"bound": {}}, at.Add(time.Hour), at.Add(1)},
	} {
		if err := s.UseTokens(t.Context(), step.uses); err != nil {
			t.Fatal(err)
		}
		tokens[0].LastUsedAt, tokens[1].LastUsedAt = step.plain, step.bound
		list, err := s.Tokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "Tokens", list, tokens)
	}
	if after := revisionOf(t, s); after != before {
		t.Errorf("the use of tokens took the revision from %d to %d", before, after)
	}
}

// revisionOf returns the store's revision.
func revisionOf(t *testing.T, s regcred.Store) uint64 {
	t.Helper()
	for batch, err := range s.Watch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if batch.Current {
			return batch.Revision
		}
	}
	return 0
}

func testRevocations(t *testing.T, s regcred.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	revoke := func(subject string, before, until time.Duration) {
		t.Helper()
		if err := s.Revoke(t.Context(), regcred.Revocation{Subject: subject, Before: at.Add(before), Until: at.Add(until)}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(now time.Duration, want ...regcred.Revocation) {
		t.Helper()
		got, err := s.Revocations(t.Context(), at.Add(now))
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "Revocations at "+now.String(), got, want)
	}
	want(0)
	revoke("a", 10, 100)
	revoke("b", 20, 50)
	a := regcred.Revocation{Subject: "a", Before: at.Add(10), Until: at.Add(100)}
	b := regcred.Revocation{Subject: "b", Before: at.Add(20), Until: at.Add(50)}
	want(0, a, b)
	want(49, a, b)
	want(50, a)
	want(100)

	revoke("a", 5, 200) // never narrower
	a.Until = at.Add(200)
	want(0, a, b)
	revoke("a", 30, 60)
	a.Before = at.Add(30)
	want(0, a, b)
}

func testKeys(t *testing.T, s regcred.Store) {
	failed := errors.New("no entropy")
	if _, err := s.Key(t.Context(), "signing", func() (regcred.Secret, error) { return regcred.Secret{}, failed }); !errors.Is(err, failed) {
		t.Errorf("an error of create came back as %v", err)
	}
	want := regcred.NewSecret("key \x00\xff")
	for range 2 {
		got, err := s.Key(t.Context(), "signing", func() (regcred.Secret, error) { return want, nil })
		if err != nil || !got.Equal(want) {
			t.Errorf("Key: %d bytes, %v", len(got.Reveal()), err)
		}
		want = regcred.NewSecret("key \x00\xff")
	}
	got, err := s.Key(t.Context(), "signing", func() (regcred.Secret, error) {
		return regcred.NewSecret("another"), errors.New("create was called though there is a key")
	})
	if err != nil || !got.Equal(want) {
		t.Errorf("the key that is there: %d bytes, %v", len(got.Reveal()), err)
	}
	other, err := s.Key(t.Context(), "other", func() (regcred.Secret, error) { return regcred.NewSecret("other"), nil })
	if err != nil || other.Reveal() != "other" {
		t.Errorf("a key of another name: %v", err)
	}
}

func testKeysConcurrently(t *testing.T, s regcred.Store) {
	keys := make([]regcred.Secret, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := s.Key(t.Context(), "signing", func() (regcred.Secret, error) {
				return regcred.NewSecret(strings.Repeat("k", i+1)), nil
			})
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for i, key := range keys {
		if !key.Equal(keys[0]) {
			t.Fatalf("callers 0 and %d got different keys", i)
		}
	}
}

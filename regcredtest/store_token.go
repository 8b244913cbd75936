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
	list, err := s.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "Tokens", list, tokens)

	list[0].Hash[0] = 0
	if err := s.DeleteToken(t.Context(), "alpha"); err != nil {
		t.Fatal(err)
	}
	list, err = s.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "Tokens after DeleteToken", list, tokens[:1])
	_, err = s.Token(t.Context(), "alpha")
	wantCode(t, "Token", err, regcred.NotFound, "alpha")
	wantCode(t, "DeleteToken again", s.DeleteToken(t.Context(), "alpha"), regcred.NotFound, "alpha")
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

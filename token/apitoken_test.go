package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

func TestAPIToken(t *testing.T) {
	store := memory.New()
	s := newService(t, store, token.Options{})
	scope := regcred.SpaceScope("acme", "dev")
	expires := time.Now().Add(time.Hour)
	made, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "node 7", Role: regcred.RoleTarget, Scope: scope, ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	raw := secret.Reveal()
	if !regexp.MustCompile(`^rcat_[0-9a-f]{12}_[0-9a-f]{64}$`).MatchString(raw) || !token.IsAPIToken(raw) {
		t.Error("the token has not the documented form")
	}
	if id, ok := token.APITokenID(raw); !ok || id != made.ID {
		t.Errorf("APITokenID = %q, %v", id, ok)
	}
	got, err := s.Authenticate(t.Context(), time.Now(), raw)
	if err != nil {
		t.Fatal(err)
	}
	want := regcred.Caller{Name: "token " + made.ID + " (node 7)", Role: regcred.RoleTarget, Scope: scope}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = s.Authenticate(t.Context(), expires, raw)
	wantError(t, err, regcred.Unauthenticated, "expired at", raw)
}

// TestAPITokenIsStoredByHash checks that neither the secret nor the token can be
// read from what is stored.
func TestAPITokenIsStoredByHash(t *testing.T) {
	store := memory.New()
	made, secret, err := newService(t, store, token.Options{}).CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := store.Token(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, stored); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(strings.TrimPrefix(secret.Reveal(), "rcat_"), "_")
	if bytes.Contains(text, []byte(part)) || bytes.Contains(stored.Hash, []byte(part)) || len(stored.Hash) != 32 {
		t.Error("what is stored is more than a hash")
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	made, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	raw := secret.Reveal()
	other := "rcat_" + made.ID + "_" + strings.Repeat("0", 64)
	unknown := strings.Replace(raw, made.ID, "ffffffffffff", 1)
	tests := []struct{ name, raw, want string }{
		{"another secret", other, "unknown or wrong"},
		{"an unknown id", unknown, "unknown or wrong"},
		{"the hash of nothing", "rcat_ffffffffffff_" + strings.Repeat("0", 64), "unknown or wrong"},
		{"empty", "", "is no API token"},
		{"prefix only", "rcat_", "is no API token"},
		{"no secret", "rcat_" + made.ID + "_", "is no API token"},
		{"no id", "rcat__" + strings.Repeat("0", 76), "is no API token"},
		{"upper case", strings.ToUpper(raw), "is no API token"},
		{"one digit more", raw + "0", "is no API token"},
		{"a line break", raw + "\n", "is no API token"},
		{"another prefix", "rcax" + raw[4:], "is no API token"},
		{"10 MiB", "rcat_" + strings.Repeat("0", 10<<20), "is no API token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			caller, err := s.Authenticate(t.Context(), time.Now(), test.raw)
			wantError(t, err, regcred.Unauthenticated, test.want, "")
			if caller != (regcred.Caller{}) {
				t.Errorf("the refused caller is %v", caller)
			}
		})
	}
}

// TestUnknownCostsTheSame checks, by what is done and not by the clock, that the
// store is asked once and the answer reads the same whether an id exists or not
// (CVE-2023-20902, CVE-2025-54999).
func TestUnknownCostsTheSame(t *testing.T) {
	store := &counting{TokenStore: memory.New()}
	s := newService(t, store, token.Options{})
	made, _, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, id := range []string{made.ID, "ffffffffffff"} {
		store.reads = 0
		_, err := s.Authenticate(t.Context(), time.Now(), "rcat_"+id+"_"+strings.Repeat("0", 64))
		wantError(t, err, regcred.Unauthenticated, id, "")
		answers = append(answers, strings.ReplaceAll(err.Error(), id, "ID"))
		if store.reads != 1 {
			t.Errorf("the store was asked %d times", store.reads)
		}
	}
	if answers[0] != answers[1] {
		t.Errorf("the answers differ: %q", answers)
	}
}

type counting struct {
	regcred.TokenStore
	reads int
}

func (c *counting) Token(ctx context.Context, id string) (regcred.APIToken, error) {
	c.reads++
	return c.TokenStore.Token(ctx, id)
}

// TestAuthenticateDeniesWithoutStore: a store that fails lets nobody in.
func TestAuthenticateDeniesWithoutStore(t *testing.T) {
	store := memory.New()
	s := newService(t, store, token.Options{})
	_, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	caller, err := s.Authenticate(t.Context(), time.Now(), secret.Reveal())
	wantError(t, err, regcred.Unavailable, "closed", secret.Reveal())
	if caller != (regcred.Caller{}) {
		t.Errorf("the caller is %v", caller)
	}
}

func TestCreateAPITokenRefuses(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	org := regcred.OrgScope("acme")
	tests := []struct {
		token regcred.APIToken
		want  string
	}{
		{regcred.APIToken{Role: regcred.RoleReader}, "needs a name"},
		{regcred.APIToken{Name: strings.Repeat("n", 101), Role: regcred.RoleReader}, "needs a name"},
		{regcred.APIToken{Name: "a\nb", Role: regcred.RoleReader}, "cannot be printed"},
		{regcred.APIToken{Name: "ci", Role: "root"}, `no role "root"`},
		{regcred.APIToken{Name: "ci"}, `no role ""`},
		{regcred.APIToken{Name: "ci", Role: regcred.RoleAdmin, Scope: org}, "whole foundation"},
		{regcred.APIToken{Name: "ci", Role: regcred.RoleReader, Scope: regcred.Scope{Space: "dev"}}, "needs its organization"},
		{regcred.APIToken{Name: "ci", Role: regcred.RoleReader, ExpiresAt: time.Now().Add(-time.Second)}, "which is past"},
		{regcred.APIToken{Name: "ci", Role: regcred.RoleAdmin, Repositories: []string{"acme/*"}}, "not for some repositories"},
		{regcred.APIToken{Name: "ci", Role: regcred.RoleTarget, Scope: org, Repositories: []string{"acme/*"}}, "not for some repositories"},
		{regcred.APIToken{Name: "ci", Role: regcred.RolePuller, Repositories: []string{"acme*"}}, "is no repository"},
		{regcred.APIToken{Name: "ci", Role: regcred.RolePuller, Repositories: []string{""}}, "is no repository"},
		{regcred.APIToken{Name: "ci", Role: regcred.RolePusher, Repositories: slices.Repeat([]string{"a"}, 33)}, "may name 32"},
	}
	for _, test := range tests {
		_, secret, err := s.CreateAPIToken(t.Context(), test.token)
		wantError(t, err, regcred.Invalid, test.want, "")
		if !secret.IsZero() {
			t.Errorf("%q: a secret came with the error", test.want)
		}
	}
}

// TestCreateAPITokenSetsItsOwn: neither an id nor a hash is the caller's to choose.
func TestCreateAPITokenSetsItsOwn(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	given := regcred.APIToken{ID: "0123456789ab", Hash: []byte{1}, Name: "ci", Role: regcred.RoleReader, CreatedAt: now, LastUsedAt: now}
	made, _, err := s.CreateAPIToken(t.Context(), given)
	if err != nil || made.ID == given.ID || len(made.Hash) != 32 || made.CreatedAt.Equal(now) || !made.LastUsedAt.IsZero() {
		t.Errorf("made %+v, %v", made, err)
	}
}

// TestDeleteAPIToken checks that a deleted token ends at once, with the Bearer
// tokens made from it.
func TestDeleteAPIToken(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	made, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RolePuller})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	bearer := sign(t, s, token.Claims{Subject: made.ID, Use: token.UseAccess, IssuedAt: at.Add(-time.Second), ExpiresAt: at.Add(time.Minute)})
	if _, err := s.Verify(at, bearer, token.UseAccess); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAPIToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.Authenticate(t.Context(), at, secret.Reveal())
	wantError(t, err, regcred.Unauthenticated, "unknown or wrong", secret.Reveal())
	_, err = s.Verify(at, bearer, token.UseAccess)
	wantError(t, err, regcred.Unauthenticated, "it was revoked", bearer)
	// Another process may have been about to make one, and its clock may be ahead.
	later := sign(t, s, token.Claims{Subject: made.ID, Use: token.UseAccess, IssuedAt: at.Add(50 * time.Second), ExpiresAt: at.Add(time.Minute)})
	_, err = s.Verify(at, later, token.UseAccess)
	wantError(t, err, regcred.Unauthenticated, "it was revoked", later)

	wantError(t, s.DeleteAPIToken(t.Context(), made.ID), regcred.NotFound, made.ID, "")
	wantError(t, s.DeleteAPIToken(t.Context(), "guid-1"), regcred.NotFound, "guid-1", "")
}

// FuzzAPIToken checks that what is taken for an API token has the one form, and
// that nothing unknown gets in.
func FuzzAPIToken(f *testing.F) {
	s := newService(f, memory.New(), token.Options{})
	f.Add("rcat_0123456789ab_" + strings.Repeat("0", 64))
	f.Add("rcat_0123456789ab_")
	f.Add("rcat__")
	form := regexp.MustCompile(`^rcat_[0-9a-f]{12}_[0-9a-f]{64}$`)
	f.Fuzz(func(t *testing.T, raw string) {
		id, ok := token.APITokenID(raw)
		if ok != form.MatchString(raw) || ok && (!token.IsAPIToken(raw) || !strings.Contains(raw, "_"+id+"_")) {
			t.Errorf("APITokenID(%q) = %q, %v", raw, id, ok)
		}
		if _, err := s.Authenticate(t.Context(), now, raw); regcred.CodeOf(err) != regcred.Unauthenticated || err == nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

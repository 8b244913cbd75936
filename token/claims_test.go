package token_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// TestRoundTrip checks that a token says what it was signed with.
func TestRoundTrip(t *testing.T) {
	s := newService(t, memory.New(), token.Options{Issuer: "registry.example.com"})
	rapid.Check(t, func(t *rapid.T) {
		repository := rapid.SampledFrom([]string{"*", "acme/*", "acme/app", "a/b/c"})
		grant := rapid.Custom(func(t *rapid.T) token.Grant {
			return token.Grant{
				Repository: repository.Draw(t, "repository"),
				Actions:    rapid.SliceOfNDistinct(rapid.SampledFrom(token.Actions), 1, 3, rapid.ID).Draw(t, "actions"),
			}
		})
		issued := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "issued")).UTC() // until 2096
		want := token.Claims{
			ID:      rapid.StringN(1, 40, -1).Draw(t, "id"),
			Subject: rapid.StringN(1, 40, -1).Draw(t, "subject"),
			Use:     rapid.SampledFrom([]string{token.UseLogin, token.UseAccess}).Draw(t, "use"),
			Grants:  rapid.SliceOfN(grant, 1, 4).Draw(t, "grants"),
			Scope: rapid.SampledFrom([]regcred.Scope{
				regcred.Foundation, regcred.OrgScope("acme"), regcred.SpaceScope("acme", "dev"), regcred.AppScope("a", "b", "ünïcode \"c\""),
			}).Draw(t, "scope"),
			IssuedAt:  issued,
			ExpiresAt: issued.Add(time.Duration(rapid.Int64Range(1, 86400e6).Draw(t, "lifetime")) * time.Microsecond),
		}
		raw, err := s.Sign(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Verify(issued, raw.Reveal(), want.Use)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestIDIsMade(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	c := login()
	c.ID = ""
	first, second := sign(t, s, c), sign(t, s, c)
	if first == second {
		t.Error("two tokens with the same claims are the same token")
	}
	got, err := s.Verify(now, first, token.UseLogin)
	if err != nil || got.ID == "" {
		t.Errorf("ID %q, %v", got.ID, err)
	}
}

func TestSignRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*token.Claims)
		want   string
	}{
		{"no subject", func(c *token.Claims) { c.Subject = "" }, "needs a subject"},
		{"no use", func(c *token.Claims) { c.Use = "" }, `not for ""`},
		{"unknown use", func(c *token.Claims) { c.Use = "admin" }, `not for "admin"`},
		{"no time of issue", func(c *token.Claims) { c.IssuedAt = time.Time{} }, "time of issue"},
		{"no expiry", func(c *token.Claims) { c.ExpiresAt = time.Time{} }, "later one when it expires"},
		{"expires when issued", func(c *token.Claims) { c.ExpiresAt = c.IssuedAt }, "later one when it expires"},
		{"lives too long", func(c *token.Claims) { c.ExpiresAt = now.Add(25 * time.Hour) }, "may live for 24h0m0s, not for 25h0m0s"},
		{"malformed grant", func(c *token.Claims) { c.Grants[0].Repository = "Acme" }, `"Acme" is no repository`},
	}
	s := newService(t, memory.New(), token.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := login()
			test.change(&c)
			_, err := s.Sign(c)
			wantError(t, err, regcred.Invalid, test.want, "")
		})
	}
}

func TestSignRefusesWhatVerifyWould(t *testing.T) {
	c := login()
	for len(c.Grants) < 400 {
		c.Grants = append(c.Grants, c.Grants[0])
	}
	_, err := newService(t, memory.New(), token.Options{}).Sign(c)
	wantError(t, err, regcred.TooLarge, "400 repositories", "")
}

// TestWidestAPIToken signs a Bearer token for all that the widest API token may pull.
func TestWidestAPIToken(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	id := strings.Repeat("s", 253)
	made, _, err := s.CreateAPIToken(t.Context(), regcred.APIToken{
		Name: "wide", Role: regcred.RolePuller, Scope: regcred.AppScope(id, id, id),
		Repositories: slices.Repeat([]string{strings.Repeat("r", 255)}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := login()
	c.Scope, c.Grants = made.Scope, nil
	for _, repository := range made.Repositories {
		c.Grants = append(c.Grants, token.Grant{Repository: repository, Actions: []string{token.Pull}})
	}
	if got, err := s.Verify(now, sign(t, s, c), token.UseLogin); err != nil || len(got.Grants) != 32 {
		t.Errorf("%d grants, %v", len(got.Grants), err)
	}
}

// TestLife checks a token at the edges of its life.
func TestLife(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	raw := sign(t, s, login())
	tests := []struct {
		at   time.Time
		want string // "" is valid
	}{
		{now.Add(-time.Minute - time.Microsecond), "issued in the future"},
		{now.Add(-time.Minute), ""},
		{now, ""},
		{now.Add(time.Hour - 1), ""},
		{now.Add(time.Hour), "it expired at 2026-03-01T13:00:00Z"},
		{now.AddDate(10, 0, 0), "it expired at"},
	}
	for _, test := range tests {
		_, err := s.Verify(test.at, raw, token.UseLogin)
		if test.want == "" {
			if err != nil {
				t.Errorf("at %s: %v", test.at, err)
			}
			continue
		}
		wantError(t, err, regcred.Unauthenticated, test.want, raw)
	}
}

func TestAllows(t *testing.T) {
	c := token.Claims{Grants: []token.Grant{
		{Repository: "acme/app", Actions: []string{token.Pull, token.Push}},
		{Repository: "team/*", Actions: []string{token.Pull}},
	}}
	tests := []struct {
		repository, action string
		want               bool
	}{
		{"acme/app", token.Pull, true},
		{"acme/app", token.Push, true},
		{"acme/app", token.Delete, false},
		{"acme/app2", token.Pull, false},
		{"acme/app/sub", token.Pull, false},
		{"acme", token.Pull, false},
		{"team/a", token.Pull, true},
		{"team/a/b", token.Pull, true},
		{"team/a", token.Push, false},
		{"team", token.Pull, false},
		{"team/", token.Pull, false},
		{"teams/a", token.Pull, false},
		{"x/team/a", token.Pull, false},
		{"", token.Pull, false},
		{"acme/app", "", false},
	}
	for _, test := range tests {
		if got := c.Allows(test.repository, test.action); got != test.want {
			t.Errorf("Allows(%q, %q) = %v", test.repository, test.action, got)
		}
	}
	if (token.Claims{}).Allows("acme/app", token.Pull) {
		t.Error("no grants allow a pull")
	}
	all := token.Grant{Repository: "*", Actions: []string{token.Pull}}
	if !all.Allows("a", token.Pull) || !all.Allows("a/b/c", token.Pull) || all.Allows("", token.Pull) {
		t.Error("the grant for * does not allow exactly every repository")
	}
}

func TestGrantValidate(t *testing.T) {
	valid := []string{"*", "acme", "acme/app", "acme/*", "a/b/c/*", "a-b_c.d/e__f", strings.Repeat("a", 255)}
	for _, repository := range valid {
		if err := (token.Grant{Repository: repository, Actions: token.Actions}).Validate(); err != nil {
			t.Errorf("%q: %v", repository, err)
		}
	}
	invalid := []string{
		"", "/", "/*", "**", "*/*", "acme*", "acme/*/app", "*/app", "acme/", "/acme", "acme//app",
		"Acme/app", "acme/app:1", "acme/app@sha256:0", "../app", "acme/./app", "acme app", "acme,app",
		"registry.example.com:5000/app", "é", "a\x00", strings.Repeat("a", 256), strings.Repeat("a/", 1e6),
	}
	for _, repository := range invalid {
		err := token.Grant{Repository: repository, Actions: token.Actions}.Validate()
		wantError(t, err, regcred.Invalid, "is no repository", "")
	}
	err := token.Grant{Repository: "acme"}.Validate()
	wantError(t, err, regcred.Invalid, "no action: use pull, push, delete", "")
	err = token.Grant{Repository: "acme", Actions: []string{"pull", "*"}}.Validate()
	wantError(t, err, regcred.Invalid, `no action "*"`, "")
}

func BenchmarkSign(b *testing.B) {
	s := newService(b, memory.New(), token.Options{})
	for b.Loop() {
		if _, err := s.Sign(login()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := newService(b, memory.New(), token.Options{})
	raw := sign(b, s, login())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(now, raw, token.UseLogin); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyHuge shows that the size of a hostile token costs nothing.
func BenchmarkVerifyHuge(b *testing.B) {
	s := newService(b, memory.New(), token.Options{})
	raw := strings.Repeat("A", 10<<20)
	for b.Loop() {
		if _, err := s.Verify(now, raw, token.UseLogin); err == nil {
			b.Fatal("verified")
		}
	}
}

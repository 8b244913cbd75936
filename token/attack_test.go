package token_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// forge builds a JWT by hand: any header, any claims, any signature.
type forge struct {
	header, claims map[string]any
	sign           func(input []byte) []byte
}

func (f forge) token(tb testing.TB) string {
	tb.Helper()
	input := segment(tb, f.header) + "." + segment(tb, f.claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(f.sign([]byte(input)))
}

func segment(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// attacker has all that is public, and the server's own key where a test gives it
// away to reach the checks behind the signature. That key is a fixed one, so that
// the fuzz corpus may name it.
type attacker struct {
	service *token.Service
	server  ed25519.PrivateKey
	kid     string
	own     ed25519.PrivateKey
}

func newAttacker(tb testing.TB) attacker {
	tb.Helper()
	seed := sha256.Sum256([]byte("the key of the server under attack"))
	store := memory.New()
	_, err := store.Key(tb.Context(), "token-signing", func() (regcred.Secret, error) {
		return regcred.NewSecret(base64.StdEncoding.EncodeToString(seed[:])), nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	a := attacker{
		service: newService(tb, store, token.Options{Issuer: "registry.example.com"}),
		server:  ed25519.NewKeyFromSeed(seed[:]),
	}
	thumbprint, err := (&jose.JSONWebKey{Key: a.server.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	a.kid = base64.RawURLEncoding.EncodeToString(thumbprint)
	if _, a.own, err = ed25519.GenerateKey(rand.Reader); err != nil {
		tb.Fatal(err)
	}
	return a
}

func signWith(key ed25519.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte { return ed25519.Sign(key, input) }
}

// honest returns what the server itself would sign.
func (a attacker) honest() forge {
	return forge{
		header: map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": a.kid},
		claims: map[string]any{
			"iss": "registry.example.com", "aud": "registry.example.com", "sub": "guid-1", "jti": "1", "use": "login",
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"access": []any{map[string]any{"type": "repository", "name": "*", "actions": []string{"pull", "push"}}},
		},
		sign: signWith(a.server),
	}
}

// TestHonestForgery checks the forge itself: what it builds with the server's key
// and all the right claims is accepted. Every attack below is one step from it.
func TestHonestForgery(t *testing.T) {
	a := newAttacker(t)
	if _, err := a.service.Verify(now, a.honest().token(t), token.UseLogin); err != nil {
		t.Fatal(err)
	}
}

// TestForgedHeaders attacks the signature by what the header says (CVE-2025-24976,
// CVE-2026-33322, CVE-2024-5798).
func TestForgedHeaders(t *testing.T) {
	a := newAttacker(t)
	public := a.server.Public().(ed25519.PublicKey)
	ownJWK := jose.JSONWebKey{Key: a.own.Public(), KeyID: a.kid}
	hs256 := func(key []byte) func([]byte) []byte {
		return func(input []byte) []byte {
			mac := hmac.New(sha256.New, key)
			mac.Write(input)
			return mac.Sum(nil)
		}
	}
	none := func([]byte) []byte { return nil }
	tests := []struct {
		name   string
		header map[string]any // in place of the honest header's
		sign   func([]byte) []byte
		want   string
	}{
		{"alg none", map[string]any{"alg": "none"}, none, "not a token signed with EdDSA"},
		{"alg None", map[string]any{"alg": "None"}, none, "not a token signed with EdDSA"},
		{"alg empty", map[string]any{"alg": ""}, none, "not a token signed with EdDSA"},
		{"alg is no string", map[string]any{"alg": 1}, signWith(a.server), "not a token signed with EdDSA"},
		{"alg HS256 with the public key", map[string]any{"alg": "HS256"}, hs256(public), "not a token signed with EdDSA"},
		{"alg HS256 with nothing", map[string]any{"alg": "HS256"}, hs256(nil), "not a token signed with EdDSA"},
		{"alg ES256", map[string]any{"alg": "ES256"}, signWith(a.server), "not a token signed with EdDSA"},
		{"no signature", nil, none, "signature is not valid"},
		{"the attacker's key under our id", nil, signWith(a.own), "signature is not valid"},
		{"a foreign key's id", map[string]any{"kid": "other"}, signWith(a.own), "not signed with this server's key"},
		{"no key id", map[string]any{"kid": nil}, signWith(a.own), "not signed with this server's key"},
		{"a path as key id", map[string]any{"kid": "../../dev/null"}, hs256(nil), "not signed with this server's key"},
		{"the attacker's key embedded", map[string]any{"jwk": ownJWK}, signWith(a.own), "not signed with this server's key"},
		{"the attacker's key at a URL", map[string]any{"jku": "https://evil.example/keys"}, signWith(a.own), "signature is not valid"},
		{"our signature, a key embedded", map[string]any{"jwk": ownJWK}, signWith(a.server), "not signed with this server's key"},
		{"an unknown critical extension", map[string]any{"crit": []string{"x"}, "x": 1}, signWith(a.server), "signature is not valid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := a.honest()
			maps.Copy(f.header, test.header)
			f.sign = test.sign
			raw := f.token(t)
			_, err := a.service.Verify(now, raw, token.UseLogin)
			wantError(t, err, regcred.Unauthenticated, test.want, raw)
		})
	}
}

// TestForgedClaims looks behind the signature: each claim is checked even of a
// token that the server's key signed.
func TestForgedClaims(t *testing.T) {
	tests := []struct {
		name   string
		claims map[string]any // in place of the honest ones; nil removes one
		want   string
	}{
		{"another issuer", map[string]any{"iss": "evil.example"}, "another server issued it"},
		{"no issuer", map[string]any{"iss": nil}, "another server issued it"},
		{"another audience", map[string]any{"aud": "evil.example"}, "for another server"},
		{"several audiences", map[string]any{"aud": []string{"registry.example.com", "x"}}, "claims are malformed"},
		{"another use", map[string]any{"use": "access"}, "for another use"},
		{"no use", map[string]any{"use": nil}, "for another use"},
		{"no subject", map[string]any{"sub": nil}, "lacks a claim"},
		{"no id", map[string]any{"jti": nil}, "lacks a claim"},
		{"no expiry", map[string]any{"exp": nil}, "lacks a claim"},
		{"no time of issue", map[string]any{"iat": nil}, "lacks a claim"},
		{"expiry is no number", map[string]any{"exp": "tomorrow"}, "claims are malformed"},
		{"expiry is huge", map[string]any{"exp": 1e300}, "claims are malformed"},
		{"expired", map[string]any{"exp": now.Unix() - 1}, "it expired at"},
		{"a scope that is none", map[string]any{"within": "acme"}, "claims are malformed"},
		{"issued tomorrow", map[string]any{"iat": now.Unix() + 86400, "exp": now.Unix() + 90000}, "issued in the future"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAttacker(t)
			f := a.honest()
			for name, value := range test.claims {
				if f.claims[name] = value; value == nil {
					delete(f.claims, name)
				}
			}
			raw := f.token(t)
			_, err := a.service.Verify(now, raw, token.UseLogin)
			wantError(t, err, regcred.Unauthenticated, test.want, raw)
		})
	}
}

// TestForgedText attacks the parser (CVE-2025-27144, CVE-2025-30204, CVE-2025-59043).
func TestForgedText(t *testing.T) {
	a := newAttacker(t)
	raw := a.honest().token(t)
	part := strings.Split(raw, ".")
	full, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"empty":                "",
		"dots":                 "..",
		"no signature part":    part[0] + "." + part[1],
		"four parts":           raw + ".x",
		"five parts, as a JWE": raw + ".x.y",
		"payload of another":   part[0] + "." + segment(t, map[string]any{"sub": "other"}) + "." + part[2],
		"detached payload":     part[0] + ".." + part[2],
		"JSON serialization":   full.FullSerialize(),
		"padded":               part[0] + "=." + part[1] + "." + part[2],
		"leading space":        " " + raw,
		"trailing line break":  raw + "\n",
		"10 MiB of one part":   strings.Repeat("A", 10<<20),
		"10 MiB of dots":       strings.Repeat(".", 10<<20),
		"10 MiB of signature":  raw + strings.Repeat("A", 10<<20),
		"nested header":        base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 11_000))) + "." + part[1] + "." + part[2],
		"an API token":         "rcat_0123456789ab_" + strings.Repeat("0", 64),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := a.service.Verify(now, raw, token.UseLogin)
			wantError(t, err, regcred.Unauthenticated, "the token is refused", "")
		})
	}
	apiToken := tests["an API token"]
	_, err = a.service.Verify(now, apiToken, token.UseLogin)
	wantError(t, err, regcred.Unauthenticated, "takes as a password alone", apiToken)
}

// TestHugeToken checks that what is too long is not even parsed: one that the
// server's key signed is refused too.
func TestHugeToken(t *testing.T) {
	a := newAttacker(t)
	f := a.honest()
	f.claims["padding"] = strings.Repeat("x", 16<<10)
	raw := f.token(t)
	_, err := a.service.Verify(now, raw, token.UseLogin)
	wantError(t, err, regcred.Unauthenticated, "longer than 16 KiB", raw)
}

// TestUses checks that no use accepts the tokens of the other, nor the empty one.
func TestUses(t *testing.T) {
	s := newService(t, memory.New(), token.Options{})
	for _, use := range []string{token.UseLogin, token.UseAccess} {
		c := login()
		c.Use = use
		raw := sign(t, s, c)
		for _, as := range []string{token.UseLogin, token.UseAccess, ""} {
			if _, err := s.Verify(now, raw, as); (err == nil) != (use == as) {
				t.Errorf("a token for %q used for %q: %v", use, as, err)
			}
		}
	}
}

// FuzzVerify looks for a token that is accepted though nobody signed its claims.
func FuzzVerify(f *testing.F) {
	a := newAttacker(f)
	honest := a.honest()
	f.Add(segment(f, honest.header), segment(f, honest.claims), "")
	f.Add(segment(f, map[string]any{"alg": "none"}), segment(f, honest.claims), "")
	f.Add("e30", "e30", "e30")
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		if c, err := a.service.Verify(now, header+"."+claims+"."+signature, token.UseLogin); err == nil {
			t.Errorf("accepted: %+v", c)
		}
		// The same with the one thing that an attacker lacks: no claims may crash it.
		input := header + "." + claims
		raw := input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(a.server, []byte(input)))
		c, err := a.service.Verify(now, raw, token.UseLogin)
		if err == nil && (c.Subject == "" || c.ID == "" || c.Use != token.UseLogin || !c.ExpiresAt.After(now)) {
			t.Errorf("accepted with claims that are none: %+v", c)
		}
		if err != nil && regcred.CodeOf(err) != regcred.Unauthenticated {
			t.Errorf("%v has the code %s", err, regcred.CodeOf(err))
		}
	})
}

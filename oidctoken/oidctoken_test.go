package oidctoken_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/oidctoken"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecluster"
)

const (
	issuer   = "https://id.example.com/realms/acme"
	audience = "regcred"
)

// rules are those of most tests.
var rules = []oidctoken.Rule{
	{Claim: "groups", Value: "platform-admins", Role: regcred.RoleAdmin},
	{Claim: "groups", Value: "auditors", Role: regcred.RoleAuditor},
	{Claim: "groups", Pattern: "org-(.+)-managers", Role: regcred.RoleOrgManager, Organization: "$1"},
	{Claim: "groups", Pattern: "(?P<org>[^/]+)/(?P<space>[^/]+)-devs", Role: regcred.RoleSpaceDeveloper, Organization: "${org}", Space: "${space}"},
	{Claim: "department", Value: "research", Role: regcred.RoleOrgMember, Organization: "lab"},
}

// provider is a fake identity provider with what verifies its tokens.
type provider struct {
	*oidctoken.Issuer
	fake *fakecluster.Server
}

func newProvider(t *testing.T, change func(*oidctoken.Options)) provider {
	t.Helper()
	p := provider{fake: fakecluster.New(fakecluster.Options{Issuer: issuer})}
	o := oidctoken.Options{
		Issuer: issuer, Audience: audience, Roles: rules,
		Client: web.New(web.Options{Transport: regcredtest.HandlerTransport{"id.example.com": stripped{p.fake}}}),
	}
	if change != nil {
		change(&o)
	}
	i, err := oidctoken.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.Issuer = i
	return p
}

// claims are those of a person, with changes; one that is nil is left out.
func claims(changes map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": issuer, "aud": []string{audience}, "sub": "4711", "preferred_username": "alice",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "groups": []string{"org-acme-managers"},
	}
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func (p provider) ask(t *testing.T, changes map[string]any) (regcred.Caller, error) {
	t.Helper()
	return p.Authenticate(t.Context(), time.Now(), p.fake.Sign(claims(changes), nil))
}

// TestRoles shows what groups give.
func TestRoles(t *testing.T) {
	p := newProvider(t, nil)
	manager := func(org string) regcred.Membership {
		return regcred.Membership{Role: regcred.RoleOrgManager, Scope: regcred.OrgScope(org)}
	}
	developer := regcred.Membership{Role: regcred.RoleSpaceDeveloper, Scope: regcred.SpaceScope("acme", "dev")}
	for _, test := range []struct {
		name   string
		groups any
		want   []regcred.Membership // nil: denied
	}{
		{"one", []string{"org-acme-managers"}, []regcred.Membership{manager("acme")}},
		{"text", "org-acme-managers", []regcred.Membership{manager("acme")}},
		{"two and another", []string{"org-acme-managers", "wheel", "acme/dev-devs"}, []regcred.Membership{manager("acme"), developer}},
		{"a hyphen", []string{"org-acme-2-managers"}, []regcred.Membership{manager("acme-2")}},
		{"none", []string{}, nil},
		{"null", nil, nil},
		{"another group", []string{"wheel"}, nil},
		{"a prefix", []string{"x-org-acme-managers"}, nil},
		{"a suffix", []string{"org-acme-managers-x"}, nil},
		{"a line in front", []string{"x\norg-acme-managers"}, nil},
		{"a line behind", []string{"org-acme-managers\n"}, nil},
		{"a line within", []string{"org-ac\nme-managers"}, nil},
		{"a slash", []string{"org-acme/dev-managers"}, nil},
		{"a backslash", []string{`org-acme\dev-managers`}, nil},
		{"a space", []string{"org-acme dev-managers"}, nil},
		{"a zero byte", []string{"org-acme\x00-managers"}, nil},
		{"a tab", []string{"org-acme\t-managers"}, nil},
		{"too long", []string{"org-" + strings.Repeat("a", 300) + "-managers"}, nil},
		{"a template", []string{"org-$1-managers"}, []regcred.Membership{manager("$1")}},
		{"nothing in the group", []string{"org--managers"}, nil},
		{"admins in capitals", []string{"Platform-Admins"}, nil},
		{"admins with a space", []string{"platform-admins "}, nil},
		{"admins and more", []string{"platform-admins,wheel"}, nil},
		{"admins as a key", map[string]any{"platform-admins": true}, nil},
		{"a list in a list", []any{[]string{"platform-admins"}}, nil},
		{"numbers", []any{1, true, nil, 2.5}, nil},
		{"a slash too many", []string{"acme/dev/prod-devs"}, nil},
		{"an organization that is empty", []string{"/dev-devs"}, nil},
	} {
		c, err := p.ask(t, map[string]any{"groups": test.groups})
		if test.want == nil {
			if regcred.CodeOf(err) != regcred.Denied || c.Role != "" || c.Members != nil {
				t.Errorf("%s: %+v, %v", test.name, c, err)
			}
			continue
		}
		if err != nil || c.Role != regcred.RoleUser || c.ReadOnly || c.Members == nil {
			t.Errorf("%s: %+v, %v", test.name, c, err)
			continue
		}
		held, err := c.Members.Roles(t.Context())
		if diff := cmp.Diff(test.want, held); err != nil || diff != "" {
			t.Errorf("%s: %v %s", test.name, err, diff)
		}
	}
}

func TestAdminsAndAuditors(t *testing.T) {
	p := newProvider(t, nil)
	c, err := p.ask(t, map[string]any{"groups": []string{"wheel", "platform-admins"}})
	if err != nil || !c.IsAdmin() || c.Name != "4711 (id.example.com)" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = p.ask(t, map[string]any{"groups": []string{"auditors", "org-acme-managers"}})
	if err != nil || c.Role != regcred.RoleAuditor || c.IsAdmin() {
		t.Errorf("%+v, %v", c, err)
	}
	if held, err := c.Members.Holds(t.Context(), regcred.RoleOrgManager, regcred.OrgScope("acme")); err != nil || !held {
		t.Error(held, err)
	}
	c, err = p.ask(t, map[string]any{"groups": nil, "department": "research"})
	if err != nil || c.Role != regcred.RoleUser {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestName: whatever a token calls its owner, logs stay in one piece.
func TestName(t *testing.T) {
	p := newProvider(t, func(o *oidctoken.Options) { o.UsernameClaim = "preferred_username" })
	for given, want := range map[any]string{
		"alice": "alice", "": "4711", 7: "4711", "a\nlevel=ERROR": "a?level=ERROR", strings.Repeat("a", 10000): strings.Repeat("a", 200),
	} {
		c, err := p.ask(t, map[string]any{"preferred_username": given})
		if err != nil || c.Name != want+" (id.example.com)" {
			t.Errorf("%.20v: %.40q, %v", given, c.Name, err)
		}
	}
}

func TestClaims(t *testing.T) {
	p := newProvider(t, nil)
	now := time.Now()
	for _, test := range []struct {
		name    string
		changes map[string]any
		want    string // "": accepted
	}{
		{"nothing", nil, ""},
		{"one audience as text", map[string]any{"aud": audience}, ""},
		{"two audiences", map[string]any{"aud": []string{"x", audience}}, ""},
		{"another audience", map[string]any{"aud": []string{"account"}}, "another audience"},
		{"no audience", map[string]any{"aud": nil}, "another audience"},
		{"an audience that begins alike", map[string]any{"aud": audience + "x"}, "another audience"},
		{"another issuer", map[string]any{"iss": "https://id.example.com/realms/evil"}, "another issuer"},
		{"the issuer with a slash", map[string]any{"iss": issuer + "/"}, "another issuer"},
		{"expired", map[string]any{"exp": now.Add(-time.Minute).Unix()}, "expired"},
		{"no expiry", map[string]any{"exp": nil}, "never expires"},
		{"not yet", map[string]any{"nbf": now.Add(time.Minute).Unix()}, "not valid yet"},
		{"no subject", map[string]any{"sub": nil}, "nobody's"},
	} {
		c, err := p.ask(t, test.changes)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (regcred.CodeOf(err) != regcred.Unauthenticated || !strings.Contains(err.Error(), test.want) || c.Role != ""):
			t.Errorf("%s: %+v, %v", test.name, c, err)
		}
	}
}

// TestAttacks shows tokens that somebody made of what is public.
func TestAttacks(t *testing.T) {
	p := newProvider(t, nil)
	admin := claims(map[string]any{"groups": []string{"platform-admins"}})
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(p.fake.Key().Signer.Public())
	must(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	signed := func(embed bool, header map[string]any) string {
		o := &jose.SignerOptions{EmbedJWK: embed, ExtraHeaders: map[jose.HeaderKey]any{}}
		for name, value := range header {
			o.ExtraHeaders[jose.HeaderKey(name)] = value
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: own}, o)
		must(t, err)
		content, err := json.Marshal(admin)
		must(t, err)
		jws, err := signer.Sign(content)
		must(t, err)
		raw, err := jws.CompactSerialize()
		must(t, err)
		return raw
	}
	kid := p.fake.Key().ID
	for name, raw := range map[string]string{
		"none":                      unsigned(t, map[string]any{"alg": "none", "kid": kid}, admin, nil),
		"HS256 with the public key": unsigned(t, map[string]any{"alg": "HS256", "kid": kid}, admin, public),
		"a key of one's own":        signed(false, map[string]any{"kid": kid}),
		"no kid":                    signed(false, nil),
		"an unknown kid":            signed(false, map[string]any{"kid": "x"}),
		"a kid that is a path":      signed(false, map[string]any{"kid": "../../dev/null"}),
		"an embedded jwk":           signed(true, map[string]any{"kid": kid}),
		"jku":                       signed(false, map[string]any{"kid": kid, "jku": "https://evil.example.com/jwks"}),
		"x5u":                       signed(false, map[string]any{"kid": kid, "x5u": "https://evil.example.com/cert"}),
		"oversized":                 signed(false, map[string]any{"kid": kid, "x": strings.Repeat("a", 1<<20)}),
		"a claim twice":             twice(t, p.fake, claims(nil), `"groups":["platform-admins"]`),
	} {
		c, err := p.Authenticate(t.Context(), time.Now(), raw)
		if regcred.CodeOf(err) != regcred.Unauthenticated || c.Role != "" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// TestIssuers: a token goes to the issuer that it names, and to no other.
func TestIssuers(t *testing.T) {
	p := newProvider(t, nil)
	all := oidctoken.Issuers{p.Issuer}
	good := p.fake.Sign(claims(nil), nil)
	foreign := p.fake.Sign(claims(map[string]any{"iss": "https://evil.example.com"}), nil)
	if !all.Knows(good) || all.Knows(foreign) || all.Knows("") || all.Knows("rcat_x") {
		t.Error("it knows whom it does not know, or the other way round")
	}
	if c, err := all.Authenticate(t.Context(), time.Now(), good); err != nil || c.Role != regcred.RoleUser {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := all.Authenticate(t.Context(), time.Now(), foreign); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Error(err)
	}
	if _, err := oidctoken.Issuers(nil).Authenticate(t.Context(), time.Now(), good); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Error(err)
	}
}

// TestDown: where the issuer cannot be asked for keys nobody is let in.
func TestDown(t *testing.T) {
	for name, q := range map[string]fakecluster.Quirks{
		"429": {Status: 429}, "500": {Status: 500}, "404": {Status: 404}, "timeout": {Hang: true}, "a page": {Body: "<html>"},
		"no keys": {Body: `{"keys":[]}`}, "a secret as key": {Body: `{"keys":[{"kty":"oct","kid":"x","k":"c2VjcmV0","alg":"HS256"}]}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newProvider(t, nil)
			p.fake.Set(q)
			began := time.Now()
			if c, err := p.ask(t, map[string]any{"groups": "platform-admins"}); regcred.CodeOf(err) != regcred.Unavailable || c.Role != "" {
				t.Errorf("%s: %+v, %v", name, c, err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s: it took %s", name, took)
			}
		})
	}
}

// TestHangingHoldsNobody: while an issuer does not answer, another one's users need not wait,
// nor do its own whose token's key is known.
func TestHangingHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, known, other := newProvider(t, nil), newProvider(t, nil), newProvider(t, nil)
		if _, err := known.ask(t, nil); err != nil {
			t.Fatal(err)
		}
		old := known.fake.Sign(claims(nil), nil)
		known.fake.Rotate()
		time.Sleep(time.Minute)
		for _, p := range []provider{hanging, known} {
			p.fake.Set(fakecluster.Quirks{Hang: true})
			token := p.fake.Sign(claims(nil), nil)
			go func() {
				if _, err := p.Authenticate(t.Context(), time.Now(), token); regcred.CodeOf(err) != regcred.Unavailable {
					t.Errorf("of an issuer that hangs: %v", err)
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		if _, err := other.ask(t, nil); err != nil {
			t.Error(err)
		}
		if _, err := known.Authenticate(t.Context(), time.Now(), old); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("others waited %s", waited)
		}
		time.Sleep(time.Minute)
	})
}

// TestRotation: a new key is believed at once.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, nil)
		for range 3 {
			if _, err := p.ask(t, nil); err != nil {
				t.Fatal(err)
			}
			p.fake.Rotate()
			time.Sleep(11 * time.Second)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unsigned makes a token by hand: with an HMAC of key, or no signature where that is
// nil.
func unsigned(t *testing.T, header, claims map[string]any, key []byte) string {
	t.Helper()
	var parts []string
	for _, v := range []map[string]any{header, claims} {
		data, err := json.Marshal(v)
		must(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(data))
	}
	text := strings.Join(parts, ".")
	if key == nil {
		return text + "."
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// twice signs claims to which more was added as text.
func twice(t *testing.T, fake *fakecluster.Server, claims map[string]any, more string) string {
	t.Helper()
	content, err := json.Marshal(maps.Clone(claims))
	must(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: fake.Key().Signer}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"kid": fake.Key().ID},
	})
	must(t, err)
	jws, err := signer.Sign([]byte(string(content[:len(content)-1]) + "," + more + "}"))
	must(t, err)
	raw, err := jws.CompactSerialize()
	must(t, err)
	return raw
}

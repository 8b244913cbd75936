package oidctoken_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/oidctoken"
)

// stripped serves a handler below the path of issuer.
type stripped struct{ http.Handler }

func (s stripped) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.StripPrefix("/realms/acme", s.Handler).ServeHTTP(w, r)
}

func TestNewRefuses(t *testing.T) {
	good := oidctoken.Rule{Claim: "groups", Value: "x", Role: regcred.RoleAdmin}
	rule := func(change func(*oidctoken.Rule)) func(*oidctoken.Options) {
		return func(o *oidctoken.Options) {
			r := good
			change(&r)
			o.Roles = []oidctoken.Rule{good, r}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*oidctoken.Options)
		want   string
	}{
		{"no issuer", func(o *oidctoken.Options) { o.Issuer = "" }, "issuer"},
		{"an issuer in clear", func(o *oidctoken.Options) { o.Issuer = "http://id.example.com" }, "https"},
		{"an issuer with a password", func(o *oidctoken.Options) { o.Issuer = "https://u:p@id.example.com" }, "issuer"},
		{"keys in clear", func(o *oidctoken.Options) { o.JWKSURL = "http://id.example.com/jwks" }, "jwks_url"},
		{"no audience", func(o *oidctoken.Options) { o.Audience = "" }, "audience"},
		{"no roles", func(o *oidctoken.Options) { o.Roles = nil }, "roles is empty"},
		{"no claim", rule(func(r *oidctoken.Rule) { r.Claim = "" }), "roles[1]: claim"},
		{"neither value nor pattern", rule(func(r *oidctoken.Rule) { r.Value = "" }), "value and pattern"},
		{"both", rule(func(r *oidctoken.Rule) { r.Pattern = "x" }), "value and pattern"},
		{"no role", rule(func(r *oidctoken.Rule) { r.Role = "" }), "the role"},
		{"a role for nodes", rule(func(r *oidctoken.Rule) { r.Role = regcred.RoleTarget }), "the role"},
		{"a role of Cloud Foundry's", rule(func(r *oidctoken.Rule) { r.Role = "organization_manager" }), "the role"},
		{"an admin of an organization", rule(func(r *oidctoken.Rule) { r.Organization = "acme" }), "does not fit"},
		{"a manager of nothing", rule(func(r *oidctoken.Rule) { r.Role = regcred.RoleOrgManager }), "does not fit"},
		{"a manager of a space", rule(func(r *oidctoken.Rule) {
			r.Role, r.Organization, r.Space = regcred.RoleOrgManager, "acme", "dev"
		}), "does not fit"},
		{"a developer without an organization", rule(func(r *oidctoken.Rule) { r.Role, r.Space = regcred.RoleSpaceDeveloper, "dev" }), "organization"},
		{"a pattern that is none", rule(func(r *oidctoken.Rule) { r.Value, r.Pattern = "", "(" }), "pattern"},
		{"a pattern that would end its anchors", rule(func(r *oidctoken.Rule) { r.Value, r.Pattern = "", "a)|(?:b" }), "pattern"},
		{"a group that is not there", rule(func(r *oidctoken.Rule) {
			r.Value, r.Pattern, r.Role, r.Organization = "", "org-(.+)", regcred.RoleOrgManager, "$2"
		}), `"$2"`},
		{"a group that reads on", rule(func(r *oidctoken.Rule) {
			r.Value, r.Pattern, r.Role, r.Organization = "", "org-(.+)", regcred.RoleOrgManager, "$1x"
		}), `"$1x"`},
		{"all that matched", rule(func(r *oidctoken.Rule) {
			r.Value, r.Pattern, r.Role, r.Organization = "", "org-(.+)", regcred.RoleOrgManager, "$0"
		}), `"$0"`},
		{"a dollar alone", rule(func(r *oidctoken.Rule) {
			r.Value, r.Pattern, r.Role, r.Organization = "", "org-(.+)", regcred.RoleOrgManager, "a$"
		}), `"$"`},
	} {
		o := oidctoken.Options{Issuer: issuer, Audience: audience, Roles: []oidctoken.Rule{good}}
		test.change(&o)
		if _, err := oidctoken.New(o); regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestAlternatives: a pattern is anchored as a whole, not only its first and last
// alternative.
func TestAlternatives(t *testing.T) {
	p := newProvider(t, func(o *oidctoken.Options) {
		o.Roles = []oidctoken.Rule{{Claim: "groups", Pattern: "admins|root", Role: regcred.RoleAdmin}, {Claim: "groups", Pattern: "(?m)^wheel$", Role: regcred.RoleAdmin}}
	})
	for group, admin := range map[string]bool{
		"admins": true, "root": true, "wheel": true,
		"admins-of-nothing": false, "not-root": false, "x\nwheel": false, "wheel\nx": false, "wheel\n": false,
	} {
		c, err := p.ask(t, map[string]any{"groups": group})
		if c.IsAdmin() != admin || (err == nil) != admin {
			t.Errorf("%q: %+v, %v", group, c, err)
		}
	}
}

// TestGroupsNeverReachFurther: whatever a group is called, it gives the role of its rule
// at one organization, whose id is a part of the group's name.
func TestGroupsNeverReachFurther(t *testing.T) {
	p := newProvider(t, func(o *oidctoken.Options) {
		o.Roles = []oidctoken.Rule{{Claim: "groups", Pattern: "(?s)org-(.*)-managers", Role: regcred.RoleOrgManager, Organization: "$1"}}
	})
	rapid.Check(t, func(rt *rapid.T) {
		group := "org-" + rapid.String().Draw(rt, "group") + "-managers"
		c, err := p.Authenticate(t.Context(), time.Now(), p.fake.Sign(claims(map[string]any{"groups": []string{group}}), nil))
		if err != nil {
			if regcred.CodeOf(err) != regcred.Denied {
				rt.Fatal(err)
			}
			return
		}
		held, err := c.Members.Roles(t.Context())
		if err != nil || len(held) != 1 || held[0].Role != regcred.RoleOrgManager || held[0].Scope != regcred.OrgScope(strings.TrimSuffix(strings.TrimPrefix(group, "org-"), "-managers")) {
			rt.Fatalf("%q: %+v, %v", group, held, err)
		}
		if strings.ContainsAny(held[0].Scope.Org, "/\\\n\r\t \x00") {
			rt.Fatalf("%q gives %q", group, held[0].Scope.Org)
		}
	})
}

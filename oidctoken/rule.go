package oidctoken

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"regcred.dev"
)

// Rule gives a role to whose token has a claim. Claim, Role, and one of Value and
// Pattern are required.
type Rule struct {
	// Claim is the name of a claim at the top level of the token: text, or a list of
	// texts, each of which may match.
	Claim string
	// Value is what the claim must be, exactly.
	Value string
	// Pattern is what all of the claim must match: a regular expression of the syntax
	// RE2. It is anchored at both ends.
	Pattern string
	// Role is one of admin, auditor, org-manager, org-member, space-developer,
	// space-member.
	Role regcred.Role
	// Organization and Space are where it is held: none for admin and auditor, the
	// organization for its roles, both for a space's. With a Pattern, $1 or ${name} stand
	// for what its groups matched.
	Organization, Space string
}

// roles are those that a rule may give.
var roles = []regcred.Role{
	regcred.RoleAdmin, regcred.RoleAuditor,
	regcred.RoleOrgManager, regcred.RoleOrgMember, regcred.RoleSpaceDeveloper, regcred.RoleSpaceMember,
}

// maxValues bounds how many values of a claim are looked at.
const maxValues = 2000

// rule is a Rule that was checked.
type rule struct {
	Rule
	pattern *regexp.Regexp // anchored; nil: Value counts
}

// reference is what stands for a group of a pattern (regexp.Expand).
var reference = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+)|)`)

// compile checks a rule. Errors: Invalid.
func (r Rule) compile() (rule, error) {
	out := rule{Rule: r}
	switch {
	case r.Claim == "":
		return out, regcred.Errorf(regcred.Invalid, "claim is missing")
	case (r.Value == "") == (r.Pattern == ""):
		return out, regcred.Errorf(regcred.Invalid, "one of value and pattern is needed, not both")
	case !slices.Contains(roles, r.Role):
		return out, regcred.Errorf(regcred.Invalid, "the role %q is none that a rule gives: those are %q", r.Role, roles)
	}
	if err := (regcred.Membership{Role: r.Role, Scope: regcred.SpaceScope(r.Organization, r.Space)}).Validate(); err != nil {
		return out, err
	}
	if r.Pattern == "" {
		return out, nil
	}
	// By itself first: a parenthesis too many must not end the anchored group.
	if _, err := regexp.Compile(r.Pattern); err != nil {
		return out, regcred.Errorf(regcred.Invalid, "pattern: %w", err)
	}
	out.pattern = regexp.MustCompile(`\A(?:` + r.Pattern + `)\z`)
	for _, template := range []string{r.Organization, r.Space} {
		for _, ref := range reference.FindAllStringSubmatch(template, -1) {
			if !out.hasGroup(ref[1] + ref[2]) {
				return out, regcred.Errorf(regcred.Invalid, "%q refers to the group %q, which the pattern does not have: write ${1}, or ${name} for (?P<name>...)", template, ref[0])
			}
		}
	}
	return out, nil
}

// hasGroup reports whether the pattern has a group of a number from 1, or a name.
func (r rule) hasGroup(name string) bool {
	if name == "" {
		return false
	}
	for n := 1; n <= r.pattern.NumSubexp(); n++ {
		if name == strconv.Itoa(n) || name == r.pattern.SubexpNames()[n] {
			return true
		}
	}
	return false
}

// memberships returns the roles that a claim's value gives.
func (r rule) memberships(value any) []regcred.Membership {
	var held []regcred.Membership
	for _, text := range texts(value) {
		if m, ok := r.membership(text); ok {
			held = append(held, m)
		}
	}
	return held
}

// membership returns the role that one text gives, false where it gives none: it does
// not match, or would name a scope with characters that separate scopes or lines.
func (r rule) membership(text string) (regcred.Membership, bool) {
	if r.pattern == nil {
		return regcred.Membership{Role: r.Role, Scope: regcred.SpaceScope(r.Organization, r.Space)}, text == r.Value
	}
	groups := r.pattern.FindStringSubmatchIndex(text)
	if groups == nil {
		return regcred.Membership{}, false
	}
	expand := func(template string) string { return string(r.pattern.ExpandString(nil, template, text, groups)) }
	m := regcred.Membership{Role: r.Role, Scope: regcred.SpaceScope(expand(r.Organization), expand(r.Space))}
	return m, isID(m.Scope.Org) && isID(m.Scope.Space) && m.Validate() == nil
}

// isID reports whether what was taken out of a token may be an id.
func isID(id string) bool {
	return !strings.ContainsFunc(id, func(r rune) bool { return r == '/' || r == '\\' || r == unicode.ReplacementChar || unicode.IsSpace(r) })
}

// texts returns the values of a claim that is a text or a list of texts.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, element := range v[:min(len(v), maxValues)] {
			if text, ok := element.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return nil
}

package registry

import (
	"net/netip"
	"slices"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// Policy says whose repositories are, and how they are kept: the first rule whose
// pattern matches a repository holds for it.
type Policy []Rule

// Rule is what holds for some repositories. The zero Rule, which holds where none
// matches, keeps them to the foundation, private and for ever.
type Rule struct {
	// Pattern is a repository ("acme/app"), those below a path ("acme/*"), or all
	// ("*"), as in token.Grant.
	Pattern string
	// Scope is whose they are.
	Scope regcred.Scope
	// Public lets anybody pull, without a login.
	Public bool
	// PushFrom are networks from which anybody may pull and push without a login.
	PushFrom []netip.Prefix
	// Immutable are patterns of tags, as path.Match has them, that stay what they
	// are: neither moved nor deleted.
	Immutable []string
	// Keep says which tags retention keeps; nil keeps all.
	Keep *Retention
	// Quota bounds what a repository holds, in bytes of content that it links; 0
	// is no bound.
	Quota int64
	// ScopeQuota bounds what all repositories of the rule's scope hold together, those of
	// other rules of the scope included. Of several, the least holds.
	ScopeQuota int64
}

// Retention keeps tags that any of its fields names, and drops the others.
type Retention struct {
	// Last is how many of the tags that were written last are kept.
	Last int
	// Within keeps tags that were written or pulled so recently.
	Within time.Duration
	// Tags are patterns, as path.Match has them, of tags that are kept.
	Tags []string
	// Untagged is how long a manifest stays that no tag reaches, and a blob that no
	// manifest needs: since it was pushed or last relied on, or since the last tag
	// that reached it was moved or deleted. What refers to a manifest (a signature,
	// say) stays as long as that does. 0 is for ever; less than a day is a day, so
	// that nothing goes whose push is still under way.
	Untagged time.Duration
	// History is how many of the manifests that a tag pointed at before are
	// remembered, so that the tag can be rolled back to them; 0 means DefaultHistory,
	// less than that none. What is remembered counts as untagged since the tag was
	// moved or deleted.
	History int
}

// For returns the rule that holds for a repository.
func (p Policy) For(repo string) Rule {
	for i := range p { // a Rule is large, and this is on the way of each pull
		if (token.Grant{Repository: p[i].Pattern}).Covers(repo) {
			return p[i]
		}
	}
	return Rule{}
}

// opens reports whether the rule lets anybody do an action from an address.
func (r Rule) opens(from netip.Addr, action string) bool {
	return action == token.Pull && r.Public || action != token.Delete && contains(r.PushFrom, from)
}

// open reports whether anybody may pull anything from an address.
func (p Policy) open(from netip.Addr) bool {
	return slices.ContainsFunc(p, func(r Rule) bool { return r.opens(from, token.Pull) })
}

// networks reports whether any rule names networks.
func (p Policy) networks() bool {
	for i := range p {
		if len(p[i].PushFrom) > 0 {
			return true
		}
	}
	return false
}

package keyring

import (
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
)

// Explanation says what an image resolves to, and why. Image.Candidates lists
// the locations that were searched for in each scope.
type Explanation struct {
	Image imageref.Image
	Scope regcred.Scope
	// Searched has every scope that the image may use, nearest first.
	Searched []Found
	// Match is the choice; its Entry is nil where nothing matches. Match.Login
	// says whether it can be used.
	Match Match
	// Why is one sentence without a full stop.
	Why string
}

// Found is what one scope has for an image.
type Found struct {
	Scope   regcred.Scope
	Matches []Match // the most specific first
}

// Explain does what Lookup does, and says what it saw. It also looks at the
// scopes beyond the one that it found a match in.
func (b *Book) Explain(s regcred.Scope, img imageref.Image) Explanation {
	x := Explanation{Image: img, Scope: s}
	x.Match, _ = b.Lookup(s, img)
	path := b.foundation.path(s)
	for scope := range s.Chain() {
		found := Found{Scope: scope}
		if shelf := path[scope.Level()]; shelf != nil {
			found.Matches = slices.Collect(shelf.matches(img))
		}
		x.Searched = append(x.Searched, found)
	}
	x.Why = x.why()
	return x
}

func (x Explanation) why() string {
	if x.Match.Entry == nil {
		return "no credential matches; the image may be public"
	}
	chosen := x.Match.Entry.Scope
	var others []string
	for _, found := range x.Searched {
		for _, m := range found.Matches {
			switch {
			case m == x.Match:
			case m.Entry.Scope == chosen:
				others = append(others, "its credential for "+m.Location.String()+" is less specific")
			default:
				others = append(others, owner(m.Entry.Scope)+" at "+m.Location.String()+" is farther")
			}
		}
	}
	why := atScope(chosen) + " has a credential for " + x.Match.Location.String()
	if len(others) == 0 {
		return why + ", the only match"
	}
	return why + ", the most specific match; " + strings.Join(others, "; ")
}

// owner names the owner of a credential within a sentence: "the organization's".
func owner(s regcred.Scope) string { return "the " + s.Level().String() + "'s" }

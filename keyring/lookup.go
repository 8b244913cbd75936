package keyring

import (
	"iter"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

// Match is the credential that an image resolves to. The zero Match is none.
type Match struct {
	Entry *Entry
	// Location is the one of the image's candidates that the credential is for.
	Location imageref.Location
}

// Lookup returns the credential that an image resolves to at a scope: that of
// the nearest scope which has any for the image, and in it the one for the first
// of the image's candidates. It does not look at logins: Match.Login does, and
// where that fails no other credential takes its place.
//
// It allocates nothing.
func (b *Book) Lookup(s regcred.Scope, img imageref.Image) (Match, bool) {
	path := b.foundation.path(s)
	for _, shelf := range slices.Backward(path[:]) {
		if shelf == nil {
			continue
		}
		for m := range shelf.matches(img) {
			return m, true
		}
	}
	return Match{}, false
}

// matches yields what the shelf has for an image's candidates, in their order.
func (s *shelf) matches(img imageref.Image) iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for _, location := range img.Candidates() {
			if e, ok := s.placed.get(location); ok && !yield(Match{e, location}) {
				return
			}
		}
	}
}

// Login returns the login to pull the image with.
//
// Errors: NotFound where the match is none; Corrupt where the stored credential
// does not pass its integrity check; Unavailable where no login was minted yet, or
// since the last one was dropped, and where that has expired; Denied where the login
// is not for the image's host.
func (m Match) Login(now time.Time, img imageref.Image) (regcred.Login, error) {
	e := m.Entry
	if e == nil {
		return regcred.Login{}, regcred.Errorf(regcred.NotFound, "no credential matches %s; the image may be public", img)
	}
	switch {
	case e.Err != nil:
		return regcred.Login{}, regcred.Errorf(regcred.Corrupt,
			"%s is corrupt in the store: delete it and create it again, or restore the store from a backup", e)
	case e.Login == nil && e.DropRevision > 0:
		return regcred.Login{}, regcred.Errorf(regcred.Unavailable,
			"the login of %s was revoked, and there is no new one yet: status says what its provider answered", e)
	case e.Login == nil:
		return regcred.Login{}, regcred.Errorf(regcred.Unavailable,
			"%s has no login yet: status says what its provider answered", e)
	case !e.Login.Serves(img.Host()):
		return regcred.Login{}, regcred.Errorf(regcred.Denied,
			"the login of %s is for %s, not for %s", e, strings.Join(e.Login.Hosts, ", "), img.Host())
	case e.Login.Expired(now):
		return regcred.Login{}, regcred.Errorf(regcred.Unavailable,
			"the login of %s expired at %s and was not renewed: status says what its provider answered",
			e, e.Login.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return *e.Login, nil
}

// String names the credential for people, by location, scope and guid.
func (e *Entry) String() string {
	location := e.Location.String()
	if location == "" {
		location = "a location not yet found"
	}
	return "the credential for " + location + " at " + atScope(e.Scope) + " (" + e.GUID + ")"
}

// atScope names a scope within a sentence.
func atScope(s regcred.Scope) string {
	if s == regcred.Foundation {
		return "the foundation"
	}
	return s.String()
}

package regcred

import (
	"slices"

	"regcred.dev/imageref"
)

// ProviderProfile is the provider of credentials that name a Profile.
const ProviderProfile = "profile"

// SettingProfile is the setting of provider profile that names the profile.
const SettingProfile = "name"

// ProfileMark is the secret that a Delegate keeps with a credential, of which its user
// knows nothing: see Delegate.Stamp.
const ProfileMark = "profile-mark"

// Profile is what an operator lets chosen scopes have logins minted from, and shows
// nobody there: it may use the server's own identity, its files and programs.
type Profile struct {
	Name string
	// Provider, Settings and Secrets are as a Credential has them.
	Provider string
	Settings map[string]string
	Secrets  map[string]Secret
	// Location is where the logins may be used: at this host, and where it has a path
	// below that. Spelling is how the operator wrote it.
	Location imageref.Location
	Spelling string
	// Grants are the scopes whose credentials may name the profile, with all that lies
	// within them. The foundation's is everybody's; none is nobody's.
	Grants []Scope
}

// GrantedTo reports whether credentials of a scope may name the profile.
func (p Profile) GrantedTo(s Scope) bool {
	return slices.ContainsFunc(p.Grants, func(g Scope) bool { return g.Contains(s) })
}

// Holds reports whether a credential for a location stays within the profile's: at the
// very same host, and at its path or below. One without a location gets the profile's.
func (p Profile) Holds(l imageref.Location) bool {
	return l.IsZero() || l.Host() == p.Location.Host() && p.Location.Covers(l)
}

// Delegate is a Provider whose credentials only name what an operator keeps for them:
// a Profile. Its Check refuses a credential whose scope has no grant, and so does each
// Mint.
type Delegate interface {
	Provider

	// Profiles returns all that credentials can name, by name and with their secrets. Nil
	// means that the configuration has no list of them; an empty one has none.
	Profiles() []Profile

	// Source returns what logins are minted from in place of a credential: one of
	// another provider, the same for all credentials that may share their logins. It does
	// no I/O, and does not look at the credential's secrets.
	// Errors: Invalid where the credential may not name what it names, or no longer; it
	// does not tell whether there is such a thing.
	Source(Credential) (Credential, error)

	// Stamp returns a credential as it is to be stored: with the location of what it
	// names where it has none, and with a mark, ProfileMark, of what that is by now. Where
	// the mark differs from a stored one, logins are to be minted anew. It does no I/O.
	// Errors: as Source.
	Stamp(Credential) (Credential, error)
}

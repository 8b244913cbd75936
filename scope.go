package regcred

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Level is how far a scope reaches.
type Level uint8

// The levels, widest first.
const (
	LevelFoundation Level = iota
	LevelOrganization
	LevelSpace
	LevelApp
)

// String returns the level's name as the API spells it.
func (l Level) String() string {
	switch l {
	case LevelFoundation:
		return "foundation"
	case LevelOrganization:
		return "organization"
	case LevelSpace:
		return "space"
	case LevelApp:
		return "app"
	}
	return "unknown"
}

// Scope says who may use a credential: everyone (the foundation), an
// organization, a space in it, or an app in that. Ids are opaque: Cloud Foundry
// guids, Kubernetes namespaces or plain names.
//
// A Scope is a plain value: comparable, and usable as a map key. The zero Scope
// is the foundation. A space carries its organization, an app its space and
// organization; Validate reports one that does not.
type Scope struct {
	Org   string
	Space string
	App   string
}

// Foundation is the scope of the whole platform.
var Foundation = Scope{}

// maxScopeID bounds one id, in bytes. Cloud Foundry guids have 36, Kubernetes
// names at most 253.
const maxScopeID = 253

// OrgScope returns the scope of an organization.
func OrgScope(org string) Scope { return Scope{Org: org} }

// SpaceScope returns the scope of a space in an organization.
func SpaceScope(org, space string) Scope { return Scope{Org: org, Space: space} }

// AppScope returns the scope of an app in a space.
func AppScope(org, space, app string) Scope { return Scope{Org: org, Space: space, App: app} }

// Level returns the scope's level.
func (s Scope) Level() Level {
	switch {
	case s.App != "":
		return LevelApp
	case s.Space != "":
		return LevelSpace
	case s.Org != "":
		return LevelOrganization
	}
	return LevelFoundation
}

// ID returns the id of the scope's own level, "" for the foundation.
func (s Scope) ID() string {
	switch s.Level() {
	case LevelApp:
		return s.App
	case LevelSpace:
		return s.Space
	case LevelOrganization:
		return s.Org
	}
	return ""
}

// String returns the scope for people: "foundation", or the ids from the
// organization down, such as "space acme/dev".
func (s Scope) String() string {
	if s == Foundation {
		return LevelFoundation.String()
	}
	ids := s.Org
	if s.Space != "" || s.App != "" {
		ids += "/" + s.Space
	}
	if s.App != "" {
		ids += "/" + s.App
	}
	return s.Level().String() + " " + ids
}

// Parent returns the next wider scope. The foundation is its own parent.
func (s Scope) Parent() Scope {
	switch s.Level() {
	case LevelApp:
		s.App = ""
	case LevelSpace:
		s.Space = ""
	default:
		s = Foundation
	}
	return s
}

// Chain yields s and every wider scope, nearest first, the foundation last: the
// order in which credentials are searched.
func (s Scope) Chain() iter.Seq[Scope] {
	return func(yield func(Scope) bool) {
		for yield(s) && s != Foundation {
			s = s.Parent()
		}
	}
}

// Contains reports whether t is s or lies within it.
func (s Scope) Contains(t Scope) bool {
	return (s.Org == "" || s.Org == t.Org) &&
		(s.Space == "" || s.Space == t.Space) &&
		(s.App == "" || s.App == t.App)
}

// Validate returns an Invalid error where an id lacks its parents, is longer
// than 253 bytes, or holds anything that is not a printable character.
func (s Scope) Validate() error {
	if s.App != "" && s.Space == "" {
		return Errorf(Invalid, "an app's scope needs its space and organization: name the space of app %q too", s.App)
	}
	if s.Space != "" && s.Org == "" {
		return Errorf(Invalid, "a space's scope needs its organization: name the organization of space %q too", s.Space)
	}
	for _, id := range []struct{ level, id string }{
		{"organization", s.Org}, {"space", s.Space}, {"app", s.App},
	} {
		if len(id.id) > maxScopeID {
			return Errorf(Invalid, "the %s id has %d bytes, at most %d are allowed", id.level, len(id.id), maxScopeID)
		}
		if !utf8.ValidString(id.id) || strings.ContainsFunc(id.id, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return Errorf(Invalid, "the %s id %q holds characters that cannot be printed", id.level, id.id)
		}
		if strings.TrimSpace(id.id) != id.id {
			return Errorf(Invalid, "the %s id %q begins or ends with a space", id.level, id.id)
		}
	}
	return nil
}

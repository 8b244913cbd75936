// Package rules holds what the contract of regcred.Store asks of every store, so
// that each one does it alike and in the same words.
package rules

import (
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"regcred.dev"
)

// maxGUID bounds a guid that the caller chose, in bytes.
const maxGUID = 253

// BatchSize is how many changes a Watch reads and yields at a time: enough that
// the cost of a query does not show, and few enough to keep in memory.
const BatchSize = 512

// Create returns c as a store keeps it when it is created at now. The store sets
// Version and Revision. Errors: Invalid.
func Create(c regcred.Credential, now time.Time) (regcred.Credential, error) {
	if c.GUID == "" {
		c.GUID = uuid.NewString()
	}
	c.CreatedAt, c.UpdatedAt = Time(now), Time(now)
	c.DropRevision = 0
	return normal(c)
}

// Update hands a copy of old to change and returns what that made of it, as a
// store keeps it from now on, and whether it differs at all. The store sets
// Revision. Errors: Invalid; change's own.
func Update(old regcred.Credential, change func(*regcred.Credential) error, now time.Time) (c regcred.Credential, changed bool, err error) {
	c = old.Clone()
	if err := change(&c); err != nil {
		return regcred.Credential{}, false, err
	}
	if err := unchangeable(old, c); err != nil {
		return regcred.Credential{}, false, err
	}
	c.Version, c.DropRevision, c.Revision = old.Version, old.DropRevision, old.Revision
	c.CreatedAt, c.UpdatedAt = old.CreatedAt, old.UpdatedAt
	if c, err = normal(c); err != nil {
		return regcred.Credential{}, false, err
	}
	sameSource := c.SameSource(old)
	if sameSource && c.Location == old.Location && c.Spelling == old.Spelling && c.Origin == old.Origin &&
		maps.Equal(c.Labels, old.Labels) && maps.Equal(c.Annotations, old.Annotations) {
		return old, false, nil
	}
	if !sameSource {
		c.Version++
	}
	c.UpdatedAt = Time(now)
	return c, true, nil
}

// unchangeable returns an error where c differs from old in what must not change.
func unchangeable(old, c regcred.Credential) error {
	var what string
	switch {
	case c.GUID != old.GUID:
		what = "guid"
	case c.Scope != old.Scope:
		what = "scope"
	case !c.CreatedAt.Equal(old.CreatedAt):
		what = "time of creation"
	case c.Location != old.Location && !old.Location.IsZero():
		what = "location"
	default:
		return nil
	}
	return regcred.Errorf(regcred.Invalid, "credential %s: its %s cannot be changed: create another credential and delete this one", Name(old.GUID, old.Scope, old.Location.String()), what)
}

// normal validates c and brings it into the one form in which it is compared.
func normal(c regcred.Credential) (regcred.Credential, error) {
	if err := c.Validate(); err != nil {
		return regcred.Credential{}, err
	}
	if len(c.GUID) > maxGUID || !printable(c.GUID) {
		return regcred.Credential{}, regcred.Errorf(regcred.Invalid, "the guid must have 1 to %d bytes, all of them printable", maxGUID)
	}
	for _, text := range []struct{ name, value string }{
		{"spelling of the location", c.Spelling}, {"provider", c.Provider}, {"user name", c.Username}, {"origin", c.Origin},
	} {
		if !utf8.ValidString(text.value) {
			return regcred.Credential{}, regcred.Errorf(regcred.Invalid, "the %s is not UTF-8 text", text.name)
		}
	}
	c = c.Clone()
	for _, m := range []struct {
		name   string
		values *map[string]string
	}{{"settings", &c.Settings}, {"labels", &c.Labels}, {"annotations", &c.Annotations}} {
		for k, v := range *m.values {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return regcred.Credential{}, regcred.Errorf(regcred.Invalid, "the %s are not UTF-8 text", m.name)
			}
		}
		if len(*m.values) == 0 {
			*m.values = nil
		}
	}
	if len(c.Secrets) == 0 {
		c.Secrets = nil
	}
	return c, nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Login returns l as a store keeps it for a credential whose version is given.
// Errors: Stale where l is from an older version, Invalid where it is from one
// that is yet to come.
func Login(guid string, version uint64, l regcred.Login) (regcred.Login, error) {
	switch {
	case l.Version < version:
		return regcred.Login{}, regcred.Errorf(regcred.Stale,
			"credential %s was changed, or its login dropped, since this login was minted: it is of version %d, the credential of version %d", guid, l.Version, version)
	case l.Version > version:
		return regcred.Login{}, regcred.Errorf(regcred.Invalid,
			"credential %s has no version %d yet, its newest is %d: a login cannot be from there", guid, l.Version, version)
	}
	l.Hosts = append([]string(nil), l.Hosts...)
	l.MintedAt, l.ExpiresAt, l.RenewableAt = Time(l.MintedAt), Time(l.ExpiresAt), Time(l.RenewableAt)
	return l, nil
}

// Fence returns a Stale error unless the fence is the newest; 0 never is.
func Fence(have, newest uint64) error {
	if have == newest && have != 0 {
		return nil
	}
	return regcred.Errorf(regcred.Stale, "another process has taken over the minting of logins: this one holds fence %d, the newest is %d", have, newest)
}

// Token returns t as a store keeps it. Errors: Invalid.
func Token(t regcred.APIToken) (regcred.APIToken, error) {
	if t.ID == "" || !printable(t.ID) || !utf8.ValidString(t.Name) {
		return regcred.APIToken{}, regcred.Errorf(regcred.Invalid, "an API token needs an id and a name in printable characters")
	}
	if err := t.Scope.Validate(); err != nil {
		return regcred.APIToken{}, err
	}
	for _, pattern := range t.Repositories {
		if pattern == "" || !printable(pattern) {
			return regcred.APIToken{}, regcred.Errorf(regcred.Invalid, "API token %s: the repositories need names in printable characters", t.ID)
		}
	}
	t.Hash = append([]byte(nil), t.Hash...)
	t.Repositories = append([]string(nil), t.Repositories...)
	t.CreatedAt, t.ExpiresAt, t.LastUsedAt = Time(t.CreatedAt), Time(t.ExpiresAt), Time(t.LastUsedAt)
	return t, nil
}

// Widen returns the revocation that holds all of a and b, which concern the same
// subject.
func Widen(a, b regcred.Revocation) regcred.Revocation {
	return regcred.Revocation{Subject: b.Subject, Before: later(a.Before, b.Before), Until: later(a.Until, b.Until)}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return Time(a)
	}
	return Time(b)
}

// Time returns t as a store keeps it: in UTC, without a monotonic reading.
func Time(t time.Time) time.Time { return t.Round(0).UTC() }

// Name names a credential in an error: "GUID (scope, location)".
func Name(guid string, scope regcred.Scope, location string) string {
	if location == "" {
		location = "no location yet"
	}
	return guid + " (" + scope.String() + ", " + location + ")"
}

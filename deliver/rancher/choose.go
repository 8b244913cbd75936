package rancher

import (
	"slices"
	"strconv"

	"regcred.dev/keyring"
)

// slot is a place for a login: a credential that there is, or one to be created.
type slot struct {
	host string
	auth keyring.Auth
	cred *credential // nil: to be created
}

func (p slot) key() string {
	if p.cred == nil {
		return p.host
	}
	return p.cred.key()
}

// plan finds a place for each login.
func (s *session) plan(auths []keyring.Auth) []slot {
	var slots []slot
	done := map[string]bool{}
	for _, a := range auths {
		host, ok := hostOf(a.Key)
		if !ok || a.Blocks() || done[host] {
			continue
		}
		done[host] = true
		slots = append(slots, s.places(host, a)...)
	}
	return slots
}

// places returns where a login goes. Without a place it says why.
func (s *session) places(host string, a keyring.Auth) []slot {
	var there []*credential
	for _, c := range s.all {
		if c.host == host {
			there = append(there, c)
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(there), func(c *credential) bool { return !s.ours(c, a, len(there)) })
	switch {
	case len(chosen) > 0, len(there) == 0 && !s.o.AutoCreate:
		for _, why := range s.system.unused(host, there, chosen) {
			s.warn("%s", why)
		}
	case len(there) > 0:
		s.warn("conflict: the registry %s has %s that regcred did not write and that no rule gives it, which is left alone: remove it, or say by public_value which user name is regcred's",
			host, count(len(there), "credential"))
		return nil
	default:
		return []slot{{host: host, auth: a}}
	}
	slots := make([]slot, len(chosen))
	for i, c := range chosen {
		slots[i] = slot{host: host, auth: a, cred: c}
	}
	return slots
}

// ours reports whether a login goes into a credential, which is one of several of its
// host.
func (s *session) ours(c *credential, a keyring.Auth, several int) bool {
	switch {
	case c.recorded, c.edited:
		return true
	case s.o.NoAdopt:
		return false
	case s.o.PublicValue != "":
		return c.username == s.o.PublicValue
	}
	return several == 1 || c.username == a.Username
}

func count(n int, what string) string {
	if n == 1 {
		return "a " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

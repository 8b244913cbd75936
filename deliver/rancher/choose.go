package rancher

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

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
	case len(chosen) > 0:
		s.checkUse(host, there, chosen)
	case len(there) > 0:
		s.warn("conflict: the registry %s has %s that regcred did not write and that no rule gives it, which is left alone: remove it, or say by public_value which user name is regcred's",
			host, count(len(there), "credential"))
		return nil
	case s.o.AutoCreate:
		return []slot{{host: host, auth: a}}
	case len(s.registries[host]) == 0:
		s.warn("there is no registry %s: add it, with a credential, or have regcred create it (auto_create, AUTO_CREATE)", host)
		return nil
	default:
		s.warn("the registry %s has no credential: add one, or have regcred create it (auto_create, AUTO_CREATE)", host)
		return nil
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
		return c.PublicValue == s.o.PublicValue
	}
	return several == 1 || c.PublicValue == a.Username
}

// checkUse warns of what keeps Rancher from using the chosen credentials: it finds a
// registry by its very host name, and takes the first of its credentials that is
// active.
func (s *session) checkUse(host string, there, chosen []*credential) {
	for _, r := range s.registries[host] {
		if !pulls(r.ServerAddress, host) {
			s.warn("the registry %s is stored as %q, where Rancher does not find it when it pulls images: add it as %s", r.ID, r.ServerAddress, addressOf(host))
		}
		if r.State == "inactive" {
			s.warn("the registry %s (%s) is inactive: Rancher does not use it", host, r.ID)
		}
		var active []*credential
		for _, c := range there {
			if c.RegistryID == r.ID && c.State == "active" {
				active = append(active, c)
			}
		}
		slices.SortFunc(active, func(a, b *credential) int { return cmp.Compare(number(a.ID), number(b.ID)) })
		if len(active) > 0 && !slices.Contains(chosen, active[0]) {
			s.warn("Rancher pulls images of %s with the credential %s, its first active one, which is not regcred's: deactivate it", host, active[0].ID)
		}
	}
}

// number returns the number in an id such as 1c12.
func number(id string) int {
	digits := id[strings.LastIndexFunc(id, func(r rune) bool { return r < '0' || r > '9' })+1:]
	n, _ := strconv.Atoi(digits) // what has no number comes first
	return n
}

func count(n int, what string) string {
	if n == 1 {
		return "a " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

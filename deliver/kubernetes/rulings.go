package kubernetes

import (
	"fmt"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// rulings say what becomes of removals that nobody asked for by themselves, by the
// kind of removal. Decide looks at one namespace; what is too much at once for all of
// them together only shows when each was looked at.
type rulings map[removal]ruling

// removal is what counts as one removal. The deletion of a credential is one order, in
// however many namespaces of a tenant it is carried out. Elsewhere a namespace gets
// other logins than before, because of its labels or of the configuration.
type removal struct {
	deleted   string // the guid of a deleted credential
	tenant    string // in whose namespaces
	namespace string // else: where
}

// removalOf says as what a removal counts in a namespace.
func (o *Options) removalOf(book *keyring.Book, p *place, d deliver.Delivered) removal {
	if _, deleted := book.Deleted(d.GUID); deleted {
		return removal{deleted: d.GUID, tenant: o.tenantOf(p)}
	}
	return removal{namespace: p.name}
}

// tenantOf says who may write to a namespace, as far as is known: its organization, or
// where it has none that would be its own, just those who use it.
func (o *Options) tenantOf(p *place) string {
	if p.namespace != nil {
		if org := p.namespace.scope.Org; org != "" && org != o.Scopes.DefaultOrganization {
			return "organization " + org
		}
	}
	return "namespace " + p.name
}

// census counts what is to be removed, and of how much. What a tenant has in its
// namespaces, and has recorded there, which it could forge, counts against its own
// removals; among those of all it counts as one.
type census struct {
	waiting map[removal]bool
	tenants map[string]*tally
	// first has for each deleted credential that waits to be removed one of the tenants
	// that have it: the same one each time.
	first map[string]string
	// namespaces counts those that the store delivers to, endings those of them that
	// wait to get other logins.
	namespaces, endings int
	// selects says that the configuration has ever selected a namespace since the start.
	selects bool
}

// tally counts credentials of one tenant.
type tally struct {
	delivered map[string]bool // by guid
	deleted   int
}

// count counts what is delivered, and the removals that wait: those that pending
// returns of each namespace.
func (s *session) count(book *keyring.Book, pending func(*place) []deliver.Delivered) *census {
	c := &census{waiting: map[removal]bool{}, tenants: map[string]*tally{}, first: map[string]string{}, selects: s.o.selects.Load()}
	s.table.each(func(p *place) {
		c.pending(s.o, book, p, pending(p))
		if p.isOurs(s.o) {
			c.has(s.o.tenantOf(p), p.secret, book.StoreID())
		}
	})
	return c
}

// pending counts the removals that wait in a namespace.
func (c *census) pending(o *Options, book *keyring.Book, p *place, all []deliver.Delivered) {
	for _, d := range all {
		c.wait(o.removalOf(book, p, d))
	}
}

// wait counts a removal that waits.
func (c *census) wait(r removal) {
	if c.waiting[r] {
		return
	}
	c.waiting[r] = true
	if r.deleted == "" {
		c.endings++
		return
	}
	c.of(r.tenant).deleted++
	if first, ok := c.first[r.deleted]; !ok || r.tenant < first {
		c.first[r.deleted] = r.tenant
	}
}

// has counts what a store has delivered to a tenant's Secret.
func (c *census) has(tenant string, secret *object, store string) {
	own := 0
	for _, e := range secret.recorded {
		if e.Store == store {
			c.of(tenant).delivered[e.GUID] = true
			own = 1
		}
	}
	c.namespaces += own
}

func (c *census) of(tenant string) *tally {
	if c.tenants[tenant] == nil {
		c.tenants[tenant] = &tally{delivered: map[string]bool{}}
	}
	return c.tenants[tenant]
}

// rule rules on all removals that wait.
func (s *session) rule(book *keyring.Book) rulings {
	return s.count(book, func(p *place) []deliver.Delivered { return p.outcome.pending }).rule()
}

// rule rules on all removals that were counted.
func (c *census) rule() rulings {
	losing := map[string]bool{}
	for _, tenant := range c.first {
		losing[tenant] = true
	}
	out := rulings{}
	for r := range c.waiting {
		reason := c.tooMany(r, len(losing))
		out[r] = ruling{verdict: verdictRemove}
		if reason != "" {
			out[r] = ruling{verdictHold, reason}
		}
	}
	return out
}

// tooMany says why a removal is held, "" where it is not. losing is how many tenants
// lose credentials.
func (c *census) tooMany(r removal, losing int) string {
	switch of := c.tenants[r.tenant]; {
	case r.deleted == "" && deliver.TooMany(c.endings, c.namespaces):
		return fmt.Sprintf("one change would take logins away from %d of %d namespaces, which is more than a tenth", c.endings, c.namespaces)
	case r.deleted == "" && !c.selects:
		return "the configuration selects no namespace at all"
	case r.deleted == "":
		return ""
	case deliver.TooMany(of.deleted, len(of.delivered)):
		return fmt.Sprintf("one change would take away %d of %d credentials, which is more than a tenth", of.deleted, len(of.delivered))
	case deliver.TooMany(losing, len(c.tenants)):
		return fmt.Sprintf("one change would take credentials away from %d of %d tenants, which is more than a tenth", losing, len(c.tenants))
	}
	return ""
}

package kubernetes

import (
	"math"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// rankOf says how urgent a namespace is for a book, which has to be written to at most
// so many a second: first where a login must not be used any more, then where there is
// none, then those whose logins end first.
func (o *Options) rankOf(p *place, book *keyring.Book) rank {
	if !p.isOurs(o) {
		return rank{class: classPass}
	}
	due := rank{classPass, math.MaxInt64}
	for _, e := range p.secret.recorded {
		if e.Store != book.StoreID() {
			continue
		}
		if e.revoked(book) {
			return rank{}
		}
		if !e.Expires.IsZero() {
			due.due = min(due.due, e.Expires.UnixNano())
		}
	}
	if len(p.secret.recorded) == 0 {
		due.due = 0
	}
	return due
}

// revoked reports whether an entry is to go because its credential was deleted, or its
// login dropped.
func (d delivered) revoked(book *keyring.Book) bool {
	if c, ok := book.Get(d.GUID); ok {
		return d.Revision < c.DropRevision
	}
	_, deleted := book.Deleted(d.GUID)
	return deleted
}

// foresee rules on deletions before namespaces are seen to: they are all known from what
// is remembered, and what was ordered does not wait until others have their logins. Only
// what is carried out is ruled on. Which namespaces are to have other logins shows when
// each was looked at; until then they wait, for few may prove to be many.
func (s *session) foresee(t task) rulings {
	var losing []*place
	s.table.each(func(p *place) {
		if p.namespace != nil && s.o.rankOf(p, t.book).class == classRevoked {
			losing = append(losing, &place{name: p.name, namespace: p.namespace, secret: p.secret})
		}
	})
	c := s.count(t.book, func(*place) []deliver.Delivered { return nil })
	for _, p := range losing {
		if pl := s.planner(p, t); pl != nil {
			plan := pl.plan(p.secret)
			c.pending(s.o, t.book, p, plan.pending)
		}
	}
	foreseen := c.rule()
	for r, ruling := range foreseen {
		if r.deleted == "" || ruling.verdict != verdictRemove {
			delete(foreseen, r)
		}
	}
	return foreseen
}

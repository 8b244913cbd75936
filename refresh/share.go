package refresh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"regcred.dev"
)

// A source stands for what logins are minted from: equal sources mint equal logins.
// It is keyed with a random number of this process, and so tells nothing of the
// secrets in it.
type source [sha256.Size]byte

// A group is credentials with one source, of a provider whose logins follow from
// that alone. They share one mint a period. Who lends has its login from a mint of
// this process: so what was dropped on order before that began does not come back.
// Refresher.mu guards it.
type group struct {
	source  source
	members int
	lender  *entry   // who stored a new login last; nil: nobody who still has it
	minter  *entry   // whose mint is under way
	turns   *limit   // of a delegate's source: see inTurn; nil: none was taken
	waiting []*entry // for that, each with its attempt
}

// behind returns what logins of a credential are minted from: the credential itself, or
// what a regcred.Delegate has for it. Errors: those of Delegate.Source.
func (r *Refresher) behind(c regcred.Credential) (regcred.Credential, error) {
	if d, ok := r.providers[c.Provider].(regcred.Delegate); ok {
		return d.Source(c)
	}
	return c, nil
}

// sourceOf returns the source of a credential. Those of a delegate share with each other
// alone: what one of them has is dropped together with theirs.
func (r *Refresher) sourceOf(c regcred.Credential) (source, error) {
	from, err := r.behind(c)
	if err != nil {
		return source{}, err
	}
	return source(from.Fingerprint(slices.Concat(r.key, []byte(c.Provider)))), nil
}

// borrow looks for a login that another credential with the same source has. wait
// says that another one is just minting: what that gets will do. With neither,
// others wait for what e mints.
// Errors: those of Delegate.Source: who has no grant takes no part.
func (r *Refresher) borrow(ctx context.Context, e *entry, c regcred.Credential, a *attempt) (login *regcred.Login, lender string, wait bool, _ error) {
	s, err := r.sourceOf(c)
	if err != nil {
		return nil, "", false, err
	}
	for {
		lender, want, wait := r.partner(e, s, c.Version, a)
		if lender == "" {
			return nil, "", wait, nil
		}
		l, err := r.store.Login(ctx, lender)
		if err == nil && l.MintedAt.Equal(want.MintedAt) && l.Version == want.Version {
			l.Version = c.Version
			if usable(c, l) == nil {
				return &l, lender, false, nil
			}
		}
		r.refuse(e, lender)
	}
}

// dropped reports whether a login that was borrowed and stored is no longer its
// lender's: it may have been dropped on order meanwhile, and must then not live on
// with the borrower.
func (r *Refresher) dropped(ctx context.Context, lender string, login *regcred.Login) bool {
	if lender == "" {
		return false
	}
	l, err := r.store.Login(ctx, lender)
	return err == nil && !l.MintedAt.Equal(login.MintedAt) || regcred.CodeOf(err) == regcred.NotFound
}

// partner joins e to the group of its source s, which it has with a version of its
// credential, and returns the guid of who can lend it a login and the times of that, or
// whether to wait for who is just minting.
func (r *Refresher) partner(e *entry, s source, version uint64, a *attempt) (lender string, login regcred.Login, wait bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.lane == nil { // deleted meanwhile
		return "", regcred.Login{}, false
	}
	g := r.join(e, s, version)
	switch {
	case a.fresh:
	case g.lends(e, now):
		return g.lender.guid, *g.lender.stored, false
	case g.minter != nil && g.minter != e:
		return "", regcred.Login{}, true
	}
	g.minter = cmp.Or(g.minter, e)
	return "", regcred.Login{}, false
}

// refuse notes that a lender does not have its login any more, or that it does not
// fit.
func (r *Refresher) refuse(e *entry, lender string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := e.group; g != nil && g.lender != nil && g.lender.guid == lender {
		g.lender = nil
	}
}

// lends reports whether the group's lender has a login for e: a current one, better
// than e's own, that is not due yet, and was minted after e's login was dropped.
func (g *group) lends(e *entry, now time.Time) bool {
	l := g.lender
	if l == nil || l == e || !l.current() || l.stored.Version != l.sourceVersion || !l.valid(now) {
		return false
	}
	due := DueWithin(*l.stored, e.guid, e.maxAge)
	return (due.IsZero() || due.After(now)) && l.stored.MintedAt.After(e.droppedAt) &&
		(!e.current() || l.stored.MintedAt.After(e.stored.MintedAt))
}

// join makes e a member of the group of a source, which it has with a version of
// its credential.
func (r *Refresher) join(e *entry, s source, version uint64) *group {
	e.sourceVersion = version
	if e.group != nil {
		if e.group.source == s {
			return e.group
		}
		r.part(e)
	}
	g, ok := r.groups[s]
	if !ok {
		g = &group{source: s}
		r.groups[s] = g
	}
	g.members++
	e.group = g
	return g
}

// part takes e out of its group, if it is in one. Whoever waited for its mint goes
// on without it.
func (r *Refresher) part(e *entry) {
	g := e.group
	if g == nil {
		return
	}
	e.group, e.parked = nil, false
	if g.lender == e {
		g.lender = nil
	}
	if g.members--; g.members == 0 && g.turns == nil {
		delete(r.groups, g.source)
	}
	if g.minter == e {
		g.minter = nil
		r.resume(g, nil, time.Now())
	}
}

// park lets e, with its attempt, wait for the mint of its group. It reports false
// where that has ended.
func (e *entry) park() bool {
	g := e.group
	if g == nil || g.minter == nil || g.minter == e {
		return false
	}
	e.parked = true
	g.waiting = append(g.waiting, e)
	return true
}

// landed tells e's group that its attempt ended: with a login in the store, or
// with an error.
func (r *Refresher) landed(e *entry, err error, now time.Time) {
	g := e.group
	if g == nil {
		return
	}
	if err == nil {
		g.lender = e
	}
	if g.minter == e {
		g.minter = nil
		r.resume(g, err, now)
	}
}

// resume lets those go on that waited for a mint. Its failure is theirs too: asking
// again for each of them would only be refused again.
func (r *Refresher) resume(g *group, err error, now time.Time) {
	waiting := g.waiting
	g.waiting = nil
	for _, e := range waiting {
		if !e.parked || e.group != g {
			continue
		}
		e.parked = false
		if err != nil && !e.attempt.fresh {
			a := e.attempt
			e.attempt = nil
			r.fail(e, err, now)
			a.end(nil, err)
		}
		r.plan(e, now)
	}
}

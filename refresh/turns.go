package refresh

import (
	"time"

	"regcred.dev"
)

// How often the issuer is asked for one source of a delegate without an admin's doing: a
// source is minted from a few times a lifetime, and by retries.
const (
	turnInterval = 6 * time.Second
	turnBurst    = 10
)

// inTurn returns a Throttled error where the issuer was asked for what e's delegate has
// as often as that may be. Those who may name it are no owners of it: by storing,
// changing and deleting credentials they would have its issuer asked each time, and use
// up a rate that others need. Renewals take no turn until one fails: they come by the
// schedule alone, and whoever used up the turns must not keep others from theirs.
//
// Its group stays when the last member leaves, with the turns that were taken: there are
// as many as a delegate has sources.
func (r *Refresher) inTurn(e *entry, c regcred.Credential, a *attempt) error {
	if _, ok := r.providers[c.Provider].(regcred.Delegate); !ok || a.fresh {
		return nil
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	g := e.group
	renewal := e.current() && e.valid(now) && e.failures == 0
	if g == nil || renewal { // nil: deleted meanwhile
		return nil
	}
	if g.turns == nil {
		turns := newLimit(regcred.ProviderInfo{Rate: 1 / turnInterval.Seconds(), Burst: turnBurst})
		g.turns = &turns
	}
	if next := g.turns.next(now); next.After(now) {
		return regcred.ThrottledFor(next.Sub(now), "logins of this %s were asked for %d times in a short while: credentials that name it are stored and changed too often", c.Provider, turnBurst)
	}
	g.turns.take(now)
	return nil
}

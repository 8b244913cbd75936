package refresh

import (
	"cmp"
	"slices"
	"time"

	"regcred.dev"
)

// A renewal is when a login that is still valid is due, and until when it is valid.
type renewal struct {
	minted, due, expires time.Time
}

// How fast a restart catches up, and how much later than it is due it may renew a
// login, as a part of its lifetime.
const (
	catchUp   = 1.2
	spreadLag = 0.005
)

// spread returns when to renew each of an issuer's logins after a restart at now:
// none before it is due, and together at most 1.2 times as often as they are
// renewed in the long run, as far as that is safe. Those due first come first;
// where there is no backlog each is renewed when it is due.
//
// What is safe comes before what is even. A login is renewed before half of what
// is left of it has passed. And because an outage of the issuer may follow, it is
// late by at most a two hundredth of its lifetime: one that is renewed at 55% of
// its lifetime lasts through 40% that the issuer is out, and leaves 5% for all else.
// So credentials created together, which are due together within a tenth of their
// lifetime, are renewed about as fast as without a restart: at 1.2 times their long
// run rate they would take nearly half a lifetime.
//
// Where logins are overdue, something was out already: the issuer, or the server
// itself. The next outage is then at least 60% of a lifetime away, and until half a
// lifetime from now any login may be late by as much more as they are: so a restart
// makes none later than the one that is latest already.
func spread(now time.Time, logins []renewal) []time.Time {
	s := newSpreading(now, logins)
	rate := catchUp * s.steady
	for !s.at(rate) {
		rate *= 1.1
	}
	return s.starts
}

// spreading is a plan in the making.
type spreading struct {
	order  []int // of logins, by when they are due
	from   []time.Time
	until  []time.Time // before which each is to be renewed
	steady float64     // renewals a second in the long run
	starts []time.Time
}

func newSpreading(now time.Time, logins []renewal) *spreading {
	s := &spreading{
		order: make([]int, len(logins)), from: make([]time.Time, len(logins)),
		until: make([]time.Time, len(logins)), starts: make([]time.Time, len(logins)),
	}
	overdue, late := 0, time.Duration(0)
	for i, l := range logins {
		s.order[i], s.from[i] = i, latest(l.due, now)
		s.steady += 1 / max(l.due.Sub(l.minted), minInterval).Seconds()
		if l.due.Before(now) {
			overdue++
			late = max(late, now.Sub(l.due))
		}
	}
	slices.SortFunc(s.order, func(a, b int) int {
		return cmp.Or(logins[a].due.Compare(logins[b].due), cmp.Compare(a, b))
	})
	// A few logins may be overdue because their credentials fail, which is no reason
	// to let the others wait: what is overdue is to account for half of that, at least.
	late = min(late, 2*each(s.steady/float64(max(overdue, 1))))
	for i, l := range logins {
		lifetime := l.expires.Sub(l.minted)
		until := latest(s.from[i], earliest(l.due.Add(late), now.Add(lifetime/2)))
		until = until.Add(time.Duration(spreadLag * float64(lifetime)))
		until = earliest(until, s.from[i].Add(l.expires.Sub(s.from[i])/2))
		s.until[i] = latest(until, s.from[i].Add(minInterval))
	}
	return s
}

// at plans with a rate, and reports whether it is fast enough.
func (s *spreading) at(rate float64) bool {
	step := each(rate)
	var next time.Time
	for _, i := range s.order {
		s.starts[i] = latest(s.from[i], next)
		if s.starts[i].After(s.until[i]) {
			return false
		}
		next = s.starts[i].Add(step)
	}
	return true
}

// each returns how far apart things are of which there are so many a second, at most
// a hundred years.
func each(rate float64) time.Duration {
	return time.Duration(float64(time.Second) / max(rate, 1.0/(100*365*24*60*60)))
}

// renewal returns when a login of e is due. Where logins have a greatest age, that is
// taken for half of their lifetime.
func (e *entry) renewal(l regcred.Login) renewal {
	r := renewal{l.MintedAt, DueWithin(l, e.guid, e.maxAge), l.ExpiresAt}
	if end := l.MintedAt.Add(2 * e.maxAge); e.maxAge > 0 && (r.expires.IsZero() || end.Before(r.expires)) {
		r.expires = latest(end, r.due)
	}
	return r
}

// held returns until when a renewal can wait for spread, which has to know all logins
// first.
func (r renewal) held(now time.Time) time.Time {
	if r.due.IsZero() {
		return r.due
	}
	from := latest(r.due, now)
	return from.Add(max(r.expires.Sub(from), 0) / 2)
}

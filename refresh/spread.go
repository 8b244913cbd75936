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
	spreadLag = 0.01
)

// spread returns when to renew each of an issuer's logins after a restart at now:
// none before it is due, and together at most 1.2 times as often as they are
// renewed in the long run, as far as that is safe. Those due first come first;
// where there is no backlog each is renewed when it is due.
//
// What is safe comes before what is even. A login is renewed before half of what
// is left of it has passed. And it is late by no more than the restart itself made
// the logins late (or a hundredth of its lifetime, where that is more), because an
// outage of the issuer may follow: a login that is renewed at 55% of its lifetime
// lasts through 40% that the issuer is out, and leaves 5% for all else. So
// credentials created together, which are due together within a tenth of their
// lifetime, are renewed about as fast as without a restart: at 1.2 times their long
// run rate they would take nearly half a lifetime.
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
	// One login may be overdue because its credential fails, which is no reason to
	// let the others wait: so it is also no more than what is overdue takes.
	late = min(late, each(s.steady/float64(max(overdue, 1))))
	for i, l := range logins {
		lag := max(late, time.Duration(spreadLag*float64(l.expires.Sub(l.minted))))
		s.until[i] = s.from[i].Add(max(min(lag, l.expires.Sub(s.from[i])/2), minInterval))
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

// held returns until when the renewal of a login can wait for spread, which has to
// know all logins first.
func held(l regcred.Login, guid string, now time.Time) time.Time {
	due := Due(l, guid)
	if due.IsZero() {
		return due
	}
	from := latest(due, now)
	return from.Add(l.ExpiresAt.Sub(from) / 2)
}

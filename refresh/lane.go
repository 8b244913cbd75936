package refresh

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"regcred.dev"
)

// issuer is whom logins are asked from: a provider and its Provider.Issuer.
type issuer struct{ provider, name string }

// A lane holds the credentials of one issuer, so that one that hangs or throttles
// delays no other: it has a rate limit and a number of mints at once of its own.
// It exists while there are credentials in it. Refresher.mu guards it.
type lane struct {
	issuer      issuer
	shared      bool // see regcred.ProviderInfo
	concurrency int
	limit       limit

	waiting queue[*entry] // by when they are due
	ready   queue[*entry] // due, by when their logins expire
	retries queue[*entry] // due, failing and without a valid login, by when they are due
	retried bool          // the last one taken was one of those

	entries int   // credentials
	running int   // mints under way
	err     error // of the last mint that failed; of the one that began a pause, while that lasts

	mints, failures uint64

	next  time.Time // when something can be taken; see Refresher.lanes
	index int       // in Refresher.lanes; negative: not there
}

// newLane returns the lane of an issuer; p is nil where its provider is unknown.
func newLane(who issuer, p regcred.Provider, concurrency int) *lane {
	l := &lane{issuer: who, concurrency: concurrency, index: -1}
	if p != nil {
		info := p.Describe()
		l.shared, l.limit = info.Shared, newLimit(info)
	}
	l.waiting = entries(func(a, b *entry) bool { return a.due.Before(b.due) })
	l.ready = entries(func(a, b *entry) bool { return a.deadline.Before(b.deadline) })
	l.retries = entries(l.waiting.before)
	return l
}

func entries(before func(a, b *entry) bool) queue[*entry] {
	return queue[*entry]{before: before, moved: func(e *entry, index int) { e.index = index }}
}

// schedule queues an entry for a time, anew where it is queued already; a zero
// time takes it out of the queue.
func (l *lane) schedule(e *entry, due time.Time) {
	if e.queue != nil {
		e.queue.remove(e.index)
		e.queue = nil
	}
	if e.due = due; !due.IsZero() {
		l.put(e, &l.waiting)
	}
}

func (l *lane) put(e *entry, q *queue[*entry]) {
	e.queue = q
	q.push(e)
}

// promote makes ready what is due at now.
func (l *lane) promote(now time.Time) {
	for l.waiting.len() > 0 && !l.waiting.front().due.After(now) {
		e := l.waiting.front()
		l.waiting.remove(0)
		if e.failures > 0 && e.attempt == nil && !e.valid(now) {
			l.put(e, &l.retries)
			continue
		}
		e.deadline = e.due
		if e.attempt == nil && e.current() && e.valid(now) {
			e.deadline = e.stored.ExpiresAt
		}
		l.put(e, &l.ready)
	}
}

// pick takes out the entry that is minted next, nil where none is due. First come
// those that somebody waits for or that have no valid login, then those whose
// login expires first. Those that fail and have nothing to lose get every second
// turn at most, so that any number of broken credentials leaves room for the rest.
func (l *lane) pick(now time.Time) *entry {
	l.promote(now)
	q := &l.ready
	if l.retries.len() > 0 && (l.ready.len() == 0 || !l.retried) {
		q = &l.retries
	}
	if q.len() == 0 {
		return nil
	}
	l.retried = q == &l.retries
	e := q.front()
	l.schedule(e, time.Time{})
	return e
}

// never is later than all else.
var never = time.Unix(math.MaxInt32*100, 0)

// opens returns when something can be taken from the lane.
func (l *lane) opens(now time.Time) time.Time {
	switch {
	case l.running >= l.concurrency:
		return never
	case l.ready.len()+l.retries.len() > 0:
		return l.limit.next(now)
	case l.waiting.len() > 0:
		return latest(l.waiting.front().due, l.limit.next(now))
	}
	return never
}

// answered takes in what the issuer made of a mint that began at a time: err is
// nil where it gave a login.
func (l *lane) answered(began, now time.Time, err error) {
	l.limit.answered(began, now, err)
	if err == nil {
		l.mints++
		return
	}
	l.failures++
	if !l.limit.paused(now) || regcred.CodeOf(err) == regcred.Throttled {
		l.err = l.inCommon(err)
	}
	if wait := retryAfter(err); wait > 0 {
		l.limit.pause(now.Add(wait))
		for _, q := range []*queue[*entry]{&l.waiting, &l.ready} {
			for _, e := range q.items {
				l.shorten(e, now)
			}
		}
	}
}

// inCommon says of an issuer's answer to one credential what others may know that
// share its lane: its own words may name what is that credential's alone.
func (l *lane) inCommon(err error) error {
	who := cmp.Or(l.issuer.name, l.issuer.provider)
	if code := regcred.CodeOf(err); code != regcred.Throttled {
		return regcred.Errorf(code, "%s does not answer", who)
	}
	return regcred.ThrottledFor(retryAfter(err), "%s asked to be asked less often", who)
}

// shorten ends the pause that the issuer asked for, where there is one, once half
// of what is left of an entry's login has passed, if that is due before its end.
func (l *lane) shorten(e *entry, now time.Time) {
	if e.stored == nil || e.stored.ExpiresAt.IsZero() || e.due.IsZero() || !e.due.Before(l.limit.pausedUntil) {
		return
	}
	if left := e.stored.ExpiresAt.Sub(now); left > 0 {
		l.limit.pausedUntil = earliest(l.limit.pausedUntil, now.Add(max(left/2, minBackoff)))
	}
}

// trouble returns why the lane's credentials wait though they are due, nil where
// they do not: the issuer asked for a pause, or is down.
func (l *lane) trouble(now time.Time) error {
	if l.limit.paused(now) || l.limit.down() {
		return l.err
	}
	return nil
}

// enter puts an entry into the lane of its issuer, which is made for the first one.
func (r *Refresher) enter(e *entry, who issuer) {
	if e.lane != nil {
		if e.lane.issuer == who {
			return
		}
		r.leave(e)
	}
	l, ok := r.issuers[who]
	if !ok {
		l = newLane(who, r.providers[who.provider], r.concurrency)
		r.issuers[who] = l
	}
	l.entries++
	e.lane = l
}

// leave takes an entry out of its lane, which ends with the last one: mints that
// are still under way end without it.
func (r *Refresher) leave(e *entry) {
	l := e.lane
	l.schedule(e, time.Time{})
	e.lane = nil
	if l.entries--; l.entries == 0 {
		delete(r.issuers, l.issuer)
	}
	r.settle(l, time.Now())
}

// settle puts a lane, in which something changed, in its place among the lanes.
func (r *Refresher) settle(l *lane, now time.Time) {
	l.next = l.opens(now)
	switch {
	case l.index >= 0 && l.next.Equal(never):
		r.lanes.remove(l.index)
	case l.index >= 0:
		r.lanes.fix(l.index)
	case !l.next.Equal(never):
		r.lanes.push(l)
	}
	if l.index == 0 {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// serve mints what is due until ctx ends, and waits for what is under way.
func (r *Refresher) serve(ctx context.Context) {
	var mints sync.WaitGroup
	defer mints.Wait()
	for r.awaitDue(ctx) {
		now := time.Now()
		e, l, a := r.take(now)
		if e == nil {
			continue
		}
		mints.Go(func() { r.land(ctx, e, l, a, r.renew(ctx, e, l, a)) })
	}
}

// maxSleep bounds a wait, because a timer stands still while the machine sleeps
// and does not notice when its clock is set.
const maxSleep = time.Minute

// awaitDue waits until something is due in a lane, and reports false where ctx ends.
func (r *Refresher) awaitDue(ctx context.Context) bool {
	for ctx.Err() == nil {
		r.mu.Lock()
		now, wait := time.Now(), maxSleep
		if r.lanes.len() > 0 {
			wait = min(wait, r.lanes.front().next.Sub(now))
		}
		r.mu.Unlock()
		if wait <= 0 {
			return true
		}
		select {
		case <-time.After(wait):
		case <-r.wake:
		case <-ctx.Done():
		}
	}
	return false
}

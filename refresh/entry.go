package refresh

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"regcred.dev"
)

// entry is what the Refresher knows of one credential. It holds no secret but a
// login that could not be stored yet. Refresher.mu guards it.
type entry struct {
	guid   string
	lane   *lane         // nil: forgotten
	maxAge time.Duration // Options.MaxAge

	version  uint64         // of the credential
	revision uint64         // up to which the store's changes are known
	stored   *regcred.Login // the times and version of the stored login; nil: none
	unsaved  *regcred.Login // minted, but the store did not take it yet
	planned  time.Time      // when to renew the stored one, in place of when it is due; zero: then

	// Where its provider's logins may be shared; see group.
	group         *group
	sourceVersion uint64    // of the credential whose source the group has
	droppedAt     time.Time // no login minted before takes its own's place
	parked        bool      // waits, with its attempt, for the group's mint

	due      time.Time // zero: not queued
	deadline time.Time // by which it is wanted, in lane.ready
	queue    *queue[*entry]
	index    int // in queue

	attempt *attempt // asked for or under way
	minting bool     // it is under way

	failures int       // in a row
	err      error     // of the last of them
	retryAt  time.Time // where failures > 0
	mints    uint64
	lastMint time.Time

	told     stage     // what the log has of it
	gapSince time.Time // zero: the log has no open gap
}

// attempt is one try at a new login, shared by all who wait for it.
type attempt struct {
	fresh bool // mint even where an unsaved login, or another's, is at hand

	// Set when it begins.
	unsaved *regcred.Login
	expires time.Time // of the stored login; zero: none, or never

	// Set before done is closed.
	login regcred.Login
	err   error
	done  chan struct{}
}

// end tells who waits. err counts where there is no login.
func (a *attempt) end(login *regcred.Login, err error) {
	if login != nil {
		a.login = *login
	} else {
		a.err = err
	}
	close(a.done)
}

// learn takes in the state of a credential, where it is newer than what is known.
func (r *Refresher) learn(c regcred.Change) {
	if c.Err != nil {
		r.log.Error("a credential or its login cannot be read", "guid", c.Credential.GUID, "err", c.Err)
	}
	who := issuer{}
	if c.Err == nil && !c.Deleted {
		who = r.issuerOf(c.Credential)
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	guid := c.Credential.GUID
	e, ok := r.entries[guid]
	if ok && c.Revision <= e.revision {
		return
	}
	if c.Deleted {
		if ok {
			r.forget(e)
		}
		return
	}
	if !ok {
		e = &entry{guid: guid, maxAge: r.maxAge}
		r.entries[guid] = e
		r.enter(e, who)
	}
	e.revision = c.Revision
	if c.Err != nil {
		r.fail(e, c.Err, now)
	} else {
		r.update(e, c, who, now)
	}
	r.plan(e, now)
}

func (r *Refresher) update(e *entry, c regcred.Change, who issuer, now time.Time) {
	r.enter(e, who)
	if c.Credential.Version > e.version {
		e.version = c.Credential.Version
		e.failures, e.err, e.unsaved, e.told = 0, nil, nil, calm
		r.part(e)
	}
	e.store(c.Login, now)
	if !r.caughtUp && e.current() && e.valid(now) {
		e.planned = e.renewal(*e.stored).held(now)
	}
}

// store takes in what login is stored now.
func (e *entry) store(l *regcred.Login, now time.Time) {
	if l == nil {
		if e.stored != nil {
			e.droppedAt = now
		}
		e.stored, e.planned = nil, time.Time{}
		return
	}
	if e.stored == nil || !e.stored.MintedAt.Equal(l.MintedAt) || e.stored.Version != l.Version {
		e.planned = time.Time{}
	}
	e.stored = times(*l)
}

// times returns a login without what it is and where it may go.
func times(l regcred.Login) *regcred.Login {
	return &regcred.Login{MintedAt: l.MintedAt, ExpiresAt: l.ExpiresAt, RenewableAt: l.RenewableAt, Version: l.Version}
}

// current reports whether the stored login is of the credential's newest version.
func (e *entry) current() bool { return e.stored != nil && e.stored.Version >= e.version }

// valid reports whether there is a stored login that has not expired.
func (e *entry) valid(now time.Time) bool { return e.stored != nil && !e.stored.Expired(now) }

func (r *Refresher) forget(e *entry) {
	delete(r.entries, e.guid)
	r.part(e)
	r.leave(e)
	if e.attempt != nil && !e.minting {
		a := e.attempt
		e.attempt = nil
		a.end(nil, unknown(e.guid))
	}
}

// urgent is when something is due that somebody waits for: before all else.
var urgent = time.Unix(0, 0)

// plan queues an entry for when it is due. One that is being minted is planned
// when that ends, and so is one that waits for another's mint.
func (r *Refresher) plan(e *entry, now time.Time) {
	switch {
	case e.minting, e.parked:
		return
	case e.attempt != nil:
		e.lane.schedule(e, urgent)
	default:
		e.lane.schedule(e, e.next(now))
	}
	e.lane.shorten(e, now)
	r.settle(e.lane, now)
}

// next returns when an entry is due by itself, zero for never.
func (e *entry) next(now time.Time) time.Time {
	switch {
	case e.failures > 0:
		return e.retryAt
	case !e.current():
		return now
	case !e.planned.IsZero():
		return e.planned
	}
	return DueWithin(*e.stored, e.guid, e.maxAge)
}

// spreadOut plans the renewals of all logins that waited until all were known.
func (r *Refresher) spreadOut(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caughtUp = true
	waiting := make(map[*lane][]*entry)
	for _, e := range r.entries {
		if !e.planned.IsZero() && e.valid(now) && !e.minting {
			waiting[e.lane] = append(waiting[e.lane], e)
		}
	}
	for _, entries := range waiting {
		logins := make([]renewal, len(entries))
		for i, e := range entries {
			logins[i] = e.renewal(*e.stored)
		}
		for i, start := range spread(now, logins) {
			entries[i].planned = start
			r.plan(entries[i], now)
		}
	}
}

// request returns the attempt that is asked for or under way, or asks for one.
func (r *Refresher) request(e *entry, fresh bool, now time.Time) *attempt {
	if e.attempt == nil {
		e.attempt = &attempt{done: make(chan struct{})}
		r.plan(e, now)
	}
	e.attempt.fresh = e.attempt.fresh || fresh && !e.minting
	return e.attempt
}

// take begins the attempt that comes first at now; nil where none is due.
func (r *Refresher) take(now time.Time) (*entry, *lane, *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lanes.len() == 0 || r.lanes.front().next.After(now) {
		return nil, nil, nil
	}
	l := r.lanes.front()
	defer r.settle(l, now)
	e := l.pick(now)
	if e == nil {
		return nil, nil, nil
	}
	if e.attempt == nil {
		e.attempt = &attempt{done: make(chan struct{})}
	}
	a := e.attempt
	e.minting = true
	if !a.fresh {
		a.unsaved = e.unsaved
	}
	if e.stored != nil {
		a.expires = e.stored.ExpiresAt
	}
	l.running++
	l.limit.take(now)
	return e, l, a
}

// land takes in how an attempt ended, plans the next one and tells who waits. l is
// the lane that it began in.
func (r *Refresher) land(ctx context.Context, e *entry, l *lane, a *attempt, o outcome) {
	now := time.Now()
	r.mu.Lock()
	l.running--
	l.limit.add(now, float64(1-o.asked)) // it cost one
	e.minting = false
	var said notice
	switch {
	case !o.wait:
		said = r.conclude(e, o, now)
	case e.lane == nil:
		o.err = unknown(e.guid)
	case !e.park():
		r.plan(e, now)
	}
	r.settle(l, now)
	r.mu.Unlock()

	if said.text != "" && ctx.Err() == nil {
		r.tell(said)
	}
	if !o.wait || o.err != nil {
		a.end(o.login, o.err)
	}
}

// conclude takes in the end of an attempt, and returns what is to be said of it,
// if anything.
func (r *Refresher) conclude(e *entry, o outcome, now time.Time) (said notice) {
	failures := e.failures
	e.attempt = nil
	e.mints += o.mints
	if o.mints > 0 {
		e.lastMint = now
	}
	if o.err == nil {
		e.succeed(o, now)
	} else {
		e.unsaved = cmp.Or(o.login, e.unsaved)
		r.fail(e, o.err, now)
	}
	switch {
	case e.lane == nil: // deleted meanwhile
		return notice{}
	case o.gone:
		r.forget(e)
		return notice{}
	}
	r.landed(e, o.err, now)
	r.plan(e, now)
	if o.err == nil {
		return e.relieved(*o.login, failures, now)
	}
	if said, ok := e.warn(now); ok {
		return said
	}
	return notice{text: "still no new login", level: slog.LevelDebug,
		attrs: []any{"guid", e.guid, "err", o.err, "failures", e.failures, "next", e.due}}
}

func (e *entry) succeed(o outcome, now time.Time) {
	e.failures, e.err, e.unsaved = 0, nil, nil
	switch {
	case o.revision > e.revision:
		e.revision = o.revision
		e.version = o.login.Version
		e.store(o.login, now)
	case e.stored == nil:
		e.droppedAt = now // the store's watch told of it already
	}
}

func (r *Refresher) fail(e *entry, err error, now time.Time) {
	e.failures++
	e.err = err
	var left time.Duration
	if e.stored != nil && !e.stored.ExpiresAt.IsZero() {
		left = e.stored.ExpiresAt.Sub(now)
	}
	e.retryAt = now.Add(Backoff(e.failures, left, r.jitter(e.guid)))
}

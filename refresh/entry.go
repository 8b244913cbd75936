package refresh

import (
	"cmp"
	"context"
	"time"

	"regcred.dev"
)

// entry is what the Refresher knows of one credential. It holds no secret but a
// login that could not be stored yet. Refresher.mu guards it.
type entry struct {
	guid     string
	provider string
	lane     *lane

	version  uint64         // of the credential
	revision uint64         // up to which the store's changes are known
	stored   *regcred.Login // the times and version of the stored login; nil: none
	unsaved  *regcred.Login // minted, but the store did not take it yet

	due    time.Time // zero: not queued
	index  int       // in the lane's queue, where it is queued
	queued bool

	attempt *attempt // asked for or under way
	minting bool     // it is under way

	failures int       // in a row
	err      error     // of the last of them
	retryAt  time.Time // where failures > 0
	mints    uint64
	lastMint time.Time
}

// attempt is one try at a new login, shared by all who wait for it.
type attempt struct {
	fresh bool // mint even where an unsaved login is at hand

	// Set when it begins.
	unsaved *regcred.Login
	expires time.Time // of the stored login; zero: none, or never

	// Set before done is closed.
	login regcred.Login
	err   error
	done  chan struct{}
}

// learn takes in the state of a credential, where it is newer than what is known.
func (r *Refresher) learn(c regcred.Change) {
	if c.Err != nil {
		r.log.Error("a credential or its login cannot be read", "guid", c.Credential.GUID, "err", c.Err)
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
		e = &entry{guid: guid, lane: r.unknown}
		r.entries[guid] = e
	}
	e.revision = c.Revision
	if c.Err != nil {
		e.fail(c.Err, now)
	} else {
		r.update(e, c)
	}
	r.plan(e, now)
}

func (r *Refresher) update(e *entry, c regcred.Change) {
	if l := r.lane(c.Credential.Provider); l != e.lane {
		e.lane.unschedule(e)
		e.lane = l
	}
	e.provider = c.Credential.Provider
	if c.Credential.Version > e.version {
		e.version = c.Credential.Version
		e.failures, e.err, e.unsaved = 0, nil, nil
	}
	e.stored = nil
	if c.Login != nil {
		e.stored = times(*c.Login)
	}
}

// times returns a login without what it is and where it may go.
func times(l regcred.Login) *regcred.Login {
	return &regcred.Login{MintedAt: l.MintedAt, ExpiresAt: l.ExpiresAt, RenewableAt: l.RenewableAt, Version: l.Version}
}

func (r *Refresher) forget(e *entry) {
	e.lane.unschedule(e)
	delete(r.entries, e.guid)
}

// urgent is when something is due that somebody waits for: before all else.
var urgent = time.Unix(0, 0)

// plan queues an entry for when it is due. One that is being minted is planned
// when that ends.
func (r *Refresher) plan(e *entry, now time.Time) {
	switch {
	case e.minting:
	case e.attempt != nil:
		e.lane.schedule(e, urgent)
	default:
		e.lane.schedule(e, e.next(now))
	}
}

// next returns when an entry is due by itself, zero for never.
func (e *entry) next(now time.Time) time.Time {
	switch {
	case e.failures > 0:
		return e.retryAt
	case e.stored == nil || e.stored.Version < e.version:
		return now
	}
	return Due(*e.stored, e.guid)
}

// request returns the attempt that is asked for or under way, or asks for one.
func (r *Refresher) request(e *entry, fresh bool) *attempt {
	if e.attempt == nil {
		e.attempt = &attempt{done: make(chan struct{})}
		e.lane.schedule(e, urgent)
	}
	e.attempt.fresh = e.attempt.fresh || fresh && !e.minting
	return e.attempt
}

// take begins the attempt that is due first in a lane; nil where none is due.
func (r *Refresher) take(l *lane, now time.Time) (*entry, *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.untilDue(now) > 0 {
		return nil, nil
	}
	e := l.queue[0]
	a := r.request(e, false)
	l.unschedule(e)
	e.minting = true
	if !a.fresh {
		a.unsaved = e.unsaved
	}
	if e.stored != nil {
		a.expires = e.stored.ExpiresAt
	}
	return e, a
}

// land takes in how an attempt ended, plans the next one and tells who waits.
func (r *Refresher) land(ctx context.Context, e *entry, a *attempt, o outcome) {
	now := time.Now()
	r.mu.Lock()
	failures := e.failures
	e.attempt, e.minting = nil, false
	e.mints += o.mints
	if o.mints > 0 {
		e.lastMint = now
	}
	if o.err == nil {
		e.succeed(o)
	} else {
		e.unsaved = cmp.Or(o.login, e.unsaved)
		e.fail(o.err, now)
	}
	switch {
	case r.entries[e.guid] != e: // deleted meanwhile
	case o.gone:
		r.forget(e)
	default:
		r.plan(e, now)
	}
	due := e.due
	r.mu.Unlock()

	if ctx.Err() == nil {
		r.report(e.guid, o, failures, due)
	}
	if o.login != nil {
		a.login = *o.login
	} else {
		a.err = o.err
	}
	close(a.done)
}

func (e *entry) succeed(o outcome) {
	e.failures, e.err, e.unsaved = 0, nil, nil
	// The store's watch may have told of something newer already.
	if o.revision > e.revision {
		e.revision = o.revision
		e.version = o.login.Version
		e.stored = times(*o.login)
	}
}

func (e *entry) fail(err error, now time.Time) {
	e.failures++
	e.err = err
	var left time.Duration
	if e.stored != nil && !e.stored.ExpiresAt.IsZero() {
		left = e.stored.ExpiresAt.Sub(now)
	}
	e.retryAt = now.Add(Backoff(e.failures, left, jitter()))
}

// report logs how an attempt ended: a failure when it is the first one in a row,
// what follows at debug level.
func (r *Refresher) report(guid string, o outcome, failuresBefore int, due time.Time) {
	switch {
	case o.gone:
	case o.err != nil && failuresBefore == 0:
		r.log.Warn("no new login: trying again until there is one", "guid", guid, "err", o.err, "next", due)
	case o.err != nil:
		r.log.Debug("still no new login", "guid", guid, "err", o.err, "failures", failuresBefore+1, "next", due)
	case failuresBefore > 0:
		r.log.Info("a new login again", "guid", guid, "login", *o.login, "failures", failuresBefore, "next", due)
	default:
		r.log.Debug("new login", "guid", guid, "login", *o.login, "next", due)
	}
}

// Package refresh mints logins before those in use expire. It alone asks
// providers, and owns the schedule: when a login is due is a pure function of the
// login ([Due]), and so is how long to wait after a failure ([Backoff]).
//
// A Refresher hears of credentials by watching the store, and writes each login
// back to it; who needs logins reads them there. Where minting fails the last
// good login stays in the store until a better one comes.
package refresh

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"regcred.dev"
)

// Options configure a Refresher.
type Options struct {
	// Store holds the credentials and gets the logins. Required.
	Store regcred.Store
	// Providers mint logins, by the name that a credential's Provider says. The map
	// must not be changed afterwards.
	Providers map[string]regcred.Provider
	// Log gets a warning when a credential begins to fail, and a line when it works
	// again; each mint only at debug level. Nil discards them.
	Log *slog.Logger
	// Concurrency is how many mints each provider does at once. Default 16.
	Concurrency int
	// MintTimeout is how long one mint may take. Default 30 s; less while the
	// current login is about to expire, so that there is time for another try.
	MintTimeout time.Duration
}

// Refresher keeps the logins of all credentials in a store fresh. It may be used
// concurrently.
type Refresher struct {
	store   regcred.Store
	log     *slog.Logger
	timeout time.Duration

	lanes   map[string]*lane // by provider
	unknown *lane            // of credentials whose provider does not exist
	done    chan struct{}    // closed when Run ends

	// Set by Run before anything reads them.
	fence uint64
	stop  context.CancelCauseFunc

	// mu guards entries, what they point to, and the lanes' queues. It is never
	// held across I/O.
	mu      sync.Mutex
	entries map[string]*entry // by guid
	running bool              // Run was called
}

// New returns a Refresher. It does nothing before Run.
func New(o Options) *Refresher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	if o.MintTimeout <= 0 {
		o.MintTimeout = 30 * time.Second
	}
	r := &Refresher{
		store: o.Store, log: o.Log, timeout: o.MintTimeout,
		lanes:   make(map[string]*lane, len(o.Providers)),
		unknown: newLane(nil, o.Concurrency),
		done:    make(chan struct{}),
		entries: make(map[string]*entry),
	}
	for name, p := range o.Providers {
		r.lanes[name] = newLane(p, o.Concurrency)
	}
	return r
}

// Run takes a fence from the store, follows it and mints until ctx ends, and then
// waits for the mints under way. It may be called once.
//
// It returns nil when ctx ended; Stale when another process took a newer fence,
// and so took over: this one's logins are no longer accepted.
func (r *Refresher) Run(ctx context.Context) error {
	r.mu.Lock()
	again := r.running
	r.running = true
	r.mu.Unlock()
	if again {
		return errors.New("refresh: Run was called twice")
	}
	defer close(r.done)

	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	if !r.takeFence(ctx) {
		return nil
	}
	var loops sync.WaitGroup
	loops.Go(func() { r.follow(ctx) })
	loops.Go(func() { r.serve(ctx, r.unknown) })
	for _, l := range r.lanes {
		loops.Go(func() { r.serve(ctx, l) })
	}
	loops.Wait()
	if lost, ok := errors.AsType[*lostFenceError](context.Cause(ctx)); ok {
		return lost.error
	}
	return nil
}

// lostFenceError is why Run stops before its context ends.
type lostFenceError struct{ error }

// lane returns the lane of a provider.
func (r *Refresher) lane(provider string) *lane {
	if l, ok := r.lanes[provider]; ok {
		return l
	}
	return r.unknown
}

// takeFence tries until the store gives one, and reports false where ctx ended
// before.
func (r *Refresher) takeFence(ctx context.Context) bool {
	for failures := 1; ; failures++ {
		var err error
		if r.fence, err = r.store.Fence(ctx); err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		r.log.Warn("no fence from the store: no login is minted until there is one", "err", err)
		if !pause(ctx, failures) {
			return false
		}
	}
}

// follow learns what changes in the store until ctx ends.
func (r *Refresher) follow(ctx context.Context) {
	var revision uint64
	failures := 0
	for {
		for batch, err := range r.store.Watch(ctx, revision) {
			if err != nil {
				if ctx.Err() == nil {
					r.log.Warn("the store's changes cannot be followed: trying again", "err", err)
				}
				break
			}
			for _, c := range batch.Changes {
				r.learn(c)
			}
			revision, failures = batch.Revision, 0
		}
		failures++
		if !pause(ctx, failures) {
			return
		}
	}
}

// pause waits as Backoff says, and reports false where ctx ends.
func pause(ctx context.Context, failures int) bool {
	select {
	case <-time.After(Backoff(failures, 0, jitter())):
		return true
	case <-ctx.Done():
		return false
	}
}

// serve mints what is due in a lane until ctx ends, and waits for what is under way.
func (r *Refresher) serve(ctx context.Context, l *lane) {
	var mints sync.WaitGroup
	defer mints.Wait()
	for r.awaitDue(ctx, l) && l.acquire(ctx) {
		e, a := r.take(l, time.Now())
		if e == nil {
			l.release()
			continue
		}
		mints.Go(func() {
			defer l.release()
			r.land(ctx, e, a, r.renew(ctx, e.guid, a))
		})
	}
}

// awaitDue waits until something in the lane is due, and reports false where ctx
// ends.
func (r *Refresher) awaitDue(ctx context.Context, l *lane) bool {
	for ctx.Err() == nil {
		r.mu.Lock()
		wait := l.untilDue(time.Now())
		r.mu.Unlock()
		if wait <= 0 {
			return true
		}
		select {
		case <-time.After(wait):
		case <-l.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// Package refresh mints logins before those in use expire. It alone asks
// providers, and owns the schedule: when a login is due is a pure function of the
// login ([Due]), and so is how long to wait after a failure ([Backoff]).
//
// Each issuer has a lane of its own: a queue, a rate limit that gives way when it
// throttles, and a number of mints at once. A restart spreads what became due
// meanwhile. Credentials that mint equal logins share them, where their provider
// says that it may be.
//
// A Refresher hears of credentials by watching the store, and writes each login
// back to it; who needs logins reads them there. Where minting fails the last
// good login stays in the store until a better one comes.
package refresh

import (
	"context"
	"crypto/rand"
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
	// Log gets a warning when a credential begins to fail, which names the time at
	// which its last login expires; an error when that is near and one when it has
	// come; and a line when it works again. Each mint only at debug level. Nil
	// discards them.
	Log *slog.Logger
	// Concurrency is how many mints each issuer is asked for at once. Default 16.
	Concurrency int
	// MintTimeout is how long one mint may take. Default 30 s; less while the
	// current login is about to expire, so that there is time for another try.
	MintTimeout time.Duration
	// MaxAge is the longest that a login is used before it is renewed, also where its
	// expiry would allow more, or it has none. It is no lifetime: where there is no new
	// login, the old one goes on to serve. Default: no limit.
	MaxAge time.Duration
}

// Refresher keeps the logins of all credentials in a store fresh. It may be used
// concurrently.
type Refresher struct {
	store       regcred.Store
	providers   map[string]regcred.Provider
	log         *slog.Logger
	concurrency int
	timeout     time.Duration
	maxAge      time.Duration
	key         []byte                    // of sources
	jitter      func(guid string) float64 // random in [0, 1), for Backoff

	wake chan struct{} // the first of the lanes changed; one is enough
	done chan struct{} // closed when Run ends

	// Set by Run before anything reads them.
	fence uint64
	stop  context.CancelCauseFunc

	// mu guards all below, and what it points to. It is never held across I/O.
	mu       sync.Mutex
	entries  map[string]*entry // by guid
	issuers  map[issuer]*lane
	lanes    queue[*lane] // those that have something to do, by when
	groups   map[source]*group
	caughtUp bool // the store's watch has told of all that there is
	running  bool // Run was called
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
	return &Refresher{
		store: o.Store, providers: o.Providers, log: o.Log, concurrency: o.Concurrency, timeout: o.MintTimeout, maxAge: o.MaxAge,
		key: []byte(rand.Text()), jitter: jitter,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		entries: make(map[string]*entry), issuers: make(map[issuer]*lane), groups: make(map[source]*group),
		lanes: queue[*lane]{
			before: func(a, b *lane) bool { return a.next.Before(b.next) },
			moved:  func(l *lane, index int) { l.index = index },
		},
	}
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
	loops.Go(func() { r.serve(ctx) })
	loops.Go(func() { r.watchGaps(ctx) })
	loops.Wait()
	if lost, ok := errors.AsType[*lostFenceError](context.Cause(ctx)); ok {
		return lost.error
	}
	return nil
}

// lostFenceError is why Run stops before its context ends.
type lostFenceError struct{ error }

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
		if !r.pause(ctx, failures) {
			return false
		}
	}
}

// follow learns what changes in the store until ctx ends.
func (r *Refresher) follow(ctx context.Context) {
	var revision uint64
	failures, caughtUp := 0, false
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
			if batch.Current && !caughtUp {
				r.spreadOut(time.Now())
				caughtUp = true
			}
		}
		failures++
		if !r.pause(ctx, failures) {
			return
		}
	}
}

// pause waits as Backoff says, and reports false where ctx ends.
func (r *Refresher) pause(ctx context.Context, failures int) bool {
	select {
	case <-time.After(Backoff(failures, 0, r.jitter(""))):
		return true
	case <-ctx.Done():
		return false
	}
}

package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"regcred.dev"
	"regcred.dev/keyring"
)

// defaultResync is how often a target is synced where nothing happens.
const defaultResync = 5 * time.Minute

// Options configure a Runner.
type Options struct {
	// Books has the newest book. Required.
	Books *keyring.Books
	// Targets are what the book is delivered to. Their names must differ.
	Targets []Target
	// Resync is how often each target is synced although nothing is known to have
	// changed. Default 5 minutes.
	Resync time.Duration
	// Log gets a warning where a target begins to fail or to hold something, and a
	// line where it works again. Nil discards them.
	Log *slog.Logger
}

// Runner keeps targets right: it syncs each when the book has grown, when the
// target's system was changed by others, after a time in which nothing happened,
// and again after a failure. Each target has a loop of its own, so that one that
// fails or is slow delays no other. It may be used concurrently.
type Runner struct {
	loops   []*loop
	started atomic.Bool
}

// NewRunner returns a Runner. It does nothing before Run.
func NewRunner(o Options) *Runner {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resync <= 0 {
		o.Resync = defaultResync
	}
	r := &Runner{}
	for _, t := range o.Targets {
		info := t.Describe()
		r.loops = append(r.loops, &loop{
			target: t, books: o.Books, resync: o.Resync,
			log:   o.Log.With("target", info.Name),
			newer: make(chan struct{}, 1), wake: make(chan struct{}, 1),
			status: Status{Info: info, Error: notReadYet},
		})
	}
	return r
}

// Run syncs the targets until ctx ends, waits for the syncs under way, which are
// told to end too, and returns nil. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("deliver: Run was called twice")
	}
	var loops sync.WaitGroup
	for _, l := range r.loops {
		loops.Go(func() { l.run(ctx) })
	}
	loops.Wait()
	return nil
}

// Status returns that of each target, in the order of Options.
func (r *Runner) Status() []Status {
	all := make([]Status, len(r.loops))
	for i, l := range r.loops {
		all[i] = l.snapshot()
	}
	return all
}

// Confirm lets a target carry out what its status says is held, and no more than
// that; it does so at once. Errors: NotFound where there is no such target, or it
// holds nothing.
func (r *Runner) Confirm(name string) error {
	for _, l := range r.loops {
		if l.status.Name == name {
			return l.confirm()
		}
	}
	return regcred.Errorf(regcred.NotFound, "there is no target %q: the status lists them", name)
}

// Status is the state of a target.
type Status struct {
	Info
	// Report is that of the last Sync; its slices must not be changed.
	Report
	// Revision is that of the book which the target last matched, and SyncedAt is
	// when; zero: never yet.
	Revision uint64
	SyncedAt time.Time
	// Error is what may be shown of why the last Sync failed, "" where it did not.
	// Failures counts those in a row, and RetryAt is when the next try is due.
	Error    string
	Failures int
	RetryAt  time.Time
	// WatchError is what may be shown of why changes by others are noticed at the
	// next resync only, "" where they are noticed at once.
	WatchError string
}

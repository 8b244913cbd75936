package keyring

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"regcred.dev"
)

// A failed watch is tried again after a random part of a delay that doubles from
// the first to the last of these.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// errEnded is what a watch that ends without an error has run into.
var errEnded = errors.New("the watch ended")

// Watcher is what Books follows: a regcred.Store.
type Watcher interface {
	Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error]
}

// Books holds the newest Book of a store. All methods may be called
// concurrently.
type Books struct {
	// Log gets the failures of Follow; nil discards them. Set it before Follow.
	Log *slog.Logger
	// Also gets every batch before the book that it makes is there; nil: nobody does.
	// Set it before Follow.
	Also func(regcred.Batch)

	newest atomic.Pointer[Book]

	mu      sync.Mutex
	changed chan struct{} // closed by the next change of newest
}

// New returns books that hold an empty one, of the store with the id.
func New(storeID string) *Books {
	b := &Books{changed: make(chan struct{})}
	b.newest.Store(&Book{storeID: storeID})
	return b
}

// Now returns the newest book.
func (b *Books) Now() *Book { return b.newest.Load() }

// Follow keeps the newest book up to date until ctx ends, and returns ctx's
// error. Where the watch fails it calls it again, after a delay between 0 and
// 30 s; the book stays as it is meanwhile. Only one Follow may run at a time.
func (b *Books) Follow(ctx context.Context, w Watcher) error {
	delay := firstRetry
	for {
		progress, err := b.follow(ctx, w)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress {
			delay = firstRetry
		}
		pause := rand.N(delay)
		b.log().WarnContext(ctx, "watching the store failed", "err", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		delay = min(2*delay, lastRetry)
	}
}

// follow applies the batches of one watch, and returns what ended it.
func (b *Books) follow(ctx context.Context, w Watcher) (progress bool, _ error) {
	for batch, err := range w.Watch(ctx, b.Now().Revision()) {
		if err != nil {
			return progress, err
		}
		if b.Also != nil {
			b.Also(batch)
		}
		b.publish(b.Now().Apply(batch))
		progress = true
	}
	return progress, errEnded
}

func (b *Books) publish(book *Book) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest.Store(book)
	close(b.changed)
	b.changed = make(chan struct{})
}

// Wait returns the newest book once its revision is greater than after. It
// returns the newest one with ctx's error where that ends first.
func (b *Books) Wait(ctx context.Context, after uint64) (*Book, error) {
	return b.wait(ctx, func(book *Book) bool { return book.Revision() > after })
}

// WaitOrdered does the same for its Ordered.
func (b *Books) WaitOrdered(ctx context.Context, after uint64) (*Book, error) {
	return b.wait(ctx, func(book *Book) bool { return book.Ordered() > after })
}

// WaitCurrent returns the newest book once it is Current. It returns the newest
// one with ctx's error where that ends first.
func (b *Books) WaitCurrent(ctx context.Context) (*Book, error) {
	return b.wait(ctx, (*Book).Current)
}

func (b *Books) wait(ctx context.Context, enough func(*Book) bool) (*Book, error) {
	for {
		b.mu.Lock()
		book, changed := b.Now(), b.changed
		b.mu.Unlock()
		if enough(book) {
			return book, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return book, ctx.Err()
		}
	}
}

func (b *Books) log() *slog.Logger {
	if b.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.Log
}

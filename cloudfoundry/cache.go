package cloudfoundry

import (
	"context"
	"errors"
	"sync"
	"time"

	"regcred.dev"
)

// How long answers are kept, from when they were asked for. A role that was taken away
// is held no longer than that, which is well below the 60 seconds that Members may keep
// an answer.
const (
	keepAnswer = 30 * time.Second
	// keepNothing is for the answer that there is nothing: what was just granted is
	// there soon.
	keepNothing = 5 * time.Second
	// keepFailure is how long somebody who failed is left alone, unless he says so.
	keepFailure = time.Second
	// keepThrottled is the longest that somebody who throttles is left alone.
	keepThrottled = time.Minute
)

// maxEntries bounds a cache.
const maxEntries = 10_000

// cache keeps answers for a short while, and has each question asked once at a time.
type cache[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]*entry[V]
}

// entry is an answer, or one to come.
type entry[V any] struct {
	done chan struct{} // closed once the rest is set
	answer[V]
	until time.Time
}

// answer is one that was given.
type answer[V any] struct {
	value V
	err   error
	// nothing says that value is the absence of something.
	nothing bool
}

func newCache[K comparable, V any]() *cache[K, V] {
	return &cache[K, V]{entries: map[K]*entry[V]{}}
}

// get returns the answer to a question. ask outlives a caller who gives up, for others
// wait too; it has requestTimeout. Errors: those of ask; Unavailable.
func (c *cache[K, V]) get(ctx context.Context, key K, ask func(context.Context) answer[V]) (V, error) {
	e := c.entry(ctx, key, ask)
	select {
	case <-e.done:
		return e.value, e.err
	case <-ctx.Done():
		var none V
		return none, regcred.Errorf(regcred.Unavailable, "Cloud Foundry did not answer in time: %w", ctx.Err())
	}
}

// entry returns the one of a key, and begins to ask where there is none that is good.
func (c *cache[K, V]) entry(ctx context.Context, key K, ask func(context.Context) answer[V]) *entry[V] {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok && !e.over(now) {
		return e
	}
	c.makeRoom(now)
	e := &entry[V]{done: make(chan struct{})}
	c.entries[key] = e
	go e.fill(context.WithoutCancel(ctx), now, ask)
	return e
}

// makeRoom removes what is over from a cache that is full, and where that is not enough
// some other, so that it is not full again at once.
func (c *cache[K, V]) makeRoom(now time.Time) {
	if len(c.entries) < maxEntries {
		return
	}
	for key, e := range c.entries {
		if e.over(now) {
			delete(c.entries, key)
		}
	}
	for key := range c.entries {
		if len(c.entries) < maxEntries*9/10 {
			return
		}
		delete(c.entries, key)
	}
}

func (e *entry[V]) over(now time.Time) bool {
	select {
	case <-e.done:
		return !now.Before(e.until)
	default:
		return false
	}
}

func (e *entry[V]) fill(ctx context.Context, now time.Time, ask func(context.Context) answer[V]) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e.answer = ask(ctx)
	if errors.Is(e.err, context.DeadlineExceeded) {
		e.err = regcred.Errorf(regcred.Unavailable, "Cloud Foundry did not answer within %s", requestTimeout)
	}
	e.until = until(now, time.Now(), e.err, e.nothing)
	close(e.done)
}

// until returns how long an answer is kept that was asked for and given at these times.
func until(asked, given time.Time, err error, nothing bool) time.Time {
	own, isOwn := errors.AsType[*regcred.Error](err)
	switch {
	case isOwn && own.Code == regcred.Throttled:
		return given.Add(min(max(own.RetryAfter, keepFailure), keepThrottled))
	case err != nil:
		return given.Add(keepFailure)
	case nothing:
		return asked.Add(keepNothing)
	}
	return asked.Add(keepAnswer)
}

package registry

import (
	"container/list"
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// cache is Blobs that remembers small objects for the Server, which answers most
// requests from a few of them. What writes reads the Blobs themselves.
//
// What is remembered is looked at again before it is used: where the Blobs are a
// Stamper, whether the object has still the same stamp; elsewhere, whether it was
// read no longer than maxAge ago. A write through the cache is seen at once.
type cache struct {
	Blobs
	stamper Stamper // nil where the Blobs are none
	maxAge  time.Duration
	bound   int64 // bytes

	mu    sync.Mutex
	size  int64                    // bytes
	known map[string]*list.Element // of *remembered
	used  list.List                // the last used first
	// writes counts the writes to keys by a hash of the key: what was read while
	// its key was written to is not remembered.
	writes [256]uint64
	seed   maphash.Seed
}

// remembered is an object as it was read.
type remembered struct {
	key   string
	value any
	size  int64
	stamp Stamp
	at    time.Time
}

// rememberedSize is what an entry takes beside its content, in bytes, roughly.
const rememberedSize = 512

// settled is how old a stamp has to be to be relied on: of two changes shortly
// after another, a file system's clock may give both the same time.
const settled = time.Second

func newCache(blobs Blobs, bound int64, maxAge time.Duration) *cache {
	c := &cache{Blobs: blobs, maxAge: maxAge, bound: bound, known: map[string]*list.Element{}, seed: maphash.MakeSeed()}
	c.stamper, _ = blobs.(Stamper)
	return c
}

// Put implements Blobs.
func (c *cache) Put(ctx context.Context, key string, data []byte, condition Condition) error {
	defer c.forget(key) // after an error it may be written, too
	return c.Blobs.Put(ctx, key, data, condition)
}

// Delete implements Blobs.
func (c *cache) Delete(ctx context.Context, key string, condition Condition) error {
	defer c.forget(key)
	return c.Blobs.Delete(ctx, key, condition)
}

// recall returns what parse makes of an object, remembered or read now. Errors:
// those of Blobs.Read and of parse.
func recall[T any](ctx context.Context, c *cache, key string, parse func(key string, data []byte) (T, error)) (T, error) {
	var none T
	found, writes := c.look(key)
	var stamp Stamp
	if c.stamper != nil {
		var err error
		if stamp, err = c.stamper.Stamp(ctx, key); err != nil {
			return none, err
		}
	}
	now := time.Now()
	if found != nil && c.holds(found, stamp, now) {
		return found.value.(T), nil
	}
	value, size, err := readParsed(ctx, c, key, parse)
	if err != nil {
		return none, err
	}
	if c.stamper == nil || now.Sub(stamp.ChangedAt) > settled {
		c.remember(&remembered{key: key, value: value, size: size, stamp: stamp, at: now}, writes)
	}
	return value, nil
}

// recallFixed is recall for what never changes: content by its digest.
func recallFixed[T any](ctx context.Context, c *cache, key string, parse func(key string, data []byte) (T, error)) (T, error) {
	found, writes := c.look(key)
	if found != nil {
		return found.value.(T), nil
	}
	value, size, err := readParsed(ctx, c, key, parse)
	if err == nil {
		c.remember(&remembered{key: key, value: value, size: size}, writes)
	}
	return value, err
}

func readParsed[T any](ctx context.Context, c *cache, key string, parse func(key string, data []byte) (T, error)) (T, int64, error) {
	data, _, err := c.Read(ctx, key)
	if err != nil {
		var none T
		return none, 0, err
	}
	value, err := parse(key, data)
	return value, int64(len(key)+len(data)) + rememberedSize, err
}

// holds reports whether an object is still what was read.
func (c *cache) holds(r *remembered, stamp Stamp, now time.Time) bool {
	if c.stamper != nil {
		return r.stamp == stamp
	}
	return now.Sub(r.at) < c.maxAge
}

// look returns what is known of a key, nil for nothing, and how often it was
// written to.
func (c *cache) look(key string) (*remembered, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	writes := *c.writesOf(key)
	element := c.known[key]
	if element == nil {
		return nil, writes
	}
	c.used.MoveToFront(element)
	return element.Value.(*remembered), writes
}

// remember keeps an object, unless its key was written to since it was looked up,
// and forgets those that were not used for longest.
func (c *cache) remember(r *remembered, writes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *c.writesOf(r.key) != writes || r.size > c.bound {
		return
	}
	c.drop(c.known[r.key])
	c.known[r.key] = c.used.PushFront(r)
	for c.size += r.size; c.size > c.bound; {
		c.drop(c.used.Back())
	}
}

// forget drops a key, which was written to.
func (c *cache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.writesOf(key)++
	c.drop(c.known[key])
}

// drop drops an entry, if it is one. The caller holds the lock.
func (c *cache) drop(element *list.Element) {
	if element == nil {
		return
	}
	r := c.used.Remove(element).(*remembered)
	delete(c.known, r.key)
	c.size -= r.size
}

func (c *cache) writesOf(key string) *uint64 {
	return &c.writes[maphash.String(c.seed, key)%uint64(len(c.writes))]
}

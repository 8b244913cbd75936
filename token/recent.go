package token

import (
	"sync"
	"time"
)

// recent remembers what was found out a short while ago, within a bound of memory.
type recent[K comparable, V any] struct {
	lifetime time.Duration
	bound    int64 // bytes

	mu sync.Mutex
	// newer takes what is added, until it has half of the bound: it then becomes older,
	// and what was older is forgotten.
	newer, older map[K]found[V]
	size         int64 // bytes of newer
}

type found[V any] struct {
	value V
	at    time.Time
	size  int64 // bytes, roughly
}

// get returns what was added for a key, if that was less than the lifetime ago.
func (r *recent[K, V]) get(now time.Time, key K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.newer[key]
	if !ok {
		if f, ok = r.older[key]; ok {
			r.put(key, f) // it is in use
		}
	}
	age := now.Sub(f.at)
	if !ok || age < 0 || age >= r.lifetime {
		var none V
		return none, false
	}
	return f.value, true
}

// add remembers a value that takes about size bytes.
func (r *recent[K, V]) add(now time.Time, key K, value V, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(key, found[V]{value, now, size})
}

// put adds to newer. The caller holds the lock.
func (r *recent[K, V]) put(key K, f found[V]) {
	if r.newer == nil || r.size+f.size > r.bound/2 {
		r.older, r.newer, r.size = r.newer, map[K]found[V]{}, 0
	}
	r.size += f.size - r.newer[key].size
	r.newer[key] = f
}

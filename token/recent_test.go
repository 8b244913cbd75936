package token

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRecent compares recent with a map that forgets nothing: what it returns was
// added, is the newest of its key and not too old; and it stays within its bound.
func TestRecent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const lifetime, bound = 10 * time.Second, 20
		type added struct {
			value int
			at    time.Time
		}
		r := recent[int, int]{lifetime: lifetime, bound: bound}
		all, now, next := map[int]added{}, time.Now(), 0
		keys := rapid.IntRange(0, 9)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				next++
				r.add(now, key, next, rapid.Int64Range(1, bound/2).Draw(t, "size"))
				all[key] = added{next, now}
				if value, ok := r.get(now, key); !ok || value != next {
					t.Fatalf("just added, it is %d, %v", value, ok)
				}
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(lifetime)).Draw(t, "time")))
			},
			"get": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				value, ok := r.get(now, key)
				if a, was := all[key]; ok && (!was || a.value != value || now.Before(a.at) || now.Sub(a.at) >= lifetime) {
					t.Fatalf("it is %d, but %+v was added, at %s", value, a, now)
				}
			},
			"": func(t *rapid.T) {
				for _, m := range []map[int]found[int]{r.newer, r.older} {
					var size int64
					for _, f := range m {
						size += f.size
					}
					if size > bound/2 {
						t.Fatalf("it takes %d bytes twice, of %d", size, bound)
					}
				}
			},
		})
	})
}

// TestRecentInUse holds that what is asked for stays, whatever else comes.
func TestRecentInUse(t *testing.T) {
	r := recent[int, int]{lifetime: time.Hour, bound: 20}
	now := time.Now()
	r.add(now, -1, 7, 1)
	for i := range 1000 {
		r.add(now, i, i, 1)
		if value, ok := r.get(now, -1); !ok || value != 7 {
			t.Fatalf("after %d others it is forgotten", i+1)
		}
	}
	if n := len(r.newer) + len(r.older); n > 20 {
		t.Errorf("%d are remembered", n)
	}
}

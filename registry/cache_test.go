package registry

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// mapBlobs is as much of Blobs as a cache needs, and counts the reads.
type mapBlobs struct {
	Blobs
	mu      sync.Mutex
	objects map[string][]byte
	reads   int
	// reading, if set, is called in the middle of each read.
	reading func()
}

func (m *mapBlobs) Read(_ context.Context, key string) ([]byte, string, error) {
	m.mu.Lock()
	m.reads++
	data, ok := m.objects[key]
	m.mu.Unlock()
	if m.reading != nil {
		m.reading()
	}
	if !ok {
		return nil, "", regcred.Errorf(regcred.NotFound, "there is no object %s", key)
	}
	return data, "", nil
}

func (m *mapBlobs) Put(_ context.Context, key string, data []byte, _ Condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = data
	return nil
}

func (m *mapBlobs) Delete(_ context.Context, key string, _ Condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func bytesOf(_ string, data []byte) ([]byte, error) { return data, nil }

// wantRecall recalls k and wants its content, "" for NotFound, by so many reads.
func wantRecall(t *testing.T, c *cache, m *mapBlobs, want string, reads int) {
	t.Helper()
	before := m.reads
	data, err := recall(t.Context(), c, "k", bytesOf)
	if want == "" {
		if regcred.CodeOf(err) != regcred.NotFound {
			t.Errorf("recalled %q, %v", data, err)
		}
	} else if err != nil || string(data) != want {
		t.Errorf("recalled %q, %v, want %q", data, err, want)
	}
	if m.reads-before != reads {
		t.Errorf("%d reads for %q, want %d", m.reads-before, want, reads)
	}
}

// TestCacheAge holds for how long what others change is not seen, and that what is
// changed here is seen at once.
func TestCacheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mapBlobs{objects: map[string][]byte{"k": []byte("old")}}
		c := newCache(m, 1<<20, time.Second)
		wantRecall(t, c, m, "old", 1)
		m.objects["k"] = []byte("new") // by another process
		time.Sleep(time.Second - 1)
		wantRecall(t, c, m, "old", 0)
		time.Sleep(time.Nanosecond)
		wantRecall(t, c, m, "new", 1)
		if err := c.Put(t.Context(), "k", []byte("newer"), Condition{}); err != nil {
			t.Fatal(err)
		}
		wantRecall(t, c, m, "newer", 1)
		wantRecall(t, c, m, "newer", 0)
		if err := c.Delete(t.Context(), "k", Condition{}); err != nil {
			t.Fatal(err)
		}
		wantRecall(t, c, m, "", 1)
		wantRecall(t, c, m, "", 1) // that something is not there is not remembered
	})
}

// TestCacheReadDuringWrite writes while the old content is being read: that must
// not be remembered.
func TestCacheReadDuringWrite(t *testing.T) {
	m := &mapBlobs{objects: map[string][]byte{"k": []byte("old")}}
	c := newCache(m, 1<<20, time.Hour)
	m.reading = func() {
		m.reading = nil
		if err := c.Put(t.Context(), "k", []byte("new"), Condition{}); err != nil {
			t.Error(err)
		}
	}
	wantRecall(t, c, m, "old", 1)
	wantRecall(t, c, m, "new", 1)
	wantRecall(t, c, m, "new", 0)
}

func TestCacheBound(t *testing.T) {
	m := &mapBlobs{objects: map[string][]byte{}}
	const entry = 1000 + 3 + rememberedSize
	c := newCache(m, 10*entry, time.Hour)
	for i := range 30 {
		key := fmt.Sprintf("k%02d", i)
		m.objects[key] = bytes.Repeat([]byte("x"), 1000)
		if _, err := recall(t.Context(), c, key, bytesOf); err != nil {
			t.Fatal(err)
		}
		if _, err := recall(t.Context(), c, "k00", bytesOf); err != nil { // in use: it stays
			t.Fatal(err)
		}
		if len(c.known) > 10 || c.size != int64(len(c.known)*entry) || c.used.Len() != len(c.known) {
			t.Fatalf("%d objects of %d bytes are remembered", len(c.known), c.size)
		}
	}
	if len(c.known) != 10 || c.known["k00"] == nil || c.known["k01"] != nil || c.known["k29"] == nil || m.reads != 30 {
		t.Errorf("%d objects are remembered, after %d reads", len(c.known), m.reads)
	}
	m.objects["large"] = make([]byte, 10*entry)
	if _, err := recallFixed(t.Context(), c, "large", bytesOf); err != nil || len(c.known) != 10 {
		t.Errorf("%v; %d objects are remembered beside one that is too large", err, len(c.known))
	}
}

func TestCacheOff(t *testing.T) {
	for name, c := range map[string]func(m *mapBlobs) *cache{
		"no memory": func(m *mapBlobs) *cache { return newCache(m, -1, time.Hour) },
		"no age":    func(m *mapBlobs) *cache { return newCache(m, 1<<20, -1) },
	} {
		m := &mapBlobs{objects: map[string][]byte{"k": []byte("x")}}
		cache := c(m)
		for range 3 {
			wantRecall(t, cache, m, "x", 1)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestCacheParseFails holds that what cannot be read is not remembered.
func TestCacheParseFails(t *testing.T) {
	m := &mapBlobs{objects: map[string][]byte{"k": []byte("{")}}
	c := newCache(m, 1<<20, time.Hour)
	for range 2 {
		if _, err := recall(t.Context(), c, "k", parseJSON[link]); regcred.CodeOf(err) != regcred.Corrupt {
			t.Error(err)
		}
	}
	if len(c.known) != 0 {
		t.Error("damage is remembered")
	}
}

// stamped is mapBlobs with stamps.
type stamped struct {
	mapBlobs
	stamp Stamp
}

func (s *stamped) Stamp(context.Context, string) (Stamp, error) { return s.stamp, nil }

// TestCacheStamps holds that only an old stamp is relied on: a file system's clock
// may give two changes that follow upon each other the same.
func TestCacheStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stamped{mapBlobs: mapBlobs{objects: map[string][]byte{"k": []byte("x")}}, stamp: Stamp{File: 1, ChangedAt: time.Now()}}
		c := newCache(s, 1<<20, time.Hour)
		wantRecall(t, c, &s.mapBlobs, "x", 1)
		time.Sleep(settled)
		wantRecall(t, c, &s.mapBlobs, "x", 1)
		time.Sleep(time.Nanosecond)
		wantRecall(t, c, &s.mapBlobs, "x", 1)
		wantRecall(t, c, &s.mapBlobs, "x", 0)
		s.objects["k"], s.stamp.File = []byte("y"), 2
		wantRecall(t, c, &s.mapBlobs, "y", 1)
		s.stamp.ChangedAt = time.Now().Add(time.Hour) // another machine's clock
		wantRecall(t, c, &s.mapBlobs, "y", 1)
		wantRecall(t, c, &s.mapBlobs, "y", 1)
	})
}

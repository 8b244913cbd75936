package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"regcred.dev/registry"
	"regcred.dev/registry/blob"
)

// TestKillCollect kills a collector before or after one of its writes, again and again
// over the same storage, and pushes in between what it was about to delete, among
// others. Every push that was acknowledged stays whole, and in the end nothing is left
// that is not needed.
func TestKillCollect(t *testing.T) {
	dir := t.TempDir()
	s := hastyStorage(openDir(t, dir))
	random := rand.New(rand.NewPCG(1, 2))
	var kept []string
	killed := 0
	for round := range killPoints(t) / 4 {
		keep, drop := fmt.Sprint("keep-", round), fmt.Sprint("drop-", round)
		for _, tag := range []string{keep, drop} {
			if err := pushKillImage(s, "a", tag, random); err != nil {
				t.Fatal(err)
			}
		}
		kept = append(kept, keep)
		if err := s.DeleteTag(t.Context(), "a", drop); err != nil {
			t.Fatal(err)
		}
		if len(runChild(t, dir, "collect", round)) == 0 {
			killed++
		}
		checkImage(t, s, "a", keep)
		for p, err := range s.Check(t.Context(), registry.CheckOptions{}) {
			if err != nil || !p.Kind.Harmless() {
				t.Errorf("round %d: %+v, %v", round, p, err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d collectors were killed before they were done", killed)
	if killed == 0 {
		t.Error("none was killed before it was done: the test shows nothing")
	}
	for _, tag := range kept {
		checkImage(t, s, "a", tag)
	}
	for range 3 {
		if _, err := s.Collect(t.Context(), registry.CollectOptions{Grace: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if left := problems(t, s, true); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
	if left := fileNames(t, filepath.Join(dir, "objects", "condemned")); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
}

// hastyStorage is one that waits for nothing: nobody pushes while it collects.
func hastyStorage(b registry.Blobs) *registry.Storage {
	s := registry.NewStorage(b, registry.StorageOptions{Policy: registry.Policy{
		{Pattern: "*", Keep: &registry.Retention{Untagged: 1}},
	}})
	s.SetTiming(1, 1)
	return s
}

// collectUntilKilled is a child. It kills itself before or after one of its writes, or
// says that it is done and kills itself then.
func collectUntilKilled(dir string, seed uint64) error {
	d, err := blob.Open(dir)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 3))
	m := &mortal{Blobs: d, after: random.IntN(2) == 0}
	m.left.Store(random.Int64N(14))
	s := hastyStorage(m)
	for range 2 {
		if _, err := s.Collect(ctx, registry.CollectOptions{Grace: 1}); err != nil {
			return err
		}
	}
	fmt.Println("done")
	return die()
}

func die() error {
	err := syscall.Kill(os.Getpid(), syscall.SIGKILL)
	if err == nil {
		select {} // it does not return from that for long
	}
	return err
}

// mortal is Blobs whose process is killed at a write.
type mortal struct {
	registry.Blobs
	left  atomic.Int64 // writes
	after bool         // that write is done
}

func (m *mortal) write(do func() error) error {
	last := m.left.Add(-1) == -1
	if last && !m.after {
		_ = die()
	}
	err := do()
	if last {
		_ = die()
	}
	return err
}

func (m *mortal) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	return m.write(func() error { return m.Blobs.Put(ctx, key, data, c) })
}

func (m *mortal) Delete(ctx context.Context, key string, c registry.Condition) error {
	return m.write(func() error { return m.Blobs.Delete(ctx, key, c) })
}

package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/store/memory"
)

func TestStore(t *testing.T) {
	regcredtest.TestStore(t, func(*testing.T) regcred.Store { return memory.New() })
}

// TestResume goes on from a store that has ended.
func TestResume(t *testing.T) {
	first := memory.New()
	c, err := first.Create(t.Context(), regcred.Credential{GUID: "one", Provider: "vendor"})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	const after = 1_795_000_000_000 // as Unix time in milliseconds
	s := memory.Resume(first.ID(), after)
	for batch, err := range s.Watch(t.Context(), 0) {
		if err != nil || !batch.Current || batch.Revision != after || len(batch.Changes) > 0 {
			t.Errorf("an empty store showed %+v, %v", batch, err)
		}
		break
	}
	again, err := s.Create(t.Context(), regcred.Credential{GUID: "one", Provider: "vendor"})
	if err != nil || again.Revision != after+1 || again.Revision <= c.Revision || s.ID() != first.ID() {
		t.Errorf("store %s at revision %d (%v), want %s above %d", s.ID(), again.Revision, err, first.ID(), after)
	}
	for batch, err := range s.Watch(t.Context(), 0) {
		if err != nil || len(batch.Changes) != 1 || batch.Changes[0].Revision != after+1 {
			t.Errorf("after a change it showed %+v, %v", batch, err)
		}
		break
	}
}

// TestBubble uses the store in a synctest bubble: a Watch waits durably there,
// and ends without leaving a goroutine.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		ctx, cancel := context.WithCancel(t.Context())
		var seen []uint64
		var end error
		go func() {
			for batch, err := range s.Watch(ctx, 0) {
				seen, end = append(seen, batch.Revision), err
			}
		}()
		synctest.Wait()
		if _, err := s.Create(t.Context(), regcred.Credential{Provider: "vendor"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(seen) != 2 || seen[1] != 1 {
			t.Errorf("a Watch in a bubble saw revisions %d", seen)
		}
		cancel()
		synctest.Wait()
		if !errors.Is(end, context.Canceled) {
			t.Errorf("it ended with %v", end)
		}
	})
}

// BenchmarkCreate shows the cost of a change while a watcher follows.
func BenchmarkCreate(b *testing.B) {
	s := memory.New()
	defer s.Close()
	go func() {
		for _, err := range s.Watch(b.Context(), 0) {
			if err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		if _, err := s.Create(b.Context(), regcred.Credential{Provider: "vendor"}); err != nil {
			b.Fatal(err)
		}
	}
}

package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"regcred.dev"
	"regcred.dev/seal"
)

// newStore opens a new store, which is closed with the test.
func newStore(t *testing.T) *Store {
	t.Helper()
	k, err := seal.NewKey(make([]byte, seal.RootSize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "regcred.db"), Keys: seal.Keys{k}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// together makes changes in one transaction, as they wait while another one has
// the turn, and returns the error of each.
func (s *Store) together(changes ...func(*writeTx) error) []error {
	s.queue.turn <- struct{}{}
	var batch []*pending
	for _, do := range changes {
		p := &pending{do: do, done: make(chan struct{})}
		s.queue.add(p)
		batch = append(batch, p)
	}
	s.writeAll()
	var errs []error
	for _, p := range batch {
		<-p.done
		errs = append(errs, p.err)
	}
	return errs
}

// add returns a change that adds to the store's fence.
func add(n int) func(*writeTx) error {
	return func(tx *writeTx) error { return tx.exec(`UPDATE meta SET fence = fence + ?`, n) }
}

// then returns a change that does more and fails.
func then(do func(*writeTx) error, query string, err error) func(*writeTx) error {
	return func(tx *writeTx) error { return errors.Join(do(tx), tx.exec(query), err) }
}

func (s *Store) wantFence(t *testing.T, want int) {
	t.Helper()
	var got int
	if err := s.readers.QueryRow(`SELECT fence FROM meta`).Scan(&got); err != nil || got != want {
		t.Errorf("the fence is %d, %v; want %d", got, err, want)
	}
}

// TestTogether: one change that is refused leaves no trace, and no other one out.
func TestTogether(t *testing.T) {
	s, refusal := newStore(t), errors.New("refused")
	changed := s.changed.Next()
	errs := s.together(add(1), then(add(10), `UPDATE meta SET revision = revision + 1`, refusal), add(100))
	if errs[0] != nil || !errors.Is(errs[1], refusal) || errs[2] != nil {
		t.Errorf("the errors are %v", errs)
	}
	s.wantFence(t, 101)
	select {
	case <-changed:
		t.Error("a change without a revision woke the watchers")
	default:
	}
	errs = s.together(add(1), func(tx *writeTx) error { _, err := tx.nextRevision(); return err })
	if errors.Join(errs...) != nil {
		t.Errorf("the errors are %v", errs)
	}
	<-changed
	s.wantFence(t, 102)
}

// TestTogetherOrNone: where the database ends the transaction, as it does on a full
// disk, no change is made, also none that comes after, and all callers are told.
func TestTogetherOrNone(t *testing.T) {
	s, cause := newStore(t), errors.New("the disk is full")
	errs := s.together(add(1), then(add(10), `ROLLBACK`, cause), add(100))
	for i, err := range errs {
		if err == nil {
			t.Errorf("change %d was acknowledged", i)
		}
	}
	s.wantFence(t, 0)
	if errs := s.together(add(1000)); errs[0] != nil {
		t.Errorf("the next change: %v", errs[0])
	}
	s.wantFence(t, 1000)
}

// TestPanicAmidWrites: the other callers are told, and the next one gets the turn.
func TestPanicAmidWrites(t *testing.T) {
	s := newStore(t)
	other := &pending{do: add(1), done: make(chan struct{})}
	s.queue.add(other)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.write(t.Context(), func(*writeTx) error { panic("a fault of the caller") })
	}()
	if <-other.done; other.err == nil {
		t.Error("a change beside it was acknowledged")
	}
	if err := s.write(t.Context(), add(10)); err != nil {
		t.Error(err)
	}
	s.wantFence(t, 10)
}

// TestWaitEnds: a change whose caller went away before it began is not made.
func TestWaitEnds(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun := func(*writeTx) error {
		waiting := make(chan error)
		go func() { waiting <- s.write(ctx, add(1)) }()
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that went away got %v", err)
		}
		return nil
	}
	if err := s.write(t.Context(), begun); err != nil {
		t.Error(err)
	}
	if left := s.queue.take(); len(left) > 0 {
		t.Errorf("%d changes still wait", len(left))
	}
	s.wantFence(t, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), add(1)); regcred.CodeOf(err) != regcred.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"

	"modernc.org/sqlite"
)

// errAbandoned is what other callers get where the function of one panics.
var errAbandoned = errors.New("a write ended before its time")

// queue has the changes that wait for the writer. Whoever gets the turn makes all
// of them in one transaction, so that they share the wait for the disk.
type queue struct {
	turn chan struct{} // of capacity 1: holds a value while somebody writes

	mu      sync.Mutex
	waiting []*pending
}

// pending is a change that waits, is being made, or was made.
type pending struct {
	do   func(*writeTx) error
	err  error         // set before done is closed
	done chan struct{} // closed once the change is on disk, or was refused
}

func (q *queue) add(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
}

// take empties the queue.
func (q *queue) take() []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting = nil
	return batch
}

// withdraw takes one change out of the queue, and reports whether it was there.
func (q *queue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, p)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// write makes the change that do does, together with those that wait beside it. It
// is on disk when write returns nil, and not made at all where there is an error. It
// wakes the watchers where do took a revision. ctx bounds the wait for the writer;
// what has begun is not interrupted.
func (s *Store) write(ctx context.Context, do func(*writeTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &pending{do: do, done: make(chan struct{})}
	s.queue.add(p)
	select {
	case <-p.done:
	case s.queue.turn <- struct{}{}:
		s.writeAll() // this one too, unless that is done already
	case <-ctx.Done():
		if s.queue.withdraw(p) {
			return ctx.Err()
		}
	}
	<-p.done
	return s.fault(ctx, p.err)
}

// writeAll makes all changes that wait, and gives up the turn.
func (s *Store) writeAll() {
	defer func() { <-s.queue.turn }()
	batch, failure := s.queue.take(), errAbandoned
	defer func() {
		for _, p := range batch {
			if failure != nil { // also where it was refused: what it saw was not stored
				p.err = failure
			}
			close(p.done)
		}
	}()
	var revised bool
	if revised, failure = s.commit(batch); revised {
		s.changed.Notify()
	}
}

// commit makes changes in one transaction. One that is refused leaves no trace, and
// its error with it; where the database itself fails, none is made.
func (s *Store) commit(batch []*pending) (revised bool, err error) {
	if len(batch) == 0 {
		return false, nil
	}
	ctx := context.Background()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // it is of no use after a commit
	w := &writeTx{ctx: ctx, tx: tx}
	for _, p := range batch {
		if p.err, err = w.try(p.do); err != nil {
			return false, err
		}
	}
	if err := tx.Commit(); err != nil {
		return false, err
	}
	return w.revised, nil
}

// try makes one change or, where it is refused, none. err says that the transaction
// cannot go on.
func (w *writeTx) try(do func(*writeTx) error) (refused, err error) {
	before := w.revised
	if err := w.exec(`SAVEPOINT change`); err != nil {
		return nil, err
	}
	if refused = do(w); refused == nil {
		return nil, w.exec(`RELEASE change`)
	}
	w.revised = before
	if err := w.exec(`ROLLBACK TO change; RELEASE change`); err != nil {
		// A full disk, for one, ends the whole transaction.
		if cause, ok := errors.AsType[*sqlite.Error](refused); ok {
			err = cause
		}
		return refused, err
	}
	return refused, nil
}

package rules

import (
	"context"
	"iter"

	"regcred.dev"
)

// A Source is what a Watch reads from. Nothing of the store is held while the
// watcher has a batch.
type Source struct {
	// Read returns the first changes after a revision: at most BatchSize of them,
	// oldest first.
	Read func(ctx context.Context, after uint64) (regcred.Batch, error)
	// Changed is notified after each change.
	Changed *Signal
	// Closed is closed with the store.
	Closed <-chan struct{}
}

// Watch is regcred.Store's Watch. It ends with Stale where after is greater than
// the store's revision.
func (s Source) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		err := s.follow(ctx, after, func(b regcred.Batch) bool { return yield(b, nil) })
		if err != nil {
			yield(regcred.Batch{}, err)
		}
	}
}

// follow yields batches until there is an error. It returns nil where the watcher
// has left.
func (s Source) follow(ctx context.Context, after uint64, yield func(regcred.Batch) bool) error {
	for caughtUp := false; ; {
		next := s.Changed.Next() // before the read, so that no change falls between
		batch, err := s.Read(ctx, after)
		if err != nil {
			return err
		}
		if batch.Revision < after {
			return Ahead(after, batch.Revision)
		}
		news := len(batch.Changes) > 0 || batch.Current && !caughtUp
		if news && !yield(batch) {
			return nil
		}
		after = batch.Revision
		if !batch.Current {
			continue
		}
		caughtUp = true
		select {
		case <-next:
		case <-s.Closed:
			return Closed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

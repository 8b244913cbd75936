package rules

import (
	"context"
	"iter"

	"regcred.dev"
)

// Watch is regcred.Store's Watch over a store's read, which returns the first
// changes after a revision: at most BatchSize of them, oldest first. changed is
// notified after each change, closed is closed with the store. Nothing of the
// store is held while the caller has a batch.
func Watch(ctx context.Context, after uint64, changed *Signal, closed <-chan struct{},
	read func(ctx context.Context, after uint64) (regcred.Batch, error),
) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		after, first := after, true
		for {
			next := changed.Next()
			batch, err := read(ctx, after)
			if err == nil && batch.Revision < after {
				err = Ahead(after, batch.Revision)
			}
			if err != nil {
				yield(regcred.Batch{}, err)
				return
			}
			if after = batch.Revision; len(batch.Changes) > 0 || first && batch.Current {
				if !yield(batch, nil) {
					return
				}
			}
			if !batch.Current {
				continue
			}
			first = false
			select {
			case <-next:
			case <-closed:
				yield(regcred.Batch{}, Closed())
				return
			case <-ctx.Done():
				yield(regcred.Batch{}, ctx.Err())
				return
			}
		}
	}
}

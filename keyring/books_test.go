package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/keyring"
)

// watcher yields what its script says at each call.
type watcher struct {
	calls []call
	watch func(n int, ctx context.Context, after uint64, yield func(regcred.Batch, error) bool)
}

type call struct {
	at    time.Time
	after uint64
}

func (w *watcher) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		w.calls = append(w.calls, call{time.Now(), after})
		w.watch(len(w.calls), ctx, after, yield)
	}
}

func TestFollowRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failures = 12
		w := &watcher{watch: func(n int, ctx context.Context, _ uint64, yield func(regcred.Batch, error) bool) {
			switch {
			case n == 1:
				if !yield(regcred.Batch{Changes: []regcred.Change{change(t, credential{"c", org, "quay.io", nil}, 5)}, Revision: 5}, nil) {
					return
				}
				yield(regcred.Batch{}, errors.New("the disk is gone"))
			case n <= failures:
				if n%2 == 0 {
					yield(regcred.Batch{}, errors.New("still gone"))
				}
			default:
				yield(regcred.Batch{Revision: 6, Current: true}, nil)
				<-ctx.Done()
				yield(regcred.Batch{}, ctx.Err())
			}
		}}
		var log bytes.Buffer
		books := keyring.New("store-1")
		books.Log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- books.Follow(ctx, w) }()

		b, err := books.WaitCurrent(ctx)
		if err != nil || b.Revision() != 6 || b.Len() != 1 || b.StoreID() != "store-1" {
			t.Errorf("got revision %d, %d credentials of %q, %v", b.Revision(), b.Len(), b.StoreID(), err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow returned %v", err)
		}
		if len(w.calls) != failures+1 {
			t.Fatalf("watched %d times, want %d", len(w.calls), failures+1)
		}
		for i, c := range w.calls[1:] {
			if c.after != 5 {
				t.Errorf("call %d: after %d, want what was known, 5", i+2, c.after)
			}
			limit := min(500*time.Millisecond<<i, 30*time.Second)
			if pause := c.at.Sub(w.calls[i].at); pause >= limit {
				t.Errorf("call %d came after %v, want less than %v", i+2, pause, limit)
			}
		}
		if took := w.calls[failures].at.Sub(w.calls[0].at); took < time.Second {
			t.Errorf("%d failures took %v: it hardly waited", failures, took)
		}
		if got := strings.Count(log.String(), "watching the store failed"); got != failures {
			t.Errorf("logged %d failures, want %d:\n%s", got, failures, log.String())
		}
	})
}

func TestFollowEndsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{watch: func(_ int, _ context.Context, _ uint64, yield func(regcred.Batch, error) bool) {
			yield(regcred.Batch{}, errors.New("gone"))
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := keyring.New("s").Follow(ctx, w); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := len(w.calls); n < 120 || n > 3600 {
			t.Errorf("tried %d times in an hour", n)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiters, last = 100, 10
		books := keyring.New("s")
		w := &watcher{watch: func(_ int, ctx context.Context, _ uint64, yield func(regcred.Batch, error) bool) {
			for r := range uint64(last) {
				time.Sleep(time.Second)
				if !yield(regcred.Batch{Revision: r + 1, Current: true}, nil) {
					return
				}
			}
			<-ctx.Done()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var following, waiting sync.WaitGroup
		following.Go(func() { _ = books.Follow(ctx, w) })
		for i := range waiters {
			after := uint64(i % last)
			waiting.Go(func() {
				b, err := books.Wait(ctx, after)
				if err != nil || b.Revision() <= after {
					t.Errorf("after %d: got revision %d, %v", after, b.Revision(), err)
				}
			})
		}
		waiting.Wait()

		short, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		if b, err := books.Wait(short, last); !errors.Is(err, context.DeadlineExceeded) || b.Revision() != last {
			t.Errorf("got %d, %v; want the newest book and the deadline", b.Revision(), err)
		}
		cancel()
		following.Wait()
	})
}

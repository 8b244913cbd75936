package review

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// TestTurns: a client that asks without end gets what is left over, and no more.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(10, 20)
		hog, cancel := context.WithCancel(ClientContext(t.Context(), "192.0.2.1"))
		var hogs sync.WaitGroup
		var refused, served int
		var mu sync.Mutex
		for range 500 {
			hogs.Go(func() {
				err := all.wait(hog)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					served++
				} else if refused++; regcred.CodeOf(err) != regcred.Unavailable {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if served != 20 || refused != 500-20-maxWaiting {
			t.Errorf("at once %d are served and %d refused", served, refused)
		}
		for _, client := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.2"} {
			began := time.Now()
			if err := all.wait(ClientContext(t.Context(), client)); err != nil || time.Since(began) > 300*time.Millisecond {
				t.Errorf("%s waits %s, %v", client, time.Since(began), err)
			}
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		if served < 20+40 || served > 20+60 {
			t.Errorf("after 5 s %d are served", served)
		}
		mu.Unlock()
		cancel()
		hogs.Wait()
		// Turns that nobody waits for any more are not waited for.
		began := time.Now()
		if err := all.wait(t.Context()); err != nil || time.Since(began) > 300*time.Millisecond {
			t.Errorf("after all have gone it takes %s, %v", time.Since(began), err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(all.waiting) > 0 || len(all.order) > 0 || all.handing {
			t.Errorf("%d clients are remembered", len(all.waiting))
		}
	})
}

// TestTurnsImpatient: who gives up is told so.
func TestTurnsImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(0.01, 1)
		if err := all.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := all.wait(ctx); regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("got %v", err)
		}
		time.Sleep(10 * time.Minute)
	})
}

package refresh_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// TestEnsureShares has a hundred callers wait for one mint.
func TestEnsureShares(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, slow: 3 * time.Second}, func(b bench) {
		r, _ := b.start()
		b.create("a")
		var callers sync.WaitGroup
		for n := range 100 {
			callers.Go(func() {
				call := r.Ensure
				if n%3 == 0 {
					call = r.Mint
				}
				l, err := call(b.Context(), "a")
				if err != nil || l.Password.Reveal() != "token-1" {
					b.Errorf("got %+v, %v", l, err)
				}
			})
		}
		callers.Wait()
		b.wantMints("a", 1)
	})
}

// TestEnsureStored: a valid login is returned as it is stored, without a mint,
// even by a Refresher that does not run.
func TestEnsureStored(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		r, stop := b.start()
		b.create("a")
		b.login("a")
		for range 3 {
			if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
				b.Errorf("got %+v, %v", l, err)
			}
		}
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
			b.Errorf("after Run: %+v, %v", l, err)
		}
		b.wantMints("a", 1)
		time.Sleep(time.Hour)
		if _, err := r.Ensure(b.Context(), "a"); regcred.CodeOf(err) != regcred.Unavailable {
			b.Errorf("after Run, expired: %v", err)
		}
	})
}

// TestEnsureNewest: right after a change the old version's login will not do.
func TestEnsureNewest(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		r, _ := b.start()
		b.create("a")
		b.login("a")
		b.change("a")
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Version != 2 {
			b.Errorf("got %+v, %v", l, err)
		}
		b.wantMints("a", 2)
	})
}

// TestEnsureBeforeRun waits for Run, or for its own context.
func TestEnsureBeforeRun(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start() // not scheduled yet: no goroutine has run
		b.create("a")
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
			b.Errorf("got %+v, %v", l, err)
		}
	})
	bubble(t, &issuer{slow: 20 * time.Second}, func(b bench) {
		r, _ := b.start()
		b.create("a")
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if _, err := r.Ensure(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("got %v", err)
		}
		// The mint goes on for those who still wait, and for the store.
		time.Sleep(20 * time.Second)
		b.login("a")
		b.wantMints("a", 1)
	})
}

// TestEnsureWhileFailing: the last good login serves while it is valid; then the
// error is given with the time of the next try, and asking does not hurry it.
func TestEnsureWhileFailing(t *testing.T) {
	down := regcred.Errorf(regcred.Unavailable, "issuer.example.com does not answer")
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		b.login("a")
		p.set(func(p *issuer) { p.fault = func(time.Time) error { return down } })
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if _, err := r.Mint(b.Context(), "a"); !errors.Is(err, down) {
			b.Errorf("Mint: %v", err)
		}
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
			b.Errorf("while it is valid: %+v, %v", l, err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		before := p.count("a")
		for range 100 {
			_, err := r.Ensure(b.Context(), "a")
			if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "does not answer") {
				b.Fatalf("once it has expired: %v", err)
			}
		}
		if after := p.count("a"); after > before+1 {
			b.Errorf("100 callers caused %d mints", after-before)
		}
		if s := b.status(r, "a"); s.Problem != "issuer.example.com does not answer" || s.Failures == 0 {
			b.Errorf("status is %+v", s)
		}
		p.set(func(p *issuer) { p.fault = nil })
		time.Sleep(time.Minute)
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-2" {
			b.Errorf("once it is back: %+v, %v", l, err)
		}
		if s := b.status(r, "a"); s.Problem != "" || s.Failures != 0 || s.Mints != 2 {
			b.Errorf("status is %+v", s)
		}
	})
}

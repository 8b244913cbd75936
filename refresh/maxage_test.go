package refresh_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/refresh"
)

func TestDueWithin(t *testing.T) {
	for _, test := range []struct {
		name                       string
		expires, renewable, maxAge time.Duration // since minted; 0: not set
		earliest, latest           time.Duration // between which it is due; 0: never
	}{
		{"no bound", 12 * time.Hour, 0, 0, 324 * time.Minute, 396 * time.Minute},
		{"a bound that comes first", 12 * time.Hour, 0, 25 * time.Minute, 25 * time.Minute, 25 * time.Minute},
		{"a bound that comes too late", time.Hour, 0, 50 * time.Minute, 27 * time.Minute, 33 * time.Minute},
		{"a login that never expires", 0, 0, 25 * time.Minute, 25 * time.Minute, 25 * time.Minute},
		{"neither", 0, 0, 0, 0, 0},
		{"renewable later", time.Hour, 30 * time.Minute, 10 * time.Minute, 30 * time.Minute, 33 * time.Minute},
		{"the least", time.Hour, 0, time.Millisecond, time.Second, time.Second},
		{"less than nothing", time.Hour, 0, -time.Hour, 27 * time.Minute, 33 * time.Minute},
	} {
		l := regcred.Login{MintedAt: minted, Version: 1}
		if test.expires != 0 {
			l.ExpiresAt = minted.Add(test.expires)
		}
		if test.renewable != 0 {
			l.RenewableAt = minted.Add(test.renewable)
		}
		due := refresh.DueWithin(l, "guid-1", test.maxAge)
		if test.latest == 0 {
			if !due.IsZero() {
				t.Errorf("%s: due at %s, want never", test.name, due)
			}
			continue
		}
		if after := due.Sub(minted); after < test.earliest || after > test.latest {
			t.Errorf("%s: due after %s, want %s to %s", test.name, after, test.earliest, test.latest)
		}
	}
}

const maxAge = 25 * time.Minute

// startAged runs a Refresher with maxAge until stop is called.
func (b bench) startAged() (stop func()) {
	r := refresh.New(refresh.Options{Store: b.store, Providers: map[string]regcred.Provider{"issuer": b.issuer}, MaxAge: maxAge})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }() // it ends with its context
	return func() { cancel(); <-ended }
}

// TestMaxAge renews by age: through restarts, with logins that never expire too.
func TestMaxAge(t *testing.T) {
	for _, lifetime := range []time.Duration{12 * time.Hour, 0} {
		bubble(t, &issuer{lifetime: lifetime}, func(b bench) {
			stop := b.startAged()
			b.create("a")
			time.Sleep(24*time.Hour + time.Minute)
			b.wantMints("a", 1+24*60/25)
			stop()
			b.create("b")
			stop = b.startAged()
			time.Sleep(20 * time.Minute) // those of a: 16 minutes since the last, and then 20
			b.wantMints("a", 2+24*60/25)
			b.wantMints("b", 1)
			stop()
			time.Sleep(time.Hour)
			stop = b.startAged()
			defer stop()
			time.Sleep(2 * time.Minute) // both are overdue
			b.wantMints("a", 3+24*60/25)
			b.wantMints("b", 2)
		})
	}
}

// TestMaxAgeIsNoLifetime fails after the greatest age: the login goes on to serve.
func TestMaxAgeIsNoLifetime(t *testing.T) {
	bubble(t, &issuer{lifetime: 12 * time.Hour}, func(b bench) {
		defer b.startAged()()
		b.create("a")
		first := b.login("a")
		b.issuer.set(func(p *issuer) { p.fault = func(time.Time) error { return errors.New("out of order") } })
		time.Sleep(11 * time.Hour)
		if l := b.login("a"); !l.MintedAt.Equal(first.MintedAt) || !l.ExpiresAt.Equal(first.ExpiresAt) || l.Expired(time.Now()) {
			b.Errorf("the login is %v, was %v", l, first)
		}
		b.issuer.set(func(p *issuer) { p.fault = nil })
		time.Sleep(2 * time.Minute)
		if l := b.login("a"); l.MintedAt.Equal(first.MintedAt) {
			b.Error("it was not renewed once that worked again")
		}
	})
}

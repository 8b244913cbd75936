package refresh_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// TestRestartSpreads: a server that was away for an hour renews what became due
// meanwhile no more than 1.2 times as often as in the long run; what has expired or
// is missing is minted at once.
func TestRestartSpreads(t *testing.T) {
	const credentials, lifetime, window = 1000, 12 * time.Hour, 30 * time.Minute
	const steady = credentials * float64(window) / float64(lifetime/2)
	p := &issuer{lifetime: lifetime, info: regcred.ProviderInfo{Rate: 10, Burst: 50}}
	bubble(t, p, func(b bench) {
		_, stop := b.start()
		for n := range credentials {
			b.create(fmt.Sprint("c", n))
			time.Sleep(lifetime / 2 / credentials)
		}
		p.set(func(p *issuer) { p.change = func(l *regcred.Login) { l.ExpiresAt = time.Now().Add(30 * time.Minute) } })
		b.create("expired")
		b.login("expired")
		p.set(func(p *issuer) { p.change = nil })
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.create("missing")

		before, begin := p.given(), time.Now()
		b.start()
		for _, guid := range []string{"expired", "missing"} {
			if l := b.login(guid); !l.MintedAt.Equal(begin) {
				b.Errorf("%s has a login of %s", guid, l.MintedAt)
			}
		}
		before += 2
		for n := range 8 {
			time.Sleep(window)
			synctest.Wait()
			given := p.given()
			if rate := float64(given-before) / steady; rate > 1.22 || rate < 0.95 {
				b.Errorf("in half hour %d there are %.2f times as many mints as in the long run", n, rate)
			}
			before = given
		}
	})
}

// TestRestartPlanHolds: a login waits for its turn of the plan, a new one has no
// plan; and who asks does not wait.
func TestRestartPlanHolds(t *testing.T) {
	p := &issuer{lifetime: 12 * time.Hour}
	bubble(t, p, func(b bench) {
		_, stop := b.start()
		for n := range 100 {
			b.create(fmt.Sprint("c", n))
		}
		synctest.Wait()
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(7 * time.Hour)
		r, _ := b.start()
		synctest.Wait()
		late := ""
		for s := range r.Statuses() {
			if s.Due.After(time.Now().Add(30 * time.Minute)) {
				late = s.GUID
			}
		}
		if late == "" {
			b.Fatal("all are renewed within half an hour")
		}
		before := b.status(r, late).Due
		time.Sleep(15 * time.Minute)
		if after := b.status(r, late).Due; !after.Equal(before) {
			b.Errorf("planned for %s, then for %s", before, after)
		}
		if _, err := r.Mint(b.Context(), late); err != nil {
			b.Fatal(err)
		}
		if due := b.status(r, late).Due; due.Before(time.Now().Add(5 * time.Hour)) {
			b.Errorf("a new login is due at %s", due)
		}
	})
}

// TestRestartBlind: while the store's watch does not get to the end, valid logins
// are renewed all the same, before it is too late.
func TestRestartBlind(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		_, stop := b.start()
		b.create("a")
		l := b.login("a")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		b.store = blind{b.store}
		b.start()
		time.Sleep(time.Until(l.ExpiresAt) - time.Second)
		if got := b.login("a"); got.Password.Reveal() != "token-2" {
			b.Errorf("the login is of %s", got.MintedAt)
		}
	})
}

// blind is a store whose Watch never says that there is nothing newer.
type blind struct{ regcred.Store }

func (s blind) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		for batch, err := range s.Store.Watch(ctx, after) {
			batch.Current = false
			if !yield(batch, err) {
				return
			}
		}
	}
}

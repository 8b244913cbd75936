package refresh_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// TestMonth plays 30 days in which the issuer is out again and again, each time
// for up to 40% of a login's lifetime, and regcred is restarted once a day. At no
// reading is a login missing or expired.
func TestMonth(t *testing.T) {
	refused := regcred.Errorf(regcred.Unavailable, "issuer.example.com answers 503")
	tests := []struct {
		name     string
		lifetime time.Duration
		slow     time.Duration
		fault    error
	}{
		{"Amazon ECR, refusing", 12 * time.Hour, time.Second, refused},
		{"an hour, hanging", time.Hour, 2 * time.Second, errHang},
		{"15 minutes, refusing", 15 * time.Minute, time.Second, refused},
	}
	for n, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &issuer{lifetime: test.lifetime, slow: test.slow}
			bubble(t, p, func(b bench) {
				outages := newOutages(time.Now().Add(time.Minute), test.lifetime, uint64(n))
				p.fault = func(now time.Time) error {
					if outages.at(now) {
						return test.fault
					}
					return nil
				}
				playMonth(b, outages)
				b.Logf("%d mints, %d of them gave a token, %d outages", p.count("a")+p.count("b")+p.count("c"), p.tokens, len(outages.starts))
			})
		})
	}
}

// playMonth reads all logins every minute for 30 days.
func playMonth(b bench, o *outages) {
	guids := []string{"a", "b", "c"}
	for _, guid := range guids {
		b.create(guid)
	}
	_, stop := b.start()
	time.Sleep(time.Minute - time.Second)
	for minute := range 30 * 24 * 60 {
		if minute%(24*60) == 777 {
			if err := stop(); err != nil {
				b.Fatal(err)
			}
			_, stop = b.start()
		}
		synctest.Wait()
		for _, guid := range guids {
			l, err := b.store.Login(b.Context(), guid)
			if err != nil || l.Expired(time.Now()) {
				b.Fatalf("%s: a gap at %s, the login is of %s, %v; %s", guid, time.Now(), l.MintedAt, err, o)
			}
		}
		time.Sleep(time.Minute)
	}
}

// outages are stretches of up to 40% of a lifetime, and no two of them begin
// within a lifetime.
type outages struct {
	starts, ends []time.Time
}

func newOutages(from time.Time, lifetime time.Duration, seed uint64) *outages {
	r := rand.New(rand.NewPCG(seed, 1))
	o := &outages{}
	for at := from; at.Before(from.AddDate(0, 0, 31)); at = at.Add(lifetime + time.Duration(r.Float64()*float64(lifetime))) {
		share := 0.4
		if r.IntN(2) == 0 {
			share *= r.Float64()
		}
		o.starts = append(o.starts, at)
		o.ends = append(o.ends, at.Add(time.Duration(share*float64(lifetime))))
	}
	return o
}

func (o *outages) at(now time.Time) bool {
	for i, start := range o.starts {
		if !now.Before(start) && now.Before(o.ends[i]) {
			return true
		}
	}
	return false
}

func (o *outages) String() string {
	last := ""
	for i, start := range o.starts {
		if start.Before(time.Now()) {
			last = fmt.Sprintf("the last outage was from %s to %s", start, o.ends[i])
		}
	}
	return last
}

// TestManyStatics: a hundred thousand usernames and passwords are each minted
// once, and then cost nothing.
func TestManyStatics(t *testing.T) {
	const credentials = 100_000
	p := &issuer{}
	bubble(t, p, func(b bench) {
		for n := range credentials {
			b.create(fmt.Sprint("c", n))
		}
		r, _ := b.start()
		synctest.Wait()
		if p.tokens != credentials {
			b.Errorf("%d tokens", p.tokens)
		}
		all := 0
		for s := range r.Statuses() {
			if all++; !s.HasLogin || !s.Due.IsZero() {
				b.Fatalf("status is %+v", s)
			}
		}
		if all != credentials {
			b.Errorf("%d statuses", all)
		}
		time.Sleep(24 * time.Hour)
		if synctest.Wait(); p.tokens != credentials {
			b.Errorf("%d tokens a day later", p.tokens)
		}
	})
}

// BenchmarkFirstStart mints 100,000 credentials on a store in memory.
func BenchmarkFirstStart(b *testing.B) {
	const credentials = 100_000
	for b.Loop() {
		b.StopTimer()
		store := memory.New()
		for n := range credentials {
			c := regcred.Credential{GUID: fmt.Sprint("c", n), Scope: regcred.OrgScope(fmt.Sprint("o", n)), Provider: "issuer"}
			if _, err := store.Create(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
		var left sync.WaitGroup
		left.Add(credentials)
		counted := &issuer{hosts: []string{host}, before: func(regcred.Credential) { left.Done() }}
		r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{"issuer": counted}})
		b.StartTimer()
		go func() { _ = r.Run(b.Context()) }()
		left.Wait()
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

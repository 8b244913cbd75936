package refresh_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// TestIssuersApart: of one provider, an issuer that hangs and one that throttles
// delay no other.
func TestIssuersApart(t *testing.T) {
	p := &issuer{lifetime: time.Hour, info: regcred.ProviderInfo{Rate: 10, Burst: 10}}
	p.faultOf = func(c regcred.Credential) error {
		switch c.Settings["issuer"] {
		case "hangs":
			return errHang
		case "throttles":
			return regcred.ThrottledFor(10*time.Minute, "throttles.example.com asks to be asked less often")
		}
		return nil
	}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		for n := range 40 {
			b.createAt(fmt.Sprint("h", n), "hangs")
			b.createAt(fmt.Sprint("t", n), "throttles")
		}
		synctest.Wait()
		begin := time.Now()
		b.createAt("a", "works")
		if l := b.login("a"); !l.MintedAt.Equal(begin) {
			b.Errorf("minted after %s", l.MintedAt.Sub(begin))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		want := []refresh.IssuerStatus{
			{Provider: "issuer", Issuer: "hangs", Credentials: 40, Rate: 10},
			{Provider: "issuer", Issuer: "throttles", Credentials: 40, Rate: 5, ThrottledUntil: begin.Add(10 * time.Minute)},
			{Provider: "issuer", Issuer: "works", Credentials: 1, Rate: 10, Mints: 1},
		}
		if diff := cmp.Diff(want, slices.Collect(r.Issuers()), cmpopts.IgnoreFields(refresh.IssuerStatus{}, "Failures")); diff != "" {
			b.Error(diff)
		}
		if n := p.count("t39"); n != 0 {
			b.Errorf("%d mints though it asked to be left alone", n)
		}
		if s := b.status(r, "t39"); s.Failures != 0 || !strings.Contains(s.Problem, "less often") {
			b.Errorf("one that was not asked for: %+v", s)
		}
	})
}

// TestThrottledAsks: who asks while the issuer is to be left alone is told so at
// once, and until when.
func TestThrottledAsks(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		b.login("a")
		p.set(func(p *issuer) {
			p.fault = func(time.Time) error {
				return regcred.ThrottledFor(20*time.Second, "issuer.example.com asks to be asked less often")
			}
		})
		if _, err := r.Mint(b.Context(), "a"); regcred.CodeOf(err) != regcred.Throttled {
			b.Errorf("Mint: %v", err)
		}
		time.Sleep(5 * time.Second)
		_, err := r.Mint(b.Context(), "a")
		if wait := refresh.RetryAfter(err); wait != 15*time.Second || !strings.Contains(err.Error(), "less often; the next try is in 15s") {
			b.Errorf("Mint while it is to be left alone: %v, after %s", err, wait)
		}
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
			b.Errorf("Ensure: %+v, %v", l, err)
		}
		b.wantMints("a", 2)
		p.set(func(p *issuer) { p.fault = nil })
		time.Sleep(time.Minute)
		b.login("a")
		if s := b.status(r, "a"); s.Failures != 0 || s.Problem != "" {
			b.Errorf("status is %+v", s)
		}
	})
}

// TestLongPause: an issuer asks for an hour, though a login expires before. The
// pause holds until half of what is left, and so there is no gap.
func TestLongPause(t *testing.T) {
	p := &issuer{lifetime: 15 * time.Minute}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		l := b.login("a")
		p.set(func(p *issuer) {
			p.fault = func(now time.Time) error {
				if now.Before(l.MintedAt.Add(13 * time.Minute)) {
					return regcred.ThrottledFor(time.Hour, "issuer.example.com asks to be asked less often")
				}
				return nil
			}
		})
		time.Sleep(time.Until(l.ExpiresAt) - time.Millisecond)
		if got := b.login("a"); got.Password.Reveal() != "token-2" {
			b.Errorf("the login is of %s; %+v", got.MintedAt, b.status(r, "a"))
		}
		if n := p.count("a"); n > 8 {
			b.Errorf("%d mints", n)
		}
	})
}

// TestRate: a thousand new credentials are minted within the issuer's limit, and
// one that somebody waits for comes first.
func TestRate(t *testing.T) {
	p := &issuer{lifetime: 12 * time.Hour, info: regcred.ProviderInfo{Rate: 5, Burst: 20}}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		for n := range 1000 {
			b.create(fmt.Sprint("c", n))
		}
		b.create("asked")
		time.Sleep(9*time.Second + 900*time.Millisecond)
		synctest.Wait()
		if p.given() != 20+49 {
			b.Errorf("%d tokens after 10 s", p.given())
		}
		begin := time.Now()
		if _, err := r.Ensure(b.Context(), "asked"); err != nil || time.Since(begin) > 200*time.Millisecond {
			b.Errorf("it took %s, %v", time.Since(begin), err)
		}
		time.Sleep(time.Until(begin.Add(200 * time.Second)))
		if p.given() != 1001 {
			b.Errorf("%d tokens after 200 s", p.given())
		}
	})
}

// TestBrokenLeaveRoom: any number of credentials that their issuer refuses take no
// more than every second mint from those that it does not.
func TestBrokenLeaveRoom(t *testing.T) {
	p := &issuer{lifetime: 15 * time.Minute, info: regcred.ProviderInfo{Rate: 1, Burst: 1}}
	p.faultOf = func(c regcred.Credential) error {
		if strings.HasPrefix(c.GUID, "broken") {
			return errDenied
		}
		return nil
	}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		for n := range 500 {
			b.create(fmt.Sprint("broken", n))
		}
		synctest.Wait()
		for n := range 20 {
			b.create(fmt.Sprint("works", n))
		}
		time.Sleep(20 * time.Minute)
		for range 240 {
			time.Sleep(time.Minute)
			for n := range 20 {
				if l := b.login(fmt.Sprint("works", n)); l.Expired(time.Now()) {
					b.Fatalf("a gap at %s: %+v", time.Now(), b.status(r, fmt.Sprint("works", n)))
				}
			}
		}
	})
}

// TestMoved: a credential whose settings name another issuer goes to its lane, and
// an issuer without credentials is forgotten.
func TestMoved(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		r, _ := b.start()
		b.createAt("a", "one")
		b.login("a")
		_, err := b.store.Update(b.Context(), "a", func(c *regcred.Credential) error {
			c.Settings = map[string]string{"issuer": "two"}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.login("a")
		want := []refresh.IssuerStatus{{Provider: "issuer", Issuer: "two", Credentials: 1, Mints: 1}}
		if diff := cmp.Diff(want, slices.Collect(r.Issuers())); diff != "" {
			b.Error(diff)
		}
	})
}

// TestIssuerPanics: a provider that cannot name the issuer of a credential takes
// nothing with it.
func TestIssuerPanics(t *testing.T) {
	p := &issuer{lifetime: time.Hour, issuerOf: func(c regcred.Credential) string { return c.Labels["a"][:1] }}
	bubble(t, p, func(b bench) {
		_, stop := b.start()
		b.create("a")
		b.login("a")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		if !strings.Contains(b.log.String(), "panicked") {
			b.Errorf("the log is %s", b.log)
		}
	})
}

// TestIssuersComeAndGo: a hundred thousand issuers, ten thousand at a time, leave
// nothing behind; with -short it is ten thousand.
func TestIssuersComeAndGo(t *testing.T) {
	all, atOnce := 100_000, 10_000
	if testing.Short() {
		all, atOnce = 10_000, 1000
	}
	bubble(t, &issuer{lifetime: 12 * time.Hour, info: regcred.ProviderInfo{Rate: 1, Burst: 1}}, func(b bench) {
		r, _ := b.start()
		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		for first := 0; first < all; first += atOnce {
			for n := range atOnce {
				b.createAt(fmt.Sprint("c", n), fmt.Sprint("issuer-", first+n))
			}
			synctest.Wait()
			if n := len(slices.Collect(r.Issuers())); n != atOnce {
				b.Fatalf("%d issuers", n)
			}
			if n := runtime.NumGoroutine(); n > goroutines+10 { // of the runtime's own
				b.Errorf("%d goroutines with %d issuers, %d without", n, atOnce, goroutines)
			}
			for n := range atOnce {
				if _, err := b.store.Delete(b.Context(), fmt.Sprint("c", n)); err != nil {
					b.Fatal(err)
				}
			}
			synctest.Wait()
		}
		if b.issuer.given() != all {
			b.Errorf("%d tokens", b.issuer.given())
		}
		if left := slices.Collect(r.Issuers()); len(left) != 0 {
			b.Errorf("%d issuers are left", len(left))
		}
	})
}

// BenchmarkIssuers measures the memory of 10,000 issuers with a credential each,
// beside that of as many credentials of one issuer.
func BenchmarkIssuers(b *testing.B) {
	for _, issuers := range []int{1, 10_000} {
		b.Run(fmt.Sprint(issuers), func(b *testing.B) {
			const credentials = 10_000
			for b.Loop() {
				store := memory.New()
				for n := range credentials {
					_, err := store.Create(b.Context(), regcred.Credential{
						GUID: fmt.Sprint("c", n), Scope: regcred.OrgScope(fmt.Sprint("o", n)), Provider: "issuer",
						Settings: map[string]string{"issuer": fmt.Sprint("issuer-", n%issuers)},
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				before := heap()
				r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{"issuer": &issuer{}}})
				for batch, err := range store.Watch(b.Context(), 0) {
					if err != nil {
						b.Fatal(err)
					}
					for _, c := range batch.Changes {
						r.Learn(c)
					}
					if batch.Current {
						break
					}
				}
				b.ReportMetric(float64(heap()-before)/credentials, "B/credential")
				runtime.KeepAlive(r)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

package azure_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/provider/azure"
	"regcred.dev/refresh"
	"regcred.dev/regcredtest/fakeazure"
	"regcred.dev/store/memory"
)

// TestSkew: an issuer whose clock differs costs nothing of a login's life, and
// where an assertion is signed with a time at most one more request.
func TestSkew(t *testing.T) {
	certificate, cert := principal()
	for _, test := range []struct {
		skew   time.Duration
		tokens int // requests to Entra ID with an assertion
	}{{0, 1}, {5 * time.Minute, 1}, {-5 * time.Minute, 1}, {9 * time.Minute, 1}, {-9 * time.Minute, 1}, {2 * time.Hour, 2}, {-2 * time.Hour, 2}, {20 * time.Minute, 2}} {
		for kind, c := range map[string]regcred.Credential{
			"secret": credential(), "scope": credential("scope", "repository:a:pull"),
			"certificate": credential("client-secret", "", "client-certificate", certificate),
		} {
			t.Run(fmt.Sprint(kind, " ", test.skew), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := options()
					o.Certificate, o.Entra.Skew, o.Registry.Skew = cert, test.skew, test.skew
					s := fakeazure.New(o)
					before := time.Now()
					l, err := newProvider(s).Mint(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					want := 3 * time.Hour
					if kind == "scope" {
						want = 75 * time.Minute
					}
					if lifetime := l.ExpiresAt.Sub(before); lifetime < want-2*time.Second || lifetime > want+2*time.Second {
						t.Errorf("it expires in %s, want %s", lifetime, want)
					}
					requests := 1
					if kind == "certificate" {
						requests = test.tokens
					}
					if n := s.Calls()["token"]; n != requests {
						t.Errorf("%d requests for a token, want %d", n, requests)
					}
				})
			})
		}
	}
}

// TestSkewIsNoExcuse: a certificate that is refused for another reason is tried
// once more at most, and not at all where the clocks agree.
func TestSkewIsNoExcuse(t *testing.T) {
	certificate, _ := newCertificate()
	for skew, want := range map[time.Duration]int{0: 1, time.Hour: 2} {
		synctest.Test(t, func(t *testing.T) {
			o := options()
			_, o.Certificate = principal()
			o.Entra.Skew = skew
			s := fakeazure.New(o)
			_, err := newProvider(s).Mint(t.Context(), credential("client-secret", "", "client-certificate", certificate))
			wantError(t, err, regcred.Denied, "AADSTS700027", certificate)
			if n := s.Calls()["token"]; n != want {
				t.Errorf("skew %s: %d requests, want %d", skew, n, want)
			}
		})
	}
}

// bench is a refresher with a credential in its store, on simulated time.
type bench struct {
	*testing.T

	fake      *fakeazure.Server
	store     *memory.Store
	refresher *refresh.Refresher
	guid      string
}

// simulate runs a test with a refresher that mints from a fake.
func simulate(t *testing.T, o fakeazure.Options, test func(b bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bench{T: t, fake: fakeazure.New(o), store: memory.New()}
		c, err := b.store.Create(t.Context(), credential())
		if err != nil {
			t.Fatal(err)
		}
		b.guid = c.GUID
		b.refresher = refresh.New(refresh.Options{Store: b.store, Providers: map[string]regcred.Provider{azure.Name: newProvider(b.fake)}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := b.refresher.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		test(b)
		cancel()
		running.Wait()
	})
}

// after lets time pass, and returns how many exchanges there were until then.
func (b bench) after(d time.Duration) int {
	<-time.After(d)
	synctest.Wait()
	return b.fake.Calls()["exchange"]
}

func (b bench) login() regcred.Login {
	b.Helper()
	l, err := b.store.Login(b.Context(), b.guid)
	if err != nil {
		b.Fatalf("after %d exchanges: %v", b.fake.Calls()["exchange"], err)
	}
	return l
}

// TestRefreshByRealExpiry: a login is renewed in the middle of the life that its
// token has, whatever is usual.
func TestRefreshByRealExpiry(t *testing.T) {
	for _, lifetime := range []time.Duration{75 * time.Minute, 3 * time.Hour, 15 * time.Minute} {
		o := options()
		o.Registry.Lifetime = lifetime
		simulate(t, o, func(b bench) {
			if n := b.after(lifetime * 44 / 100); n != 1 {
				b.Errorf("lifetime %s: %d exchanges before 45%% of it", lifetime, n)
			}
			if n := b.after(lifetime * 12 / 100); n != 2 {
				b.Errorf("lifetime %s: %d exchanges after 55%% of it", lifetime, n)
			}
			for range 200 {
				b.after(lifetime / 10)
				if l := b.login(); l.Expired(time.Now()) || use(b.T, b.fake, l, "/v2/") != http.StatusOK {
					b.Fatalf("at %s the stored login, valid until %s, is of no use", time.Now(), l.ExpiresAt)
				}
			}
			if n := b.fake.Calls()["exchange"]; n > 2+20*100/44 {
				b.Errorf("%d exchanges in 20 lifetimes", n)
			}
		})
	}
}

// TestRefreshExpiredAtIssue: a token that had expired already is a failure, which
// is tried again ever more seldom.
func TestRefreshExpiredAtIssue(t *testing.T) {
	o := options()
	o.Registry.ExpiredAtIssue = true
	simulate(t, o, func(b bench) {
		if n := b.after(time.Hour); n < 10 || n > 200 {
			b.Errorf("%d exchanges in an hour", n)
		}
		if _, err := b.store.Login(b.Context(), b.guid); err == nil {
			b.Error("an expired login was stored")
		}
		status, ok := b.refresher.Status(b.guid)
		if !ok {
			b.Fatal("no status")
		}
		if !strings.Contains(status.Problem, "had expired already") {
			b.Errorf("the status says %q", status.Problem)
		}
		b.fake.SetRegistry(fakeazure.Quirks{})
		b.after(time.Minute)
		b.login()
	})
}

// TestRefreshSameUntil: a registry that hands out the same token until it is old is
// not asked in a spin.
func TestRefreshSameUntil(t *testing.T) {
	o := options()
	o.Registry.SameUntil = 10 * time.Minute
	simulate(t, o, func(b bench) {
		for range 6 * 24 {
			b.after(10 * time.Minute)
			if b.login().Expired(time.Now()) {
				b.Fatal("the stored login has expired")
			}
		}
		if n := b.fake.Calls()["exchange"]; n > 200 {
			b.Errorf("%d exchanges in a day", n)
		}
	})
}

// TestRefreshOutage: while Entra ID, or the registry, throttles for 40% of a login's
// life or is slow, nobody sees an expired login.
func TestRefreshOutage(t *testing.T) {
	throttled := fakeazure.Quirks{Throttle: -1, RetryAfter: 30 * time.Second}
	slow := fakeazure.Quirks{Slow: 20 * time.Second}
	for name, fault := range map[string]func(s *fakeazure.Server, q fakeazure.Quirks){
		"Entra ID": (*fakeazure.Server).SetEntra, "registry": (*fakeazure.Server).SetRegistry,
	} {
		for _, q := range []fakeazure.Quirks{throttled, slow} {
			simulate(t, options(), func(b bench) {
				b.after(80 * time.Minute)
				for range 20 {
					fault(b.fake, q)
					for range 12 {
						b.after(6 * time.Minute)
						if b.login().Expired(time.Now()) {
							b.Fatalf("%s: the stored login has expired", name)
						}
					}
					fault(b.fake, fakeazure.Quirks{})
					for range 11 {
						b.after(10 * time.Minute)
						if b.login().Expired(time.Now()) {
							b.Fatalf("%s: the stored login has expired", name)
						}
					}
				}
			})
		}
	}
}

// TestSlow: a mint whose time is up ends, whoever is slow.
func TestSlow(t *testing.T) {
	noIdentity(t)
	for _, at := range []string{"token", "exchange", "managed"} {
		synctest.Test(t, func(t *testing.T) {
			o := options()
			slow := fakeazure.Quirks{Slow: time.Hour}
			if o.Entra = slow; at == "exchange" {
				o.Entra, o.Registry = fakeazure.Quirks{}, slow
			}
			c := credential()
			if at == "managed" {
				c = ambient("identity", "managed")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			before := time.Now()
			_, err := newProvider(fakeazure.New(o)).Mint(ctx, c)
			if took := time.Since(before); err == nil || ctx.Err() == nil || took != 7*time.Second {
				t.Errorf("%s: %v after %s", at, err, took)
			}
		})
	}
}

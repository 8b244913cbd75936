package refresh_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

const host = "registry.example.com"

// bench is a store and a Refresher on it, in a synctest bubble.
type bench struct {
	*testing.T

	store  regcred.Store
	issuer *issuer
	log    *logBuffer
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// bubble runs a test on simulated time.
func bubble(t *testing.T, p *issuer, test func(b bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(bench{T: t, store: memory.New(), issuer: p, log: new(logBuffer)})
		p.check(t)
	})
}

// start runs a Refresher until stop is called or the test ends. stop returns what
// Run returned.
func (b bench) start() (r *refresh.Refresher, stop func() error) {
	b.Helper()
	return b.startWith(map[string]regcred.Provider{"issuer": b.issuer})
}

// startWith is start with other providers.
func (b bench) startWith(providers map[string]regcred.Provider) (r *refresh.Refresher, stop func() error) {
	b.Helper()
	r = refresh.New(refresh.Options{
		Store:     b.store,
		Providers: providers,
		Log:       slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	b.Cleanup(func() {
		if err := stop(); err != nil && regcred.CodeOf(err) != regcred.Stale {
			b.Errorf("Run: %v", err)
		}
	})
	return r, stop
}

// create stores a credential at a location of its own.
func (b bench) create(name string) regcred.Credential {
	b.Helper()
	return b.createOf(name, host+"/"+name, regcred.Foundation, nil)
}

// createAt stores a credential of an issuer.
func (b bench) createAt(name, issuer string) {
	b.Helper()
	b.createOf(name, host+"/"+name, regcred.Foundation, map[string]string{"issuer": issuer})
}

func (b bench) createOf(name, where string, scope regcred.Scope, settings map[string]string) regcred.Credential {
	b.Helper()
	location, err := imageref.ParseLocation(where)
	if err != nil {
		b.Fatal(err)
	}
	c, err := b.store.Create(b.Context(), regcred.Credential{
		GUID: name, Scope: scope, Location: location, Provider: "issuer", Settings: settings,
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// change makes a credential another version.
func (b bench) change(guid string) {
	b.Helper()
	_, err := b.store.Update(b.Context(), guid, func(c *regcred.Credential) error {
		c.Settings = map[string]string{"changed": time.Now().String()}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// login returns the stored login of a credential once nothing moves any more.
func (b bench) login(guid string) regcred.Login {
	b.Helper()
	synctest.Wait()
	l, err := b.store.Login(b.Context(), guid)
	if err != nil {
		b.Fatalf("at %s: %v", time.Now(), err)
	}
	return l
}

func (b bench) status(r *refresh.Refresher, guid string) refresh.Status {
	b.Helper()
	synctest.Wait()
	s, ok := r.Status(guid)
	if !ok {
		b.Fatalf("no status of %s", guid)
	}
	return s
}

func (b bench) wantMints(guid string, want int) {
	b.Helper()
	synctest.Wait()
	if got := b.issuer.count(guid); got != want {
		b.Errorf("%d mints of %s, want %d", got, guid, want)
	}
}

// TestFirstMint checks that a credential gets its login when it is stored.
func TestFirstMint(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, hosts: []string{host}}, func(b bench) {
		r, _ := b.start()
		b.create("a")
		l := b.login("a")
		if l.Password.Reveal() != "token-1" || l.Version != 1 || !l.MintedAt.Equal(time.Now()) || l.Hosts[0] != host {
			b.Errorf("the login is %+v", l)
		}
		s := b.status(r, "a")
		want := refresh.Status{
			GUID: "a", Provider: "issuer", Mints: 1, LastMint: l.MintedAt, HasLogin: true,
			ExpiresAt: l.ExpiresAt, Due: refresh.Due(l, "a"),
		}
		if diff := cmp.Diff(want, s); diff != "" {
			b.Error(diff)
		}
	})
}

// TestStaticIsMintedOnce: what never expires is never asked for again.
func TestStaticIsMintedOnce(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start()
		b.create("a")
		time.Sleep(365 * 24 * time.Hour)
		b.wantMints("a", 1)
		if s := b.status(r, "a"); !s.Due.IsZero() || !s.HasLogin || !s.ExpiresAt.IsZero() {
			b.Errorf("status is %+v", s)
		}
	})
}

// TestUpdate checks that a change to what logins are minted from is followed by a
// new login at once, and any other change by none.
func TestUpdate(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		b.start()
		b.create("a")
		b.login("a")
		_, err := b.store.Update(b.Context(), "a", func(c *regcred.Credential) error {
			c.Labels = map[string]string{"team": "x"}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.wantMints("a", 1)
		b.change("a")
		if l := b.login("a"); l.Version != 2 || l.Password.Reveal() != "token-2" {
			b.Errorf("after a change the login is %+v", l)
		}
		b.wantMints("a", 2)
	})
}

// TestUpdateWhileFailing: a change is tried at once, however long the next try
// would have been away.
func TestUpdateWhileFailing(t *testing.T) {
	refused := regcred.Errorf(regcred.Denied, "issuer.example.com refuses the key")
	p := &issuer{lifetime: time.Hour, fault: func(time.Time) error { return refused }}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("failing")
		for time.Until(b.status(r, "failing").Due) < 10*time.Second {
			time.Sleep(time.Second)
		}
		p.set(func(p *issuer) { p.fault = nil })
		b.change("failing")
		if l := b.login("failing"); l.Version != 2 {
			b.Errorf("the login is %+v", l)
		}
	})
}

// TestMintAtOnce: who asks for a new login does not wait for those that are due
// earlier.
func TestMintAtOnce(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		r, _ := b.start()
		var guids []string
		for n := range 20 {
			guids = append(guids, b.create(fmt.Sprint("c", n)).GUID)
		}
		synctest.Wait()
		begin := time.Now()
		for _, guid := range guids {
			if _, err := r.Mint(b.Context(), guid); err != nil {
				b.Error(err)
			}
		}
		if waited := time.Since(begin); waited > 0 {
			b.Errorf("it took %s", waited)
		}
	})
}

// TestDropLogin checks that a login that somebody dropped is replaced at once.
func TestDropLogin(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		b.start()
		b.create("a")
		b.login("a")
		if _, err := b.store.DropLogin(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		if got := b.login("a").Password.Reveal(); got != "token-2" {
			b.Errorf("the login is %s", got)
		}
	})
}

// TestChangedMeanwhile changes a credential while it is being minted from.
func TestChangedMeanwhile(t *testing.T) {
	p := &issuer{lifetime: time.Hour, slow: 10 * time.Second}
	bubble(t, p, func(b bench) {
		b.start()
		b.create("a")
		time.Sleep(5 * time.Second)
		b.change("a")
		time.Sleep(15 * time.Second)
		if l := b.login("a"); l.Version != 2 || l.Password.Reveal() != "token-2" {
			b.Errorf("the login is %+v", l)
		}
		time.Sleep(time.Minute)
		b.wantMints("a", 2)
	})
}

// TestDelete checks that a deleted credential is not minted from again, also where
// it is deleted in the middle of a mint.
func TestDelete(t *testing.T) {
	for _, slow := range []time.Duration{0, 10 * time.Second} {
		bubble(t, &issuer{lifetime: time.Hour, slow: slow}, func(b bench) {
			r, _ := b.start()
			b.create("a")
			time.Sleep(5 * time.Second)
			if _, err := b.store.Delete(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
			time.Sleep(24 * time.Hour)
			b.wantMints("a", 1)
			if s, ok := r.Status("a"); ok {
				b.Errorf("status is %+v", s)
			}
			for s := range r.Statuses() {
				b.Errorf("there is %+v", s)
			}
			_, err := r.Ensure(b.Context(), "a")
			if regcred.CodeOf(err) != regcred.NotFound {
				b.Errorf("Ensure: %v", err)
			}
		})
	}
}

// TestCreatedAgain: a credential is deleted in the middle of a mint and created
// again under its guid, as one of the configuration may be. The mint under way is
// then one too many, and leaves nothing behind.
func TestCreatedAgain(t *testing.T) {
	p := &issuer{lifetime: time.Hour, slow: 10 * time.Second}
	bubble(t, p, func(b bench) {
		b.start()
		b.create("a")
		time.Sleep(5 * time.Second)
		if _, err := b.store.Delete(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		synctest.Wait() // the deletion is known
		b.create("a")
		time.Sleep(time.Minute)
		b.login("a")
		p.set(func(p *issuer) { p.mints["a"], p.doubled = 0, false })
		time.Sleep(10 * time.Hour)
		if n := p.count("a"); n < 18 || n > 22 {
			b.Errorf("%d mints within 10 hours", n)
		}
	})
}

// TestRestart checks that a restart mints nothing that is still young, renews what
// became due meanwhile, and keeps the schedule.
func TestRestart(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		r, stop := b.start()
		b.create("a")
		l := b.login("a")
		due := b.status(r, "a").Due
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		r, stop = b.start()
		if s := b.status(r, "a"); !s.Due.Equal(due) || !s.Due.Equal(refresh.Due(l, "a")) || s.Mints != 0 {
			b.Errorf("after a restart: %+v, was due at %s", s, due)
		}
		b.wantMints("a", 1)
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(40 * time.Minute)
		b.start()
		b.login("a")
		b.wantMints("a", 2)
	})
}

// TestFence starts a second Refresher on a store: the first one stops at its next
// write, in words, and its login is not stored.
func TestFence(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		first, stopFirst := b.start()
		b.create("a")
		b.login("a")
		second, _ := b.start()
		synctest.Wait()
		if _, err := first.Mint(b.Context(), "a"); regcred.CodeOf(err) != regcred.Stale {
			b.Errorf("the first may still mint: %v", err)
		}
		err := stopFirst()
		if regcred.CodeOf(err) != regcred.Stale || !strings.Contains(err.Error(), "took over") {
			b.Errorf("Run of the first ended with %v", err)
		}
		if got := b.login("a").Password.Reveal(); got != "token-1" {
			b.Errorf("the login is %s", got)
		}
		if l, err := second.Mint(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-3" {
			b.Errorf("the second: %+v, %v", l, err)
		}
		if _, err := first.Mint(b.Context(), "a"); regcred.CodeOf(err) != regcred.Unavailable {
			b.Errorf("a stopped Refresher answers %v", err)
		}
	})
}

// TestRunTwice: a Refresher runs once.
func TestRunTwice(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start()
		synctest.Wait()
		if err := r.Run(b.Context()); err == nil {
			b.Error("Run ran twice")
		}
	})
}

// TestConcurrency checks the bound on mints at once, and that a provider that
// hangs does not hold up another.
func TestConcurrency(t *testing.T) {
	hanging := &issuer{fault: func(time.Time) error { return errHang }}
	bubble(t, &issuer{lifetime: time.Hour, slow: time.Second}, func(b bench) {
		r := refresh.New(refresh.Options{
			Store:       b.store,
			Providers:   map[string]regcred.Provider{"issuer": b.issuer, "hanging": hanging},
			Concurrency: 3,
		})
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		for n := range 30 {
			b.create(fmt.Sprintf("a%02d", n))
			_, err := b.store.Create(ctx, regcred.Credential{Provider: "hanging"})
			if err != nil {
				b.Fatal(err)
			}
		}
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if b.issuer.most != 3 || b.issuer.tokens != 30 {
			b.Errorf("in 10 s there were %d tokens, at most %d at once", b.issuer.tokens, b.issuer.most)
		}
		if hanging.most != 3 {
			b.Errorf("%d mints hang at once", hanging.most)
		}
		cancel()
		running.Wait()
	})
}

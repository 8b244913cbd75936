package refresh_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/refresh"
)

// TestUselessLogins checks what a provider may not hand out: each is a failure
// with backoff, said in words, and the last good login stays.
func TestUselessLogins(t *testing.T) {
	tests := []struct {
		name   string
		change func(*regcred.Login)
		want   string
	}{
		{"expired at issue", func(l *regcred.Login) { l.ExpiresAt = time.Now() }, "had expired already"},
		{"expired in 1995", func(l *regcred.Login) { l.ExpiresAt = time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC) }, "had expired already, at 1995-01-01"},
		{"no password", func(l *regcred.Login) { l.Password = regcred.Secret{} }, "without a username or password"},
		{"no username", func(l *regcred.Login) { l.Username = "" }, "without a username or password"},
		{"another host", func(l *regcred.Login) { l.Hosts = []string{"evil.example.com"} }, "the login is for evil.example.com, the credential for registry.example.com/a"},
		{"another port", func(l *regcred.Login) { l.Hosts = []string{host + ":5000"} }, "the login is for registry.example.com:5000"},
		{"a URL as host", func(l *regcred.Login) { l.Hosts = []string{"https://" + host} }, "not a registry host in canonical form"},
		{"a host with a path", func(l *regcred.Login) { l.Hosts = []string{host + "/a"} }, "not a registry host in canonical form"},
		{"a host in upper case", func(l *regcred.Login) { l.Hosts = []string{"Registry.example.com"} }, "not a registry host in canonical form"},
		{"an empty host", func(l *regcred.Login) { l.Hosts = []string{""} }, "not a registry host in canonical form"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &issuer{lifetime: time.Hour, hosts: []string{host}}
			bubble(t, p, func(b bench) {
				r, _ := b.start()
				b.create("a")
				b.login("a")
				p.set(func(p *issuer) { p.change = test.change })
				time.Sleep(50 * time.Minute)
				if got := b.login("a").Password.Reveal(); got != "token-1" {
					b.Errorf("the last good login was replaced by %s", got)
				}
				s := b.status(r, "a")
				if !strings.Contains(s.Problem, test.want) || s.Failures == 0 {
					b.Errorf("status is %+v\nwant ...%s...", s, test.want)
				}
				// From the half of the hour on: seconds at first, half a minute later.
				if n := p.count("a"); n < 20 || n > 120 {
					b.Errorf("%d mints within 50 minutes", n)
				}
				p.set(func(p *issuer) { p.change = nil })
				time.Sleep(time.Minute)
				if s := b.status(r, "a"); s.Failures != 0 || s.Problem != "" || b.login("a").Password.Reveal() == "token-1" {
					b.Errorf("it did not recover: %+v", s)
				}
			})
		})
	}
}

// TestSameTokenAgain plays an issuer with a cache: it hands out one token until
// that has a minute left. No failure, no spinning, no gap.
func TestSameTokenAgain(t *testing.T) {
	p := &issuer{lifetime: time.Hour, reuse: time.Minute}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		for range 24 * 60 {
			time.Sleep(time.Minute)
			if b.login("a").Expired(time.Now()) {
				b.Fatalf("a gap at %s", time.Now())
			}
		}
		if s := b.status(r, "a"); s.Failures != 0 {
			b.Errorf("status is %+v", s)
		}
		if n := p.count("a"); p.tokens < 24 || n > 10*p.tokens {
			b.Errorf("%d mints for %d tokens", n, p.tokens)
		}
	})
}

// TestProviderPanics: a provider that panics fails like any other, and what it
// panicked with, which may be a secret, is not logged.
func TestProviderPanics(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		r, stop := b.start()
		p.set(func(p *issuer) { p.before = func(regcred.Credential) { panic("password is hunter2") } })
		b.create("a")
		s := b.status(r, "a")
		if s.Failures != 1 || s.Problem != "internal error" {
			b.Errorf("status is %+v", s)
		}
		p.set(func(p *issuer) { p.before = nil })
		time.Sleep(time.Second)
		b.login("a")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		if log := b.log.String(); !strings.Contains(log, "panicked") || strings.Contains(log, "hunter2") {
			b.Errorf("the log is %s", log)
		}
	})
}

func TestUnknownProvider(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start()
		c, err := b.store.Create(b.Context(), regcred.Credential{Provider: "ecr"})
		if err != nil {
			b.Fatal(err)
		}
		if s := b.status(r, c.GUID); s.Problem != `this server has no provider "ecr": it has issuer` {
			b.Errorf("status is %+v", s)
		}
	})
}

// TestMintTimeout: a provider that hangs is given up, and said to hang.
func TestMintTimeout(t *testing.T) {
	p := &issuer{fault: func(time.Time) error { return errHang }}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		time.Sleep(30*time.Second + 50*time.Millisecond)
		if s := b.status(r, "a"); s.Failures != 1 || !strings.Contains(s.Problem, "gave no login within 30s") {
			b.Errorf("status is %+v", s)
		}
	})
}

// TestHangingNearTheEnd: an issuer that hangs for 40% of a short lifetime leaves
// no gap, though that is less than the mint timeout.
func TestHangingNearTheEnd(t *testing.T) {
	p := &issuer{lifetime: time.Minute}
	bubble(t, p, func(b bench) {
		b.start()
		b.create("a")
		l := b.login("a")
		due := refresh.Due(l, "a")
		hang := func(now time.Time) error {
			if now.Before(due.Add(-time.Second)) || now.After(due.Add(23*time.Second)) {
				return nil
			}
			return errHang
		}
		p.set(func(p *issuer) { p.fault = hang })
		for range 5 * 60 {
			time.Sleep(time.Second)
			if b.login("a").Expired(time.Now()) {
				b.Fatalf("a gap at %s", time.Now())
			}
		}
	})
}

// TestLocationIsFound: a credential without a location gets its login's host, in
// a change that makes it no newer version.
func TestLocationIsFound(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, hosts: []string{host, "other.example.com"}}, func(b bench) {
		b.start()
		c, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer"})
		if err != nil {
			b.Fatal(err)
		}
		b.login(c.GUID)
		if c, err = b.store.Get(b.Context(), c.GUID); err != nil || c.Location.String() != host || c.Version != 1 {
			b.Errorf("the credential is %+v, %v", c, err)
		}
		b.wantMints(c.GUID, 1)
	})
}

// TestLocationIsTaken: status says so, the login is not minted again and again,
// and it is stored once the place is free.
func TestLocationIsTaken(t *testing.T) {
	p := &issuer{lifetime: time.Hour, hosts: []string{host}}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		location, err := imageref.ParseLocation(host)
		if err != nil {
			b.Fatal(err)
		}
		first, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer", Location: location})
		if err != nil {
			b.Fatal(err)
		}
		second, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer"})
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		s := b.status(r, second.GUID)
		if !strings.Contains(s.Problem, host) || !strings.Contains(s.Problem, first.GUID) || s.HasLogin {
			b.Errorf("status is %+v", s)
		}
		b.wantMints(second.GUID, 1)
		if _, err := b.store.Delete(b.Context(), first.GUID); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.login(second.GUID)
		b.wantMints(second.GUID, 1)
	})
}

// TestNoLocation: without a location and without hosts nobody could find the login.
func TestNoLocation(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start()
		c, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer"})
		if err != nil {
			b.Fatal(err)
		}
		if s := b.status(r, c.GUID); !strings.Contains(s.Problem, "give the credential a location") {
			b.Errorf("status is %+v", s)
		}
	})
}

// faulty is a store whose calls fail while a fault is set.
type faulty struct {
	regcred.Store

	mu            sync.Mutex
	fault         map[string]error // by method
	watches, puts int
}

func (f *faulty) set(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil {
		f.fault = map[string]error{}
	}
	f.fault[method] = err
}

func (f *faulty) err(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault[method]
}

func (f *faulty) Get(ctx context.Context, guid string) (regcred.Credential, error) {
	if err := f.err("Get"); err != nil {
		return regcred.Credential{}, err
	}
	return f.Store.Get(ctx, guid)
}

func (f *faulty) Fence(ctx context.Context) (uint64, error) {
	if err := f.err("Fence"); err != nil {
		return 0, err
	}
	return f.Store.Fence(ctx)
}

func (f *faulty) PutLogin(ctx context.Context, guid string, l regcred.Login, fence uint64) (uint64, error) {
	f.mu.Lock()
	f.puts++
	f.mu.Unlock()
	if err := f.err("PutLogin"); err != nil {
		return 0, err
	}
	return f.Store.PutLogin(ctx, guid, l, fence)
}

func (f *faulty) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	f.mu.Lock()
	f.watches++
	f.mu.Unlock()
	return func(yield func(regcred.Batch, error) bool) {
		if err := f.err("Watch"); err != nil {
			yield(regcred.Batch{}, err)
			return
		}
		for batch, err := range f.Store.Watch(ctx, after) {
			if !yield(batch, err) {
				return
			}
		}
	}
}

var errStore = regcred.Errorf(regcred.Unavailable, "the store cannot be reached")

// TestStoreTakesNoLogin: the login is kept and written again, without another
// mint, and handed to who asks; it is renewed only when it is due.
func TestStoreTakesNoLogin(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.set("PutLogin", errStore)
		r, _ := b.start()
		b.create("a")
		time.Sleep(20 * time.Minute)
		b.wantMints("a", 1)
		if store.puts < 10 {
			b.Errorf("it was written %d times", store.puts)
		}
		if s := b.status(r, "a"); s.Problem != errStore.Error() || s.Mints != 1 || s.HasLogin {
			b.Errorf("status is %+v", s)
		}
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
			b.Errorf("Ensure: %+v, %v", l, err)
		}
		store.set("PutLogin", nil)
		time.Sleep(time.Minute)
		if got := b.login("a").Password.Reveal(); got != "token-1" {
			b.Errorf("the login is %s", got)
		}
		b.wantMints("a", 1)
		if s := b.status(r, "a"); s.Problem != "" || !s.HasLogin {
			b.Errorf("status is %+v", s)
		}
		time.Sleep(30 * time.Minute)
		b.wantMints("a", 2)
	})
}

// TestUnsavedExpires: what could not be stored until it expired is replaced.
func TestUnsavedExpires(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.set("PutLogin", errStore)
		b.start()
		b.create("a")
		time.Sleep(61*time.Minute + time.Second)
		b.wantMints("a", 2)
		store.set("PutLogin", nil)
		time.Sleep(time.Minute)
		if got := b.login("a").Password.Reveal(); got != "token-2" {
			b.Errorf("the login is %s", got)
		}
	})
}

// TestStoreCannotBeRead: nothing is minted, and nothing is lost.
func TestStoreCannotBeRead(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		for _, method := range []string{"Fence", "Watch", "Get"} {
			store.set(method, errStore)
		}
		r, _ := b.start()
		b.create("a")
		time.Sleep(10 * time.Minute)
		store.set("Fence", nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if store.watches < 2 || store.watches > 60 {
			b.Errorf("in two minutes the store was watched %d times", store.watches)
		}
		store.set("Watch", nil)
		time.Sleep(2 * time.Minute)
		b.wantMints("a", 0)
		if s := b.status(r, "a"); s.Problem != errStore.Error() {
			b.Errorf("status is %+v", s)
		}
		if _, err := r.Ensure(b.Context(), "a"); !errors.Is(err, errStore) {
			b.Errorf("Ensure: %v", err)
		}
		store.set("Get", nil)
		time.Sleep(time.Minute)
		b.login("a")
		b.wantMints("a", 1)
	})
}

// TestStopWhileMinting: a login that the issuer gave just as Run is stopped is
// still written.
func TestStopWhileMinting(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		_, stop := b.start()
		stopping := make(chan error)
		p.before = func(regcred.Credential) {
			p.set(func(p *issuer) { p.before = nil })
			go func() { stopping <- stop() }()
			time.Sleep(time.Second)
		}
		b.create("a")
		if err := <-stopping; err != nil {
			b.Fatal(err)
		}
		if got := b.login("a").Password.Reveal(); got != "token-1" {
			b.Errorf("the login is %s", got)
		}
	})
}

// TestCorruptRow: a credential that cannot be read is reported, not minted from,
// and recovers once it is whole again.
func TestCorruptRow(t *testing.T) {
	corrupt := regcred.Errorf(regcred.Corrupt, "credential a does not pass its integrity check")
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.set("Get", corrupt)
		r, _ := b.start()
		b.create("a")
		time.Sleep(time.Hour)
		b.wantMints("a", 0)
		if s := b.status(r, "a"); s.Problem != corrupt.Error() {
			b.Errorf("status is %+v", s)
		}
		store.set("Get", nil)
		time.Sleep(time.Minute)
		b.login("a")
	})
}

package refresh_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// What TestZeroGap plays: a day with -short; `make soak` plays more.
var (
	firstSeed = flag.Uint64("seed", 1, "the first seed of TestZeroGap")
	seeds     = flag.Int("seeds", 1, "how many seeds TestZeroGap plays, one after the other")
	days      = flag.Int("days", 30, "how many days each of them is")
)

// A class is credentials whose logins have one lifetime.
type class struct {
	name        string
	lifetime    time.Duration
	credentials int
	issuers     int     // that they are spread over
	sources     int     // that they share; 0: each has its own
	quota       float64 // mints a second that each issuer really allows; 0: any number
}

var classes = []class{
	{name: "12h", lifetime: 12 * time.Hour, credentials: 1000, issuers: 2, quota: 3},
	{name: "1h", lifetime: time.Hour, credentials: 100, issuers: 2},
	{name: "15m", lifetime: 15 * time.Minute, credentials: 25, issuers: 1},
	{name: "shared-1h", lifetime: time.Hour, credentials: 50, issuers: 1, sources: 5},
}

// How the server fares.
const (
	meanUptime  = 8 * time.Hour
	longestAway = 5 * time.Second // between two of its runs
	settled     = 10 * time.Minute
)

// TestZeroGap plays months of a server whose issuers, store and process fail again
// and again, on simulated time. Whatever happens, from the first login of a
// credential on: its stored login never expires before there is a new one; every
// read gets a valid login; and no two mints of it are under way at once.
//
// What goes wrong follows from the seed alone, and so does how long each failure
// waits. (In which order things happen that are due in the same instant does not.)
func TestZeroGap(t *testing.T) {
	length := *days
	if testing.Short() {
		length = 1
	}
	for n := range *seeds {
		seed := *firstSeed + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			var figures string
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed)
				s.play(time.Duration(length) * 24 * time.Hour)
				figures = s.figures()
			})
			t.Logf("seed %d: %d days in %s: %s", seed, length, time.Since(began).Round(100*time.Millisecond), figures)
		})
	}
}

// simulation is one run.
type simulation struct {
	*testing.T

	seed    uint64
	store   *simStore
	issuers *simProvider
	guids   []string
	ctx     context.Context // until the end

	server   atomic.Pointer[refresh.Refresher] // the newest
	running  sync.WaitGroup                    // reads
	restarts int
	changes  int
	reads    atomic.Int64
}

// chance returns what is random about the nth event of a name.
func (s *simulation) chance(name string, n int) *rand.Rand {
	h := s.seed
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211 // FNV-1a
	}
	return rand.New(rand.NewPCG(h, uint64(n)))
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := &simulation{T: t, seed: seed}
	s.store = &simStore{Store: memory.New(), sim: s, logins: map[string]*simLogin{}, next: time.Now()}
	s.issuers = newSimProvider(s)
	for _, class := range classes {
		for n := range class.credentials {
			s.create(class, n)
		}
	}
	return s
}

func (s *simulation) create(class class, n int) {
	settings := map[string]string{"issuer": fmt.Sprint(class.name, "/", n%class.issuers)}
	guid, provider, where := fmt.Sprint(class.name, "-", n), "alone", fmt.Sprint(host, "/", class.name, "/", n)
	if class.sources > 0 {
		provider, where = "shared", fmt.Sprint(host, "/", class.name, "/", n%class.sources)
	}
	location, err := imageref.ParseLocation(where)
	if err != nil {
		s.Fatal(err)
	}
	c := regcred.Credential{GUID: guid, Scope: regcred.OrgScope(guid), Location: location, Provider: provider, Settings: settings}
	if _, err := s.store.Create(s.Context(), c); err != nil {
		s.Fatal(err)
	}
	s.guids = append(s.guids, guid)
	s.store.logins[guid] = &simLogin{class: class.name, lifetime: class.lifetime}
}

// play runs servers one after the other, for a time in all.
func (s *simulation) play(length time.Duration) {
	end := time.Now().Add(length)
	ctx, cancel := context.WithCancel(s.Context())
	s.ctx = ctx
	stop := s.start(ctx)
	time.Sleep(settled)
	s.running.Go(func() { s.readAtRandom(ctx) })
	s.running.Go(func() { s.changeAtRandom(ctx) })
	for time.Now().Before(end) {
		r := s.chance("restart", s.restarts)
		uptime := time.Duration(r.ExpFloat64() * float64(meanUptime))
		if r.IntN(4) == 0 {
			uptime = time.Duration(r.Int64N(int64(time.Minute))) // it crashes again
		}
		time.Sleep(min(uptime, time.Until(end)))
		stop()
		time.Sleep(time.Duration(r.Int64N(int64(longestAway))))
		stop = s.start(ctx)
		s.restarts++
	}
	cancel()
	stop()
	s.running.Wait()
	s.store.checkAll(time.Now())
}

// start starts a server; stop ends it and waits until it has.
func (s *simulation) start(ctx context.Context) (stop func()) {
	r := refresh.New(refresh.Options{
		Store:     s.store,
		Providers: map[string]regcred.Provider{"alone": s.issuers, "shared": simShared{s.issuers}},
	})
	var mu sync.Mutex
	waits := map[string]int{}
	run := s.restarts << 32
	r.SetJitter(func(guid string) float64 {
		mu.Lock()
		defer mu.Unlock()
		waits[guid]++
		return s.chance(guid+" waits", run+waits[guid]).Float64()
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			s.Errorf("seed %d: Run: %v", s.seed, err)
		}
	})
	s.server.Store(r)
	return func() {
		cancel()
		running.Wait()
	}
}

// readAtRandom reads logins at random times, one in half a minute.
func (s *simulation) readAtRandom(ctx context.Context) {
	r := s.chance("reads", 0)
	for sleep(ctx, time.Duration(r.ExpFloat64()*float64(30*time.Second))) {
		s.read(ctx, s.guids[r.IntN(len(s.guids))])
	}
}

// changeAtRandom changes what credentials are minted from, one in half an hour.
func (s *simulation) changeAtRandom(ctx context.Context) {
	r := s.chance("changes", 0)
	for sleep(ctx, time.Duration(r.ExpFloat64()*float64(30*time.Minute))) {
		guid := s.guids[r.IntN(len(s.guids))]
		_, err := s.store.Update(ctx, guid, func(c *regcred.Credential) error {
			c.Settings["changed"] = time.Now().String()
			return nil
		})
		if err != nil {
			s.Errorf("seed %d: %v", s.seed, err)
		}
		s.changes++
		s.read(ctx, guid)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// read asks the server for a login, while all else goes on.
func (s *simulation) read(ctx context.Context, guid string) {
	s.running.Go(func() {
		s.reads.Add(1)
		began := time.Now()
		l, err := s.server.Load().Ensure(context.WithValue(ctx, reading{}, true), guid)
		valid := s.store.valid(guid)
		switch {
		case ctx.Err() != nil:
		case err != nil && valid != "":
			s.Errorf("seed %d: at %s a read of %s, begun at %s: %v; %s", s.seed, time.Now(), guid, began, err, valid)
		case err == nil && l.Expired(time.Now()):
			s.Errorf("seed %d: at %s a read of %s, begun at %s, gets what expired at %s", s.seed, time.Now(), guid, began, l.ExpiresAt)
		}
	})
}

// readAround reads a login in the instants before, at and after it is due.
func (s *simulation) readAround(guid string, due time.Time) {
	s.running.Go(func() {
		for _, at := range []time.Time{due.Add(-time.Nanosecond), due, due.Add(time.Nanosecond)} {
			if !sleep(s.ctx, time.Until(at)) {
				return
			}
			s.read(s.ctx, guid)
		}
	})
}

// figures says what the run has seen.
func (s *simulation) figures() string {
	return fmt.Sprintf("%d logins by %d mints, %d outages, %d restarts, %d changes, %d store errors, %d reads; %s; gaps=%d",
		s.issuers.tokens, s.issuers.mints, s.issuers.outages(), s.restarts, s.changes, s.store.errors, s.reads.Load(), s.store.worst(), s.store.gaps)
}

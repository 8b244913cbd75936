package refresh_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"regcred.dev"
	"regcred.dev/refresh"
)

// simStore is a store that fails now and then, and sees every login.
type simStore struct {
	regcred.Store

	sim *simulation

	mu       sync.Mutex
	logins   map[string]*simLogin // by guid
	errors   int
	gaps     int
	until    time.Time // of the failure under way, or the last one
	next     time.Time // one begins
	failures int
}

// simLogin is what is known of a credential's stored login.
type simLogin struct {
	class    string
	lifetime time.Duration
	expires  time.Time     // by what is stored, or by the issuer's own count where that is earlier; zero: none yet
	least    time.Duration // that was left of a login when the next one came
	renewals int
	puts     int // tried
}

// reading marks the context of a read by the test, which sees no failure of the
// store: nobody could get a login from a store that is away.
type reading struct{}

// How the store fails: all of it for a while, and single writes.
const (
	meanStoreUptime = 6 * time.Hour
	longestFailure  = 4 * time.Second
	writeFailures   = 0.002
)

// fail returns the failure of an operation, if it has one.
func (f *simStore) fail(ctx context.Context) error {
	if ctx.Value(reading{}) != nil {
		return nil
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !now.Before(f.next) {
		r := f.sim.chance("store", f.failures)
		f.until = f.next.Add(time.Duration(r.Int64N(int64(longestFailure))))
		f.next = f.until.Add(time.Duration(r.ExpFloat64() * float64(meanStoreUptime)))
		f.failures++
	}
	if now.Before(f.until) {
		f.errors++
		return errStore
	}
	return nil
}

func (f *simStore) Get(ctx context.Context, guid string) (regcred.Credential, error) {
	if err := f.fail(ctx); err != nil {
		return regcred.Credential{}, err
	}
	return f.Store.Get(ctx, guid)
}

func (f *simStore) Login(ctx context.Context, guid string) (regcred.Login, error) {
	if err := f.fail(ctx); err != nil {
		return regcred.Login{}, err
	}
	return f.Store.Login(ctx, guid)
}

func (f *simStore) Fence(ctx context.Context) (uint64, error) {
	if err := f.fail(ctx); err != nil {
		return 0, err
	}
	return f.Store.Fence(ctx)
}

// Watch ends with an error when the store fails.
func (f *simStore) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		for batch, err := range f.Store.Watch(ctx, after) {
			if err == nil {
				err = f.fail(ctx)
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

func (f *simStore) PutLogin(ctx context.Context, guid string, l regcred.Login, fence uint64) (uint64, error) {
	if err := f.fail(ctx); err != nil {
		return 0, err
	}
	f.mu.Lock()
	f.logins[guid].puts++
	r := f.sim.chance(guid+" puts", f.logins[guid].puts)
	f.mu.Unlock()
	lost := r.Float64()
	if lost < writeFailures {
		return 0, errStore
	}
	revision, err := f.Store.PutLogin(ctx, guid, l, fence)
	if err != nil {
		return 0, err
	}
	f.note(guid, l)
	if r.IntN(16) == 0 {
		f.sim.readAround(guid, refresh.Due(l, guid))
	}
	if lost < 2*writeFailures {
		return 0, errStore // it is stored, but the answer was lost
	}
	return revision, nil
}

// note takes in a stored login: the one before it must not have expired.
func (f *simStore) note(guid string, l regcred.Login) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.logins[guid]
	if !s.expires.IsZero() {
		f.check(guid, s, now)
		left := s.expires.Sub(now)
		if s.renewals++; s.renewals == 1 || left < s.least {
			s.least = left
		}
	}
	s.expires = earliest(l.ExpiresAt, trueExpiry(l))
}

func earliest(t, u time.Time) time.Time {
	if u.Before(t) {
		return u
	}
	return t
}

// check fails the run where a login has expired.
func (f *simStore) check(guid string, s *simLogin, now time.Time) {
	if now.Before(s.expires) {
		return
	}
	if f.gaps++; f.gaps <= 10 {
		f.sim.Errorf("seed %d: a gap of %s, from %s to %s: %s", f.sim.seed, guid, s.expires, now, f.sim.issuers.explain(guid))
	}
}

// checkAll checks every credential at the end.
func (f *simStore) checkAll(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for guid, s := range f.logins {
		f.check(guid, s, now)
	}
}

// valid says until when a credential's login is valid; "" where it is not.
func (f *simStore) valid(guid string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if expires := f.logins[guid].expires; time.Now().Before(expires) {
		return "the stored one is valid until " + expires.String()
	}
	return ""
}

// worst says for each class how little was left of a login when the next one came.
func (f *simStore) worst() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, class := range classes {
		least := class.lifetime
		for _, s := range f.logins {
			if s.class == class.name && s.renewals > 0 {
				least = min(least, s.least)
			}
		}
		all = append(all, fmt.Sprintf("%s %s (%.1f%%)", class.name, least.Round(time.Second), 100*float64(least)/float64(class.lifetime)))
	}
	return "least left at a renewal: " + strings.Join(all, ", ")
}

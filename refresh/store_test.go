package refresh_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// faulty is a store whose calls fail while a fault is set.
type faulty struct {
	regcred.Store

	mu            sync.Mutex
	fault         map[string]error // by method
	stored        func()           // called after each PutLogin that went well
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

func (f *faulty) Login(ctx context.Context, guid string) (regcred.Login, error) {
	if err := f.err("Login"); err != nil {
		return regcred.Login{}, err
	}
	return f.Store.Login(ctx, guid)
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
	revision, err := f.Store.PutLogin(ctx, guid, l, fence)
	if f.stored != nil && err == nil {
		f.stored()
	}
	return revision, err
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

// TestCorruptLogin: a login that cannot be read is replaced.
func TestCorruptLogin(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		r, _ := b.start()
		b.create("a")
		b.login("a")
		store.set("Login", regcred.Errorf(regcred.Corrupt, "the login of credential a does not pass its integrity check"))
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-2" {
			b.Errorf("Ensure: %+v, %v", l, err)
		}
		store.set("Login", errStore)
		if _, err := r.Ensure(b.Context(), "a"); !errors.Is(err, errStore) {
			b.Errorf("Ensure without the store: %v", err)
		}
	})
}

// TestWatchRepeats: a state of the store that is older than what is known, as a
// watch may deliver late, changes nothing.
func TestWatchRepeats(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		b.store = repeating{b.store}
		b.start()
		for _, guid := range []string{"a", "b", "c"} {
			b.create(guid)
			b.login(guid)
		}
		for _, guid := range []string{"a", "b", "c"} {
			b.wantMints(guid, 1)
		}
	})
}

// repeating is a store whose Watch yields the batches before it again after each.
type repeating struct{ regcred.Store }

func (r repeating) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		var earlier []regcred.Batch
		for batch, err := range r.Store.Watch(ctx, after) {
			for _, each := range append([]regcred.Batch{batch}, earlier...) {
				if !yield(each, err) {
					return
				}
			}
			earlier = append(earlier, batch)
		}
	}
}

// TestChangedBeforeItLands: the credential is changed, and the watch tells of it,
// between the write of a login and the end of its attempt.
func TestChangedBeforeItLands(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.stored = func() {
			store.stored = nil
			b.change("a")
			time.Sleep(time.Second)
		}
		r, _ := b.start()
		b.create("a")
		time.Sleep(500 * time.Millisecond)
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Version != 2 {
			b.Errorf("Ensure: %+v, %v", l, err)
		}
		if l := b.login("a"); l.Version != 2 {
			b.Errorf("the login is %+v", l)
		}
	})
}

// TestUnsavedIsOutdated: the credential is changed while its login waits to be
// stored, and the watch has not told of it.
func TestUnsavedIsOutdated(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.set("Watch", errStore)
		store.set("PutLogin", errStore)
		r, _ := b.start()
		b.create("a")
		if _, err := r.Ensure(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		b.change("a")
		store.set("PutLogin", nil)
		time.Sleep(time.Minute)
		if l := b.login("a"); l.Version != 2 || l.Password.Reveal() != "token-2" {
			b.Errorf("the login is %+v", l)
		}
		if _, err := r.Mint(b.Context(), "a"); err != nil {
			b.Errorf("a new login later: %v", err)
		}
	})
}

// TestMintIsFresh: who asks for a new login gets one, also where an older one
// waits to be stored.
func TestMintIsFresh(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.set("PutLogin", errStore)
		r, _ := b.start()
		b.create("a")
		synctest.Wait()
		if l, err := r.Mint(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-2" {
			b.Errorf("got %+v, %v", l, err)
		}
	})
}

// TestDeletedUnseen: a credential whose deletion the watch did not tell of is
// forgotten when it is due.
func TestDeletedUnseen(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		store.set("Watch", errStore)
		r, _ := b.start()
		b.create("a")
		if _, err := r.Ensure(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		if _, err := b.store.Delete(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s, ok := r.Status("a"); ok {
			b.Errorf("status is %+v", s)
		}
	})
}

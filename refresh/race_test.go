package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// late is a store whose answers about logins take a second to arrive, and whose
// taking of a login one can act on in the same moment.
type late struct {
	regcred.Store

	slow bool
	put  func(guid string, l regcred.Login) // before a login is stored
}

func (s *late) Login(ctx context.Context, guid string) (regcred.Login, error) {
	l, err := s.Store.Login(ctx, guid)
	if s.slow {
		time.Sleep(time.Second)
	}
	return l, err
}

func (s *late) PutLogin(ctx context.Context, guid string, l regcred.Login, fence uint64) (uint64, error) {
	if s.put != nil {
		s.put(guid, l)
	}
	return s.Store.PutLogin(ctx, guid, l, fence)
}

// TestEnsureComesLate: a login that was stored while Ensure looked for one is taken,
// not minted once more.
func TestEnsureComesLate(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, slow: 500 * time.Millisecond}, func(b bench) {
		b.store = &late{Store: b.store, slow: true}
		r, _ := b.start()
		synctest.Wait()
		b.create("a")
		if l, err := r.Ensure(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-1" {
			b.Errorf("Ensure: %+v, %v", l, err)
		}
		b.wantMints("a", 1)
	})
}

// TestSharedDroppedMeanwhile: a login that is dropped because it leaked, in the very
// moment in which another credential takes it over, does not live on with that one.
func TestSharedDroppedMeanwhile(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, info: shares}, func(b bench) {
		store := &late{Store: b.store}
		store.put = func(guid string, l regcred.Login) {
			if guid != "b" || l.Password.Reveal() != "token-1" {
				return
			}
			if _, err := store.DropLogin(b.Context(), "a"); err != nil {
				b.Error(err)
			}
		}
		b.store = store
		b.start()
		b.createShared("a")
		b.wantToken("a", "token-1")
		time.Sleep(time.Second)
		b.createShared("b")
		time.Sleep(time.Minute)
		for _, guid := range []string{"a", "b"} {
			if b.login(guid).Password.Reveal() == "token-1" {
				b.Errorf("%s has the login that was dropped", guid)
			}
		}
	})
}

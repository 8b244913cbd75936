package service_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

// hooks is a store that stops here and there.
type hooks struct {
	regcred.Store
	updated    func() // after an update
	beforeDrop func() // before the first login is dropped
}

func (h *hooks) Update(ctx context.Context, guid string, change func(*regcred.Credential) error) (regcred.Credential, error) {
	c, err := h.Store.Update(ctx, guid, change)
	if h.updated != nil {
		h.updated()
	}
	return c, err
}

func (h *hooks) DropLogin(ctx context.Context, guid string) (uint64, error) {
	if f := h.beforeDrop; f != nil {
		h.beforeDrop = nil
		f()
	}
	return h.Store.DropLogin(ctx, guid)
}

// hooked is a bubble whose store has hooks.
func hooked(t *testing.T, test func(bench, *hooks)) {
	t.Helper()
	h := new(hooks)
	bubble(t, func(s regcred.Store) regcred.Store { h.Store = s; return h }, func(b bench) { test(b, h) })
}

// TestRevokeShared: a login that leaked is dropped for all that have it, and they
// share the next one.
func TestRevokeShared(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c, other := b.create("acme", "one-key"), b.create("other", "one-key")
		apart := b.create("apart", "another-key")
		b.wantPassword(other.GUID, "token-1")
		if _, err := b.Refresh(b.Context(), regcred.Local, c.GUID, true); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		b.wantPassword(apart.GUID, "token-2")
		for _, guid := range []string{c.GUID, other.GUID} {
			if stored, err := b.store.Get(b.Context(), guid); err != nil || stored.DropRevision == 0 {
				b.Errorf("no order to take its login away: %+v, %v", stored, err)
			}
			if got := b.password(guid); got == "" || got == "token-1" {
				b.Errorf("its login is %q", got)
			}
		}
	})
}

// TestRevokeByUpdate: the login that leaked is the one before the update, also
// where the new one comes before the drop.
func TestRevokeByUpdate(t *testing.T) {
	hooked(t, func(b bench, h *hooks) {
		c, other := b.create("acme", "one-key"), b.create("other", "one-key")
		h.updated = func() { time.Sleep(time.Minute) }
		up := key("new-key")
		up.Revoke = true
		if _, err := b.Update(b.Context(), regcred.Local, c.GUID, up); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, guid := range []string{c.GUID, other.GUID} {
			if stored, err := b.store.Get(b.Context(), guid); err != nil || stored.DropRevision == 0 {
				b.Errorf("no order to take its login away: %+v, %v", stored, err)
			}
		}
	})
}

// TestRevokeReachesBorrower: somebody who begins to share the login while it is
// being dropped loses it too.
func TestRevokeReachesBorrower(t *testing.T) {
	hooked(t, func(b bench, h *hooks) {
		c := b.create("acme", "one-key")
		var late string
		h.beforeDrop = func() {
			stored, err := b.store.Create(b.Context(), regcred.Credential{
				Scope: regcred.OrgScope("late"), Location: c.Location, Provider: c.Provider, Origin: regcred.OriginAPI,
				Secrets: map[string]regcred.Secret{"key": regcred.NewSecret("one-key")},
			})
			if err != nil {
				b.Fatal(err)
			}
			late = stored.GUID
			synctest.Wait()
			b.wantPassword(late, "token-1")
		}
		if _, err := b.Refresh(b.Context(), regcred.Local, c.GUID, true); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.password(late); got == "token-1" {
			b.Errorf("it still has the login that leaked")
		}
	})
}

// TestRevokeSameToken: an issuer that hands out the same token again does not have
// it dropped again and again.
func TestRevokeSameToken(t *testing.T) {
	bubble(t, nil, func(b bench) {
		b.issuer.set(func(_ regcred.Credential, l *regcred.Login) error {
			l.Password = regcred.NewSecret("the-same-token")
			return nil
		})
		c, other := b.create("acme", "one-key"), b.create("other", "one-key")
		if _, err := b.Refresh(b.Context(), regcred.Local, c.GUID, true); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, guid := range []string{c.GUID, other.GUID} {
			b.wantPassword(guid, "the-same-token")
			if stored, err := b.store.Get(b.Context(), guid); err != nil || stored.Version != 2 {
				b.Errorf("it was dropped %d times, %v", stored.Version-1, err)
			}
		}
	})
}

// TestRevokeDuringMint: what was being minted while the login was dropped is not
// the new login.
func TestRevokeDuringMint(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "one-key")
		release := make(chan struct{})
		b.issuer.set(func(regcred.Credential, *regcred.Login) error { <-release; return nil })
		go func() { _, _ = b.Refresh(b.Context(), regcred.Local, c.GUID, false) }()
		time.Sleep(2 * time.Second)
		done := make(chan error)
		go func() {
			_, err := b.Refresh(b.Context(), regcred.Local, c.GUID, true)
			done <- err
		}()
		synctest.Wait()
		b.wantPassword(c.GUID, "")
		close(release)
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.wantPassword(c.GUID, "token-3")
	})
}

// TestDeleteDuringCheck: a credential that goes while it is checked is not there.
func TestDeleteDuringCheck(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "one-key")
		release := make(chan struct{})
		b.issuer.set(func(regcred.Credential, *regcred.Login) error { <-release; return nil })
		done := make(chan error)
		go func() {
			report, err := b.Check(b.Context(), regcred.Local, c.GUID, "")
			if report.Accepted {
				b.Error("its login is accepted")
			}
			done <- err
		}()
		time.Sleep(2 * time.Second)
		if err := b.Delete(b.Context(), regcred.Local, c.GUID); err != nil {
			b.Fatal(err)
		}
		close(release)
		if err := <-done; err != nil && regcred.CodeOf(err) != regcred.NotFound {
			b.Errorf("its check: %v", err)
		}
		b.wantPassword(c.GUID, "")
		if _, err := b.Get(b.Context(), regcred.Local, c.GUID); regcred.CodeOf(err) != regcred.NotFound {
			b.Errorf("after it was deleted: %v", err)
		}
	})
}

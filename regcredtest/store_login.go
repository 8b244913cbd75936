package regcredtest

import (
	"sync"
	"testing"

	"regcred.dev"
)

func testFence(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	_, err := s.PutLogin(t.Context(), c.GUID, login(1), 0)
	wantCode(t, "no fence was ever asked for", err, regcred.Stale)

	first := newFence(t, s)
	putLogin(t, s, c.GUID, login(1), first)
	second := newFence(t, s)
	if first == 0 || second <= first {
		t.Fatalf("fences %d, then %d", first, second)
	}
	for _, fence := range []uint64{0, first, second + 1} {
		_, err = s.PutLogin(t.Context(), c.GUID, login(1), fence)
		wantCode(t, "a fence that is not the newest", err, regcred.Stale)
	}
	putLogin(t, s, c.GUID, login(1), second)

	var mu sync.Mutex
	seen := map[uint64]bool{first: true, second: true}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			fence, err := s.Fence(t.Context())
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[fence] {
				t.Errorf("fence %d twice, or %v", fence, err)
			}
			seen[fence] = true
		})
	}
	wg.Wait()
}

func testLogin(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	fence := newFence(t, s)
	_, err := s.Login(t.Context(), c.GUID)
	wantCode(t, "Login of none", err, regcred.NotFound, c.GUID)
	_, err = s.Login(t.Context(), "nobody")
	wantCode(t, "Login of nobody", err, regcred.NotFound, "nobody")
	_, err = s.PutLogin(t.Context(), "nobody", login(1), fence)
	wantCode(t, "PutLogin for nobody", err, regcred.NotFound, "nobody")

	wantLogin := func(what string, want regcred.Login) {
		t.Helper()
		got, err := s.Login(t.Context(), c.GUID)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		wantEqual(t, what, got, want)
	}
	if revision := putLogin(t, s, c.GUID, login(1), fence); revision != c.Revision+1 {
		t.Errorf("put at revision %d, after %d", revision, c.Revision)
	}
	wantLogin("the first one", login(1))
	plain := regcred.Login{Username: "robot", Password: regcred.NewSecret("p"), Version: 1}
	revision := putLogin(t, s, c.GUID, plain, fence)
	wantLogin("in place of it", plain)

	// The login is no part of the credential, but its revision is.
	want := c.Clone()
	want.Revision = revision
	wantEqual(t, "the credential", get(t, s, c.GUID), want)
}

// testDrop: a drop is a change with a login and without one, each time.
func testDrop(t *testing.T, s regcred.Store) {
	want := create(t, s, full())
	putLogin(t, s, want.GUID, login(1), newFence(t, s))
	w := watch(t, s, 0)
	w.next()
	for _, what := range []string{"of a login", "again", "once more"} {
		revision := dropLogin(t, s, want.GUID)
		if stored := get(t, s, want.GUID); revision != stored.Revision {
			t.Errorf("dropped %s at revision %d, the credential is at %d", what, revision, stored.Revision)
		}
		_, err := s.Login(t.Context(), want.GUID)
		wantCode(t, "Login of one that was dropped "+what, err, regcred.NotFound, want.GUID)
		want.Version++
		want.DropRevision, want.Revision = revision, revision
		wantEqual(t, "the credential dropped "+what, get(t, s, want.GUID), want)
		w.wantBatch("the drop "+what, revision, changed(want, nil))
	}
	never := create(t, s, static(regcred.Foundation, "quay.io"))
	never.Revision = dropLogin(t, s, never.GUID)
	never.DropRevision, never.Version = never.Revision, 2
	wantEqual(t, "one that never had a login", get(t, s, never.GUID), never)

	_, err := s.DropLogin(t.Context(), "nobody")
	wantCode(t, "DropLogin of nobody", err, regcred.NotFound, "nobody")
	remove(t, s, never.GUID)
	_, err = s.DropLogin(t.Context(), never.GUID)
	wantCode(t, "DropLogin of a deleted one", err, regcred.NotFound, never.GUID)
}

// testDropInFlight: a login that was being minted while its like was dropped does
// not take its place. One that is minted after that does.
func testDropInFlight(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	fence := newFence(t, s)
	putLogin(t, s, c.GUID, login(c.Version), fence)
	dropped := dropLogin(t, s, c.GUID)
	_, err := s.PutLogin(t.Context(), c.GUID, login(c.Version), fence)
	wantCode(t, "a login from before the drop", err, regcred.Stale, c.GUID)
	if change := watch(t, s, 0).next().Changes[0]; change.Login != nil || change.Credential.DropRevision != dropped {
		t.Errorf("Watch after the drop: %+v", change)
	}
	fresh := login(get(t, s, c.GUID).Version)
	revision := putLogin(t, s, c.GUID, fresh, fence)
	change := watch(t, s, 0).next().Changes[0]
	if change.Login == nil || change.Credential.DropRevision != dropped || change.Revision != revision || revision <= dropped {
		t.Errorf("Watch after a new login at revision %d, dropped at %d: %+v", revision, dropped, change)
	}
}

// testDropStays: only DropLogin says when a login was dropped. A new credential of a
// deleted one's guid begins anew.
func testDropStays(t *testing.T, s regcred.Store) {
	c := full()
	c.DropRevision = 4711
	if c = create(t, s, c); c.DropRevision != 0 {
		t.Errorf("created with a login dropped at %d", c.DropRevision)
	}
	dropped := dropLogin(t, s, c.GUID)
	c = update(t, s, c.GUID, func(c *regcred.Credential) { c.Username, c.DropRevision = "other", 0 })
	if stored := get(t, s, c.GUID); c.DropRevision != dropped || stored.DropRevision != dropped {
		t.Errorf("dropped at %d; an update returns %d, then it is %d", dropped, c.DropRevision, stored.DropRevision)
	}
	remove(t, s, c.GUID)
	if c = create(t, s, c); c.DropRevision != 0 || get(t, s, c.GUID).DropRevision != 0 {
		t.Errorf("created again with a login dropped at %d", c.DropRevision)
	}
}

// testLoginVersions: a login serves until one of a newer version is there.
func testLoginVersions(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	fence := newFence(t, s)
	for _, version := range []uint64{0, 2} {
		_, err := s.PutLogin(t.Context(), c.GUID, login(version), fence)
		code := regcred.Stale
		if version > c.Version {
			code = regcred.Invalid
		}
		wantCode(t, "a login of another version", err, code, c.GUID)
	}
	putLogin(t, s, c.GUID, login(1), fence)
	update(t, s, c.GUID, func(c *regcred.Credential) { c.Password = regcred.NewSecret("new") })
	if got, err := s.Login(t.Context(), c.GUID); err != nil || got.Version != 1 {
		t.Errorf("after an update: version %d, %v", got.Version, err)
	}
	if change := watch(t, s, 0).next().Changes[0]; change.Login == nil || change.Login.Version != 1 || change.Credential.Version != 2 {
		t.Errorf("Watch after an update: %+v", change)
	}
	_, err := s.PutLogin(t.Context(), c.GUID, login(1), fence)
	wantCode(t, "a login of the version before", err, regcred.Stale, c.GUID)
	putLogin(t, s, c.GUID, login(2), fence)
	if got, err := s.Login(t.Context(), c.GUID); err != nil || got.Version != 2 {
		t.Errorf("the new one: version %d, %v", got.Version, err)
	}
}

// testRevisions: each change takes the next revision, and nothing else takes one.
func testRevisions(t *testing.T, s regcred.Store) {
	a := create(t, s, full())
	next := a.Revision
	want := func(what string, got uint64) {
		t.Helper()
		if next++; got != next {
			t.Errorf("%s: revision %d, want %d", what, got, next)
		}
	}
	b := create(t, s, static(regcred.Foundation, "quay.io"))
	want("Create", b.Revision)
	if _, err := s.Create(t.Context(), static(regcred.Foundation, "quay.io")); err == nil {
		t.Error("created twice")
	}
	fence := newFence(t, s)
	want("PutLogin", putLogin(t, s, b.GUID, login(1), fence))
	if _, err := s.PutLogin(t.Context(), b.GUID, login(1), fence+1); err == nil {
		t.Error("put with a fence of nobody")
	}
	want("Update", update(t, s, a.GUID, func(c *regcred.Credential) { c.Labels = nil }).Revision)
	want("DropLogin", dropLogin(t, s, b.GUID))
	want("DropLogin of none", dropLogin(t, s, b.GUID))
	want("Delete", remove(t, s, a.GUID))
	want("Create", create(t, s, full()).Revision)
}

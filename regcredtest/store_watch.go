package regcredtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev"
	"regcred.dev/imageref"
)

// contract compares values of the contract.
func contract() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(imageref.Location{}), cmpopts.EquateErrors()}
}

// watcher pulls batches from a Watch, one at a time.
type watcher struct {
	t    *testing.T
	next func() regcred.Batch
	// end returns the error that the Watch ends with; there must be no batch.
	end func() error
}

// watch starts a Watch that ends with the test, or when a batch is long overdue.
func watch(t *testing.T, s regcred.Store, after uint64) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	pull, stop := iter.Pull2(s.Watch(ctx, after))
	t.Cleanup(func() { cancel(); stop() })
	w := &watcher{t: t}
	step := func() (regcred.Batch, error, bool) {
		overdue := time.AfterFunc(patience, cancel)
		defer overdue.Stop()
		return pull()
	}
	w.next = func() regcred.Batch {
		t.Helper()
		batch, err, ok := step()
		if err != nil || !ok {
			t.Fatalf("Watch ended with %v", err)
		}
		return batch
	}
	w.end = func() error {
		t.Helper()
		batch, err, ok := step()
		if !ok || err == nil {
			t.Fatalf("Watch went on with %+v, or ended without an error", batch)
		}
		if _, _, ok := step(); ok {
			t.Fatal("Watch went on after an error")
		}
		return err
	}
	return w
}

// wantBatch checks the next batch, which is Current.
func (w *watcher) wantBatch(what string, revision uint64, changes ...regcred.Change) {
	w.t.Helper()
	want := regcred.Batch{Revision: revision, Current: true, Changes: changes}
	if diff := cmp.Diff(want, w.next(), contract(), cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// changed is the change that shows c as it is, with a login or none.
func changed(c regcred.Credential, l *regcred.Login) regcred.Change {
	return regcred.Change{Revision: c.Revision, Credential: c.Public(), Login: l}
}

func deleted(c regcred.Credential, revision uint64) regcred.Change {
	c = regcred.Credential{GUID: c.GUID, Scope: c.Scope, Location: c.Location}
	return regcred.Change{Revision: revision, Credential: c, Deleted: true}
}

func testWatchFirst(t *testing.T, s regcred.Store) {
	w := watch(t, s, 0)
	w.wantBatch("an empty store", 0)
	c := create(t, s, full())
	w.wantBatch("the first credential", c.Revision, changed(c, nil))
}

func testWatchChanges(t *testing.T, s regcred.Store) {
	fence := newFence(t, s)
	a := create(t, s, full())
	b := create(t, s, static(regcred.Foundation, "quay.io"))
	w := watch(t, s, 0)
	w.wantBatch("all that is there", b.Revision, changed(a, nil), changed(b, nil))

	a.Revision = putLogin(t, s, a.GUID, login(1), fence)
	stored := login(1)
	w.wantBatch("PutLogin", a.Revision, changed(a, &stored))
	a = update(t, s, a.GUID, func(c *regcred.Credential) { c.Username = "other" })
	w.wantBatch("Update", a.Revision, changed(a, &stored))
	dropLogin(t, s, a.GUID)
	a = get(t, s, a.GUID)
	w.wantBatch("DropLogin", a.Revision, changed(a, nil))
	gone := remove(t, s, a.GUID)
	w.wantBatch("Delete", gone, deleted(a, gone))

	// What is no change wakes nobody: the next batch is of the next change.
	update(t, s, b.GUID, func(*regcred.Credential) {})
	newFence(t, s)
	if err := s.CreateToken(t.Context(), regcred.APIToken{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	b = update(t, s, b.GUID, func(c *regcred.Credential) { c.Username = "other" })
	w.wantBatch("Update", b.Revision, changed(b, nil))
	watch(t, s, 0).wantBatch("all that is there, a deletion too", b.Revision, deleted(a, gone), changed(b, nil))
}

// testWatchCoalesces: a watcher that slept sees the newest state alone.
func testWatchCoalesces(t *testing.T, s regcred.Store) {
	w := watch(t, s, 0)
	w.wantBatch("an empty store", 0)
	fence := newFence(t, s)
	quiet := create(t, s, static(regcred.Foundation, "quiet.example.com"))
	a := create(t, s, full())
	b := create(t, s, static(regcred.Foundation, "quay.io"))
	passing := create(t, s, static(regcred.Foundation, "passing.example.com"))
	for i := range 100 {
		a = update(t, s, a.GUID, func(c *regcred.Credential) { c.Username = fmt.Sprint(i) })
	}
	gone := remove(t, s, passing.GUID)
	stored := login(1)
	b.Revision = putLogin(t, s, b.GUID, stored, fence)
	w.wantBatch("after a nap", b.Revision, changed(quiet, nil), changed(a, nil), deleted(passing, gone), changed(b, &stored))
}

func testWatchResumes(t *testing.T, s regcred.Store) {
	a := create(t, s, full())
	w := watch(t, s, a.Revision)
	w.wantBatch("nothing newer", a.Revision)
	b := create(t, s, static(regcred.Foundation, "quay.io"))
	w.wantBatch("something newer", b.Revision, changed(b, nil))
	gone := remove(t, s, a.GUID)
	watch(t, s, a.Revision).wantBatch("a later watcher", gone, changed(b, nil), deleted(a, gone))
	watch(t, s, b.Revision).wantBatch("one later still", gone, deleted(a, gone))
}

func testWatchAhead(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	wantCode(t, "a revision that is yet to come", watch(t, s, c.Revision+1).end(), regcred.Stale)
}

// testWatchManyBatches: all of many credentials come, each once, in order, and
// only the last batch is Current. At first none is deleted, then every third.
func testWatchManyBatches(t *testing.T, s regcred.Store) {
	const n = 700
	var guids []string
	for i := range n {
		guids = append(guids, create(t, s, static(regcred.OrgScope(fmt.Sprint(i)), "quay.io")).GUID)
	}
	wantMany(t, s, n)
	for i := 0; i < n; i += 3 {
		remove(t, s, guids[i])
	}
	wantMany(t, s, n)
}

// wantMany watches from the beginning, and wants n changes.
func wantMany(t *testing.T, s regcred.Store, n int) {
	t.Helper()
	w := watch(t, s, 0)
	seen, revision := map[string]bool{}, uint64(0)
	for current := false; !current; {
		batch := w.next()
		for _, change := range batch.Changes {
			if change.Revision <= revision || seen[change.Credential.GUID] {
				t.Fatalf("change %d after %d, of %s", change.Revision, revision, change.Credential.GUID)
			}
			revision, seen[change.Credential.GUID] = change.Revision, true
		}
		if batch.Revision != revision || len(batch.Changes) > 1000 {
			t.Fatalf("a batch of %d changes up to %d knows all up to %d", len(batch.Changes), revision, batch.Revision)
		}
		current = batch.Current
	}
	if len(seen) != n {
		t.Errorf("%d credentials; want %d", len(seen), n)
	}
}

func testWatchEnds(t *testing.T, s regcred.Store) {
	create(t, s, full())
	for _, err := range s.Watch(t.Context(), 0) {
		if err != nil {
			t.Error(err)
		}
		break // the caller may just leave
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches := 0
	for _, err := range s.Watch(ctx, 0) {
		if batches++; batches == 1 && err == nil {
			cancel()
		} else if batches != 2 || !errors.Is(err, context.Canceled) {
			t.Errorf("step %d of a Watch whose context ended: %v", batches, err)
		}
	}
	if batches != 2 {
		t.Errorf("%d steps; want a batch and the context's error", batches)
	}

	ended := make(chan error)
	waiting := make(chan struct{})
	go func() {
		var last error
		for _, err := range s.Watch(t.Context(), 0) {
			if last = err; err == nil {
				close(waiting)
			}
		}
		ended <- last
	}()
	<-waiting
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the error of a Watch whose store was closed", <-ended, regcred.Unavailable)
}

// testWatchModel has writers change a few credentials at random, while watchers
// that nap and resume keep a copy. In the end each copy is what the store holds,
// and no copy ever went back.
func testWatchModel(t *testing.T, s regcred.Store) {
	const writers, steps, readers = 3, 60, 3
	fence := newFence(t, s)
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() { scribble(t, s, fence, uint64(w), steps) })
	}
	for r := range readers {
		reading.Go(func() { follow(t, s, uint64(r)) })
	}
	writing.Wait()
	last := static(regcred.OrgScope("last"), "quay.io")
	last.GUID = lastGUID
	create(t, s, last)
	reading.Wait()
}

// lastGUID is that of the credential that is created after all others changed.
const lastGUID = "last"

// scribble makes random changes to credentials that all writers share.
func scribble(t *testing.T, s regcred.Store, fence, seed uint64, steps int) {
	random := rand.New(rand.NewPCG(seed, 1))
	for range steps {
		org := fmt.Sprint(random.IntN(6))
		c := static(regcred.OrgScope(org), "quay.io")
		c.GUID = "guid-" + org
		var err error
		switch random.IntN(6) {
		case 0, 1:
			_, err = s.Create(t.Context(), c)
		case 2:
			_, err = s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error {
				c.Username = fmt.Sprint(random.Uint64())
				return nil
			})
		case 3:
			have, getErr := s.Get(t.Context(), c.GUID)
			if err = getErr; err == nil {
				_, err = s.PutLogin(t.Context(), c.GUID, login(have.Version), fence)
			}
		case 4:
			_, err = s.Delete(t.Context(), c.GUID)
		case 5:
			_, err = s.DropLogin(t.Context(), c.GUID)
		}
		switch regcred.CodeOf(err) {
		case regcred.NotFound, regcred.Exists, regcred.Stale:
		default:
			if err != nil {
				t.Errorf("a writer failed: %v", err)
			}
		}
	}
}

// follow keeps a copy by watching, and compares it in the end.
func follow(t *testing.T, s regcred.Store, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	model := map[string]regcred.Change{}
	for after := uint64(0); model[lastGUID].Revision == 0; {
		for batch, err := range s.Watch(ctx, after) {
			if err != nil {
				t.Errorf("a watcher failed: %v", err)
				return
			}
			for _, change := range batch.Changes {
				if change.Revision <= after || change.Err != nil {
					t.Errorf("change %d after %d, %v", change.Revision, after, change.Err)
				}
				after = change.Revision
				model[change.Credential.GUID] = change
			}
			after = batch.Revision
			if model[lastGUID].Revision > 0 || random.IntN(4) == 0 {
				break // and, unless this is the end, call Watch again from here
			}
		}
	}
	compare(t, s, model)
}

// compare checks that a watcher's copy is what the store holds.
func compare(t *testing.T, s regcred.Store, model map[string]regcred.Change) {
	list, err := s.List(t.Context(), regcred.Filter{})
	if err != nil {
		t.Error(err)
	}
	want := map[string]regcred.Credential{}
	for _, c := range list {
		want[c.GUID] = c
	}
	got := map[string]regcred.Credential{}
	for guid, change := range model {
		if change.Deleted {
			continue
		}
		got[guid] = change.Credential
		stored, err := s.Login(t.Context(), guid)
		if (err == nil) != (change.Login != nil) || err == nil && !cmp.Equal(stored, *change.Login) {
			t.Errorf("the copy of the login of %s is %v, the store has %v, %v", guid, change.Login, stored, err)
		}
	}
	if diff := cmp.Diff(want, got, contract()); diff != "" {
		t.Errorf("a watcher's copy (-store +copy):\n%s", diff)
	}
}

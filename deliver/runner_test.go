package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// fake is a target whose system is what the test says.
type fake struct {
	name string

	mu     sync.Mutex
	err    error
	report deliver.Report
	slow   time.Duration
	syncs  []synced
	begun  time.Time

	watchErr error
	changed  chan struct{} // what is sent on it, Watch reports
	watches  int
}

// synced is a call of Sync: when since the start, with which revision, and what was
// confirmed.
type synced struct {
	At        time.Duration
	Revision  uint64
	Confirmed int
}

func newFake(name string) *fake {
	return &fake{name: name, begun: time.Now(), changed: make(chan struct{})}
}

func (f *fake) Describe() deliver.Info {
	return deliver.Info{Name: f.name, Kind: "fake", Scope: "foundation"}
}

func (f *fake) Sync(ctx context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs = append(f.syncs, synced{time.Since(f.begun), book.Revision(), len(o.Confirmed)})
	if f.slow > 0 {
		select {
		case <-time.After(f.slow):
		case <-o.Newer:
			return deliver.Report{}, deliver.ErrSuperseded
		case <-ctx.Done():
			return deliver.Report{}, ctx.Err()
		}
	}
	if len(o.Confirmed) > 0 && f.err == nil {
		f.report.Held = nil
	}
	return f.report, f.err
}

func (f *fake) Watch(ctx context.Context, changed func()) error {
	f.mu.Lock()
	f.watches++
	err := f.watchErr
	f.mu.Unlock()
	if err != nil {
		return err
	}
	changed()
	for {
		select {
		case <-f.changed:
			changed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fake) Uninstall(context.Context, string) error { return nil }

// set changes what Sync returns from now on.
func (f *fake) set(report deliver.Report, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report, f.err = report, err
}

// take returns the calls of Sync since the last take.
func (f *fake) take() []synced {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.syncs
	f.syncs = nil
	return taken
}

// begin makes the times of the syncs count from now.
func (f *fake) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = time.Now()
}

// feed is a store that yields the batches which the test sends.
type feed chan regcred.Batch

func (c feed) Watch(ctx context.Context, _ uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		for {
			select {
			case b := <-c:
				if !yield(b, nil) {
					return
				}
			case <-ctx.Done():
				yield(regcred.Batch{}, ctx.Err())
				return
			}
		}
	}
}

// run starts a runner of targets, and stops it at the test's end.
func run(t *testing.T, o deliver.Options) (*deliver.Runner, feed) {
	books, store := keyring.New("s1"), make(feed)
	o.Books = books
	r := deliver.NewRunner(o)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = books.Follow(ctx, store) }) // always ctx's error
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return r, store
}

func wantSyncs(t *testing.T, f *fake, want ...synced) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, f.take()); diff != "" {
		t.Errorf("the syncs of %s (-want +got):\n%s", f.name, diff)
	}
}

func TestRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		r, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		time.Sleep(time.Hour)
		wantSyncs(t, f) // the book is not current
		if s := r.Status()[0]; !strings.Contains(s.Error, "waiting for the store") || !s.SyncedAt.IsZero() {
			t.Errorf("the status is %+v", s)
		}
		store <- regcred.Batch{Revision: 7}
		time.Sleep(time.Hour)
		wantSyncs(t, f)

		f.begin()
		store <- regcred.Batch{Revision: 7, Current: true}
		time.Sleep(time.Minute)
		// The second is that of the watch, which has begun.
		wantSyncs(t, f, synced{0, 7, 0}, synced{200 * time.Millisecond, 7, 0})
		if s := r.Status()[0]; s.Error != "" || s.Revision != 7 || time.Since(s.SyncedAt) != time.Minute-200*time.Millisecond {
			t.Errorf("the status is %+v", s)
		}

		// A newer book, and the system changed: at once, and many as one.
		f.begin()
		for i := range 100 {
			store <- regcred.Batch{Revision: uint64(8 + i)}
			time.Sleep(3 * time.Millisecond)
		}
		time.Sleep(time.Second)
		wantSyncs(t, f, synced{0, 8, 0}, synced{200 * time.Millisecond, 74, 0}, synced{400 * time.Millisecond, 107, 0})
		f.begin()
		f.changed <- struct{}{}
		time.Sleep(time.Second)
		wantSyncs(t, f, synced{0, 107, 0})

		// Nothing happens: the resync interval.
		f.begin()
		time.Sleep(11 * time.Minute)
		if got := f.take(); len(got) != 2 || got[1].At-got[0].At < 5*time.Minute || got[1].At-got[0].At > 5*time.Minute+time.Second {
			t.Errorf("the resyncs are %v", got)
		}
	})
}

// TestRunnerEmptyStore: an empty store, which has no revision yet, is synced too:
// what was delivered from another one is then held.
func TestRunnerEmptyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		_, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		store <- regcred.Batch{Current: true}
		time.Sleep(time.Second)
		wantSyncs(t, f, synced{0, 0, 0}, synced{200 * time.Millisecond, 0, 0})
	})
}

func TestRunnerBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		f, healthy := newFake("f"), newFake("healthy")
		f.set(deliver.Report{Delivered: 3}, regcred.Errorf(regcred.Denied, "the disk is full"))
		f.watchErr = errors.New("no watches")
		r, store := run(t, deliver.Options{
			Targets: []deliver.Target{f, healthy},
			Log:     slog.New(slog.NewTextHandler(&logged, nil)),
		})
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		calls := f.take()
		for i := 1; i < len(calls); i++ {
			bound := min(time.Second<<min(i-1, 6), time.Minute)
			if gap := calls[i].At - calls[i-1].At; gap < 200*time.Millisecond || gap > max(bound, 200*time.Millisecond) {
				t.Errorf("the wait after failure %d is %s, want at most %s", i, gap, bound)
			}
		}
		if len(calls) < 12 || len(calls) > 80 {
			t.Errorf("%d tries in 10 minutes", len(calls))
		}
		s := r.Status()
		if s[0].Error != "the disk is full" || s[0].Failures != len(calls) || s[0].Delivered != 3 || !s[0].RetryAt.After(time.Now()) || !s[0].SyncedAt.IsZero() {
			t.Errorf("the status is %+v", s[0])
		}
		if s[0].WatchError != "internal error" {
			t.Errorf("the watch's error is shown as %q", s[0].WatchError)
		}
		if s[1].Error != "" || len(healthy.take()) != 3 { // begun, watched, resynced
			t.Errorf("the other target's status is %+v", s[1])
		}

		// A newer book does not cut the wait short, or a busy store would have every
		// target that is down asked all the time.
		store <- regcred.Batch{Revision: 2}
		synctest.Wait()
		if n := len(f.take()); n > 0 {
			t.Errorf("%d syncs at once after a failure", n)
		}
		f.set(deliver.Report{}, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.Status()[0]; s.Error != "" || s.Failures != 0 || !s.RetryAt.IsZero() || s.Revision != 2 {
			t.Errorf("the status is %+v", s)
		}
		for _, want := range []string{"delivery fails", "the disk is full", "delivery works again"} {
			if n := strings.Count(logged.String(), want); n != 1 {
				t.Errorf("%q was logged %d times:\n%s", want, n, logged.String())
			}
		}
	})
}

// TestRunnerPartialFailure: a place that fails delays nothing that is for the others.
func TestRunnerPartialFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		f.set(deliver.Report{Partial: true}, regcred.Errorf(regcred.Denied, "one place"))
		_, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(10 * time.Minute)
		for revision := uint64(2); revision < 12; revision++ {
			f.take()
			store <- regcred.Batch{Revision: revision}
			time.Sleep(400 * time.Millisecond) // two of the least pauses
			synctest.Wait()
			if calls := f.take(); len(calls) == 0 || calls[len(calls)-1].Revision != revision {
				t.Errorf("the syncs after revision %d are %v", revision, calls)
			}
		}
	})
}

// TestRunnerDriftCutsBackoff: who repairs a malformed file need not wait.
func TestRunnerDriftCutsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		f.set(deliver.Report{}, regcred.Errorf(regcred.Invalid, "malformed"))
		r, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(10 * time.Minute)
		f.set(deliver.Report{}, nil)
		f.changed <- struct{}{}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if s := r.Status()[0]; s.Error != "" {
			t.Errorf("the status is %+v", s)
		}
	})
}

// TestRunnerSlowTarget: a target that is slow or hangs delays no other.
func TestRunnerSlowTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := newFake("slow"), newFake("quick")
		slow.slow = time.Hour
		_, store := run(t, deliver.Options{Targets: []deliver.Target{slow, quick}})
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(time.Second)
		quick.take()
		quick.begin()
		store <- regcred.Batch{Revision: 2}
		wantSyncs(t, quick, synced{0, 2, 0})
	}) // the cleanup ends the sync under way, an hour before its time
}

// TestRunnerFirstLogins: the first Sync waits for logins that are being minted, but not
// for long.
func TestRunnerFirstLogins(t *testing.T) {
	credential := func(guid string, login *regcred.Login) regcred.Change {
		return regcred.Change{Credential: regcred.Credential{GUID: guid}, Login: login}
	}
	batch := func(revision uint64, changes ...regcred.Change) regcred.Batch {
		for i := range changes {
			changes[i].Revision = revision
		}
		return regcred.Batch{Revision: revision, Changes: changes, Current: true}
	}
	login := &regcred.Login{Username: "robot"}
	synctest.Test(t, func(t *testing.T) {
		minted, failing := newFake("minted"), newFake("failing")
		_, store := run(t, deliver.Options{Targets: []deliver.Target{minted}})
		unreadable := credential("c", nil)
		unreadable.Err = errors.New("flipped")
		store <- batch(1, credential("a", nil), credential("b", nil), unreadable)
		time.Sleep(500 * time.Millisecond)
		store <- batch(2, credential("a", login))
		time.Sleep(500 * time.Millisecond)
		store <- batch(3, credential("b", login))
		time.Sleep(time.Minute)
		wantSyncs(t, minted, synced{time.Second, 3, 0}, synced{1200 * time.Millisecond, 3, 0})

		failing.begin()
		_, store = run(t, deliver.Options{Targets: []deliver.Target{failing}})
		store <- batch(1, credential("a", nil))
		time.Sleep(time.Minute)
		wantSyncs(t, failing, synced{2 * time.Second, 1, 0}, synced{2200 * time.Millisecond, 1, 0})
	})
}

// TestRunnerSuperseded: a newer book ends a Sync that takes long, which is neither a
// failure nor a success.
func TestRunnerSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		f.slow = time.Minute
		r, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(30 * time.Second)
		store <- regcred.Batch{Revision: 2}
		time.Sleep(59 * time.Second)
		if s := r.Status()[0]; s.Failures > 0 || !s.SyncedAt.IsZero() {
			t.Errorf("after the first Sync the status is %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := r.Status()[0]; s.Revision != 2 || s.Error != "" || time.Since(s.SyncedAt) > 2*time.Second {
			t.Errorf("after the second Sync the status is %+v", s)
		}
		time.Sleep(2 * time.Minute)
		wantSyncs(t, f, synced{0, 1, 0}, synced{30*time.Second + 200*time.Millisecond, 2, 0},
			synced{90*time.Second + 400*time.Millisecond, 2, 0}) // the watch has begun
	})
}

// TestRunnerManyBooks: however often there is a newer book, one is delivered as a whole
// now and then.
func TestRunnerManyBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		f.slow = 20 * time.Second
		r, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		go func() {
			for i := range 300 {
				store <- regcred.Batch{Revision: uint64(i + 1), Current: true}
				time.Sleep(time.Second)
			}
		}()
		for range 8 {
			before := r.Status()[0].Revision
			time.Sleep(35 * time.Second)
			if after := r.Status()[0]; after.Revision <= before || after.Failures > 0 {
				t.Errorf("half a minute after revision %d was delivered the status is %+v", before, after)
			}
		}
		time.Sleep(time.Minute)
	})
}

// endless is a target whose Syncs go on until a newer book ends them.
type endless struct {
	*fake

	revision atomic.Uint64 // of the Sync under way
}

func (e *endless) Sync(ctx context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	e.revision.Store(book.Revision())
	select {
	case <-o.Newer:
		return deliver.Report{}, deliver.ErrSuperseded
	case <-ctx.Done():
		return deliver.Report{}, ctx.Err()
	}
}

// TestRunnerOrdersWaitForNobody: a dropped login, and a deletion, end a Sync that no
// other book may end any more.
func TestRunnerOrdersWaitForNobody(t *testing.T) {
	for name, order := range map[string]regcred.Change{
		"dropped": {Credential: regcred.Credential{GUID: "a", DropRevision: 100}},
		"deleted": {Credential: regcred.Credential{GUID: "a"}, Deleted: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &endless{fake: newFake("f")}
			_, store := run(t, deliver.Options{Targets: []deliver.Target{e}})
			for revision := range uint64(20) {
				store <- regcred.Batch{Revision: revision + 1, Current: true}
				time.Sleep(time.Second)
			}
			if got := e.revision.Load(); got < 10 || got == 20 {
				t.Errorf("%s: the Sync is of revision %d: none is carried through", name, got)
			}
			order.Revision = 100
			store <- regcred.Batch{Revision: 100, Changes: []regcred.Change{order}}
			time.Sleep(time.Second)
			if got := e.revision.Load(); got != 100 {
				t.Errorf("%s: a second after the order the Sync is of revision %d", name, got)
			}
		})
	}
}

func TestRunnerConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		hold := deliver.Hold{Delivered: deliver.Delivered{Where: "w", Key: "k"}, Reason: "because"}
		r, store := run(t, deliver.Options{Targets: []deliver.Target{f}})
		for _, name := range []string{"f", "nobody"} {
			if err := r.Confirm(name); regcred.CodeOf(err) != regcred.NotFound {
				t.Errorf("confirming %s: %v", name, err)
			}
		}
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(time.Second)
		f.set(deliver.Report{Held: []deliver.Hold{hold, hold}}, nil)
		f.changed <- struct{}{}
		time.Sleep(time.Second)
		if got := r.Status()[0].Alarm(); got != "2 entries are held: k in w, k in w: because" {
			t.Errorf("the alarm is %q", got)
		}

		// It fails at first; the confirmation stays until it was carried out.
		f.set(deliver.Report{Held: []deliver.Hold{hold}}, errors.New("not now"))
		f.take()
		if err := r.Confirm("f"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f.set(deliver.Report{Held: []deliver.Hold{hold}}, nil)
		time.Sleep(2 * time.Second)
		if calls := f.take(); len(calls) != 2 || calls[0].Confirmed != 2 || calls[1].Confirmed != 2 {
			t.Errorf("the syncs are %+v", calls)
		}
		if got := r.Status()[0].Alarm(); got != "" {
			t.Errorf("the alarm is %q", got)
		}
		f.changed <- struct{}{}
		time.Sleep(time.Second)
		if calls := f.take(); len(calls) != 1 || calls[0].Confirmed != 0 {
			t.Errorf("the syncs are %+v", calls)
		}
	})
}

// TestRunnerWatchAgain: a watch that failed is begun again, and what may have been
// missed is looked for.
func TestRunnerWatchAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("f")
		f.watchErr = regcred.Errorf(regcred.Unavailable, "no more watches")
		r, store := run(t, deliver.Options{Targets: []deliver.Target{f}, Resync: 24 * time.Hour})
		store <- regcred.Batch{Revision: 1, Current: true}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if s := r.Status()[0]; s.WatchError != "no more watches" || s.Error != "" {
			t.Errorf("the status is %+v", s)
		}
		f.mu.Lock()
		f.watchErr = nil
		tries := f.watches
		f.mu.Unlock()
		if tries < 6 || tries > 60 {
			t.Errorf("%d tries to watch in 5 minutes", tries)
		}
		f.take()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := r.Status()[0]; s.WatchError != "" {
			t.Errorf("the status is %+v", s)
		}
		if n := len(f.take()); n != 1 {
			t.Errorf("%d syncs after the watch began", n)
		}
	})
}

func TestRunnerRunsOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := deliver.NewRunner(deliver.Options{Books: keyring.New("s1")})
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := r.Run(ctx); err == nil {
		t.Error("Run a second time did not fail")
	}
}

package deliver

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"regcred.dev"
	"regcred.dev/keyring"
)

const (
	// minPause is the least time between two syncs of a target. It makes one of many
	// changes at once, and bounds a quarrel with another program over an entry.
	minPause = 200 * time.Millisecond
	// The wait before a retry is chosen between zero and minBackoff after the first
	// failure; the bound doubles with each further one, up to maxBackoff.
	minBackoff = time.Second
	maxBackoff = time.Minute
	// maxSuperseding is how long after the first Sync of a row that a newer book ended
	// early another may begin which any such book can end. However often books come, one
	// is then delivered as a whole, unless a deletion or a dropped login comes: these
	// wait for nobody.
	maxSuperseding = 10 * time.Second
	// firstLogins is how long the first Sync waits for credentials that have no login
	// yet: most issuers answer within a second, and a new cluster is then written to
	// once instead of twice.
	firstLogins = 2 * time.Second

	notReadYet = "waiting for the store: its credentials are not read yet"
)

// backoff returns how long to wait after a number of failures in a row: full
// jitter, where random is in [0, 1).
func backoff(failures int, random float64) time.Duration {
	bound := minBackoff
	for range failures - 1 {
		if bound *= 2; bound >= maxBackoff {
			bound = maxBackoff
			break
		}
	}
	return time.Duration(random * float64(bound))
}

// loop keeps one target right.
type loop struct {
	target Target
	books  *keyring.Books
	log    *slog.Logger
	resync time.Duration

	newer chan struct{} // the book has grown
	wake  chan struct{} // the target's system was changed, or an operator confirmed

	// superseded is when the first of the last Syncs was ended early by a newer book;
	// zero where the last one was not.
	superseded time.Time

	mu        sync.Mutex
	status    Status
	confirmed []Hold
}

// run syncs until ctx ends.
func (l *loop) run(ctx context.Context) {
	if _, err := l.books.WaitCurrent(ctx); err != nil {
		return
	}
	l.awaitLogins(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	for first := true; ctx.Err() == nil; first = false {
		book := l.books.Now()
		l.sync(ctx, book)
		if first {
			// Not before: the first Sync may create what is watched.
			helpers.Go(func() { l.watch(ctx) })
			helpers.Go(func() { l.follow(ctx, book.Revision()) })
		}
		l.rest(ctx)
	}
}

// awaitLogins waits until every credential has a login, or firstLogins have passed.
func (l *loop) awaitLogins(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLogins)
	defer cancel()
	for book := l.books.Now(); lacksLogin(book); {
		var err error
		if book, err = l.books.Wait(ctx, book.Revision()); err != nil {
			return
		}
	}
}

// lacksLogin reports whether a credential has no login, though one may come.
func lacksLogin(book *keyring.Book) bool {
	for e := range book.Entries() {
		if e.Login == nil && e.Err == nil {
			return true
		}
	}
	return false
}

// follow signals newer whenever the book has grown.
func (l *loop) follow(ctx context.Context, revision uint64) {
	for {
		book, err := l.books.Wait(ctx, revision)
		if err != nil {
			return
		}
		revision = book.Revision()
		signal(l.newer)
	}
}

// sync syncs once and records how that went.
func (l *loop) sync(ctx context.Context, book *keyring.Book) {
	l.mu.Lock()
	confirmed := l.confirmed
	l.mu.Unlock()

	newer, stop := l.newerThan(ctx, book)
	report, err := l.target.Sync(ctx, book, SyncOptions{Confirmed: confirmed, Newer: newer})
	stop()
	if ctx.Err() != nil {
		return // told to stop: no failure
	}
	now := time.Now()
	if errors.Is(err, ErrSuperseded) {
		if l.superseded.IsZero() {
			l.superseded = now
		}
		return // what it was about is no longer wanted: neither a failure nor a success
	}
	l.superseded = time.Time{}
	l.record(book, confirmed, report, err, now)
}

// newerThan returns a channel that is closed once there is a newer book that a Sync is to
// end for: any at all, or where one is to be carried through at last, what takes something
// away on order. stop ends the wait for one.
func (l *loop) newerThan(ctx context.Context, book *keyring.Book) (newer <-chan struct{}, stop func()) {
	wait, after := l.books.Wait, book.Revision()
	if !l.superseded.IsZero() && time.Since(l.superseded) > maxSuperseding {
		wait, after = l.books.WaitOrdered, book.Ordered()
	}
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan struct{})
	go func() {
		if _, err := wait(ctx, after); err == nil {
			close(found)
		}
	}()
	return found, cancel
}

// record records how a Sync went.
func (l *loop) record(book *keyring.Book, confirmed []Hold, report Report, err error, now time.Time) {
	l.mu.Lock()
	before := l.status
	l.status.Report = report
	if err == nil {
		l.confirmed = slices.DeleteFunc(l.confirmed, func(h Hold) bool { return slices.Contains(confirmed, h) })
		l.status.Revision, l.status.SyncedAt = book.Revision(), now
		l.status.Error, l.status.Failures, l.status.RetryAt = "", 0, time.Time{}
	} else {
		l.status.Error = regcred.MessageOf(err)
		l.status.Failures++
		l.status.RetryAt = now.Add(max(minPause, backoff(l.status.Failures, rand.Float64())))
	}
	after := l.status
	l.mu.Unlock()
	l.report(before, after, err)
}

// report logs what has begun or ended since the sync before.
func (l *loop) report(before, after Status, err error) {
	switch {
	case err != nil && before.Failures == 0:
		l.log.Warn("delivery fails", "err", err)
	case err != nil:
		l.log.Debug("delivery still fails", "err", err, "failures", after.Failures)
	case before.Failures > 0:
		l.log.Info("delivery works again", "failures", before.Failures)
	}
	if after.Changed > 0 {
		l.log.Info("delivered", "changed", after.Changed, "entries", after.Delivered, "revision", after.Revision)
	}
	if alarm := after.Alarm(); alarm != "" && alarm != before.Alarm() {
		l.log.Warn("delivery holds changes back until an operator confirms", "held", alarm)
	}
	for _, w := range after.Warnings {
		if !slices.Contains(before.Warnings, w) {
			l.log.Warn("delivery: " + w)
		}
	}
}

// rest waits until the next sync is due. After a failure a newer book does not cut
// the wait short, unless only a part has failed: a change of the target's system, or an
// operator, does.
func (l *loop) rest(ctx context.Context) {
	pause(ctx, minPause)
	newer, wait := l.newer, l.resync
	if s := l.snapshot(); s.Failures > 0 {
		wait = time.Until(s.RetryAt)
		if !s.Partial {
			newer = nil
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-newer:
	case <-l.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch keeps the target's own watch running until ctx ends.
func (l *loop) watch(ctx context.Context) {
	for failures := 1; ; failures++ {
		var watched atomic.Bool
		err := l.target.Watch(ctx, func() {
			watched.Store(true)
			l.setWatchError("")
			signal(l.wake)
		})
		if ctx.Err() != nil {
			return
		}
		if watched.Load() {
			failures = 1
		}
		l.setWatchError(regcred.MessageOf(err))
		l.log.Debug("the target is not watched", "err", err)
		pause(ctx, backoff(failures, rand.Float64()))
	}
}

func (l *loop) setWatchError(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.WatchError = text
}

// confirm lets go what is held now.
func (l *loop) confirm() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.status.Held) == 0 {
		return regcred.Errorf(regcred.NotFound, "target %s holds nothing back: there is nothing to confirm", l.status.Name)
	}
	l.confirmed = slices.Clone(l.status.Held)
	signal(l.wake)
	return nil
}

func (l *loop) snapshot() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// signal makes the next receive from c succeed, once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// syncTimeout bounds how long the first listing may take.
const syncTimeout = time.Minute

// session keeps a table of the cluster, by watches, and has workers that see to the
// namespaces of which something is new.
type session struct {
	o       *Options
	client  *client
	table   *table
	queue   *queue
	sources []*feed
	// namespaceSource is the one of namespaces, nil where these are not watched.
	namespaceSource *feed
	// unlisted is why some namespaces could not be listed at the start, nil where all
	// were.
	unlisted error
	// news is called where a worker has done something that nobody waited for. It and
	// events are nil in a session that somebody waits for.
	news   func()
	events *events
	// noAccounts is why ServiceAccounts may not be read that are no longer looked after;
	// nil while that is not known.
	noAccounts atomic.Pointer[error]

	mu   sync.Mutex
	task task
	pass *pass // that is under way, nil where none is

	helpers sync.WaitGroup
	cancel  context.CancelFunc
	ended   <-chan struct{}
}

// task is what the workers are to do. It is immutable.
type task struct {
	book       *keyring.Book // nil: nothing yet
	renderings *renderings
	confirmed  map[string][]deliver.Hold // by place
	rulings    rulings
	// uninstalls says that everything is to go that the book's store delivered.
	uninstalls bool
}

// byPlace returns holds by where they are.
func byPlace(all []deliver.Hold) map[string][]deliver.Hold {
	by := map[string][]deliver.Hold{}
	for _, h := range all {
		by[h.Where] = append(by[h.Where], h)
	}
	return by
}

// wanted returns what a namespace is to have.
func (t *task) wanted(n *namespace) *wanted {
	if n.problem != "" {
		return &wanted{err: errors.New(n.problem)}
	}
	return t.renderings.of(n.scope)
}

// open starts a session, which ends with ctx or by close. It returns once everything
// was listed. Users are told of problems where there is somebody to hear news.
//
// Errors: Unavailable, Denied.
func open(ctx context.Context, o *Options, news func()) (*session, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	s := &session{o: o, client: c, queue: newQueue(), news: news}
	s.table = newTable(s.queue.hurry)
	if news != nil {
		if s.events, err = newEvents(o, c); err != nil {
			return nil, err
		}
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.ended = ctx.Done()
	for _, run := range s.feeds() {
		s.helpers.Go(func() { run(ctx) })
	}
	if err := s.awaitSources(ctx); err != nil {
		s.close()
		return nil, err
	}
	for range o.Concurrency {
		s.helpers.Go(func() { s.work(ctx) })
	}
	return s, nil
}

// close ends the session, and waits until it has.
func (s *session) close() {
	s.cancel()
	s.queue.ShutDown()
	s.helpers.Wait()
	s.events.close()
	s.client.close()
}

// awaitSources waits until everything was listed once. Namespaces that are watched
// apart do not wait for one that may not be listed, as its Role went with it; there is
// an error where that holds for all.
func (s *session) awaitSources(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, syncTimeout, errListing)
	defer cancel()
	listed := false
	for _, f := range s.sources {
		err := f.await(ctx)
		if err != nil && (!s.o.Namespaced || regcred.CodeOf(err) != regcred.Denied) {
			return err
		}
		listed = listed || err == nil
		s.unlisted = cmp.Or(s.unlisted, err)
	}
	if !listed {
		return s.unlisted
	}
	return nil
}

// errListing says that the time for the first listing is over.
var errListing = errors.New("it takes too long")

// listPatience is how long listings may fail, one after the other, before that is said.
const listPatience = 10 * time.Second

// await waits until the feed has listed all. It returns the context's error, unless
// that is errListing, or why nothing can be listed: a right that lacks does not come by
// waiting, and an API server that is down is to be told of.
func (f *feed) await(ctx context.Context) error {
	check := time.NewTicker(100 * time.Millisecond)
	defer check.Stop()
	var failing time.Time // since when; zero: it is not
	for {
		err := f.error()
		switch {
		case err == nil:
			failing = time.Time{}
		case failing.IsZero():
			failing = time.Now()
		}
		if err != nil && (regcred.CodeOf(explain("", err)) == regcred.Denied || time.Since(failing) > listPatience) {
			return explain("the "+f.what+" cannot be listed", err)
		}
		select {
		case <-f.synced:
			return nil
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, errListing) {
				return ctx.Err()
			}
			return explain("the "+f.what+" cannot be listed", cmp.Or(f.error(), errListing))
		case <-check.C:
		}
	}
}

// work sees to namespaces until the queue ends.
func (s *session) work(ctx context.Context) {
	for {
		name, ended := s.queue.Get()
		if ended {
			return
		}
		s.see(ctx, name)
		s.queue.Done(name)
	}
}

// see sees to one namespace, and arranges for what is left to do.
func (s *session) see(ctx context.Context, name string) {
	s.mu.Lock()
	task, waiting := s.task, s.pass
	s.mu.Unlock()
	if task.book == nil {
		return
	}
	p := s.table.get(name)
	if p.isSettled(task.book) {
		s.queue.Forget(name)
		waiting.done(name, outcome{})
		return
	}
	if pause := p.quarrel.wait(time.Now(), task.book); pause > 0 {
		s.queue.addAfter(name, s.o.rankOf(&p, task.book), pause)
		waiting.done(name, outcome{})
		return
	}
	o := s.reconcile(ctx, &p, task)
	if ctx.Err() != nil {
		return
	}
	if o.wrote && p.quarrel.repaired(time.Now(), task.book).repairs > freeRepairs {
		o.warn("somebody else changes it again and again: it is put right ever less often")
	}
	before := s.table.settle(p, task.book, o)
	s.retry(&p, task, o.err)
	s.events.tell(s, &p, o)
	if !waiting.done(name, o) && s.news != nil && (o.changed > 0 || !o.sameState(&before)) {
		s.news()
	}
}

// retry has a namespace seen to again where that failed.
func (s *session) retry(p *place, t task, err error) {
	if err == nil {
		s.queue.Forget(p.name)
		return
	}
	s.queue.addAfter(p.name, s.o.rankOf(p, t.book), retryAfter(err))
}

// pass waits until namespaces were seen to. All methods may be called concurrently,
// and on nil.
type pass struct {
	mu      sync.Mutex
	left    map[string]bool
	changed int
	ended   chan struct{}
}

// done records that a namespace was seen to, and reports whether the pass waited
// for it.
func (p *pass) done(name string, o outcome) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.left[name] {
		return false
	}
	delete(p.left, name)
	p.changed += o.changed
	if len(p.left) == 0 {
		close(p.ended)
	}
	return true
}

// run has every place seen to that which names, for a task, and waits until all were
// once. It returns how many entries that changed. Once newer is closed it waits no
// longer, and returns deliver.ErrSuperseded.
func (s *session) run(ctx context.Context, t task, newer <-chan struct{}, which func(*place) bool) (changed int, err error) {
	p := &pass{left: map[string]bool{}, ended: make(chan struct{})}
	ranks := map[string]rank{}
	s.table.each(func(at *place) {
		if which(at) {
			p.left[at.name] = true
			ranks[at.name] = s.o.rankOf(at, t.book)
		}
	})
	s.mu.Lock()
	s.task, s.pass = t, p
	s.mu.Unlock()
	for name, r := range ranks {
		s.queue.add(name, r)
	}
	if len(ranks) > 0 {
		select {
		case <-p.ended:
		case <-ctx.Done():
			err = ctx.Err()
		case <-newer:
			err = deliver.ErrSuperseded
		case <-s.ended:
			err = regcred.Errorf(regcred.Unavailable, "the cluster is no longer watched")
		}
	}
	s.mu.Lock()
	s.pass = nil
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed, err
}

// resume has the workers go on with what another session was told, if that is
// anything.
func (s *session) resume(t task) {
	if t.book == nil {
		return
	}
	t.renderings = newRenderings(t.book, s.o.Dialect)
	s.mu.Lock()
	s.task = t
	s.mu.Unlock()
	s.table.each(func(p *place) { s.queue.add(p.name, s.o.rankOf(p, t.book)) })
}

// sync makes the cluster match a book.
func (s *session) sync(ctx context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	t := task{book: book, renderings: s.renderings(book), confirmed: byPlace(o.Confirmed)}
	t.rulings = s.foresee(t)
	changed, err := s.run(ctx, t, o.Newer, func(p *place) bool { return len(o.Confirmed) > 0 || !p.isSettled(book) })
	if err != nil {
		return deliver.Report{}, err
	}
	// Other removals wait until all of them are known.
	if more := s.rule(book); len(more) > 0 {
		maps.Copy(more, t.rulings)
		t.rulings = more
		more, err := s.run(ctx, t, o.Newer, func(p *place) bool { return len(p.outcome.pending) > 0 })
		if err != nil {
			return deliver.Report{}, err
		}
		changed += more
	}
	report, err := s.report(book)
	report.Changed = changed
	return report, err
}

// renderings returns those of a book, which the workers may have already.
func (s *session) renderings(book *keyring.Book) *renderings {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task.book == book {
		return s.task.renderings
	}
	return newRenderings(book, s.o.Dialect)
}

// Package kubernetes keeps one pull secret right in every namespace of a cluster: it
// has the logins of the namespace's scope, renewed as they are.
//
// A Secret is regcred's where it carries the target's label. One of the same name
// without it is left alone, unless it may be adopted. Inside a Secret that is ours,
// an annotation records which entries were delivered; others that somebody added
// stay. A Secret is always updated in place, never deleted and made again: the
// kubelet checks images anew for another one (KEP-2535).
//
// Watches tell at once of new namespaces, of Secrets that were edited or deleted and
// of ServiceAccounts. What they show is remembered without any login: of those there
// are digests. A queue has workers see to each namespace by itself, so that one which
// fails delays no other; refreshes of all of them stand behind what just happened.
package kubernetes

import (
	"context"
	"iter"
	"sync"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// Target delivers keyrings to a cluster.
type Target struct {
	o Options

	mu sync.Mutex
	// session is the one that Watch keeps, nil while it does not run.
	session *session
	// opening is closed once Watch has its session, or cannot have one; nil where it is
	// not about to.
	opening chan struct{}
	// task is what was synced last: a new session goes on with it.
	task task
	// leading says that this replica is the one that writes; leader names the one
	// that is, where it is known.
	leading bool
	leader  string
	// candidate is this replica as the others know it; nil before it stood first.
	candidate *candidate
}

var _ deliver.Target = (*Target)(nil)

// New returns a Target. It does no I/O. Errors: Invalid.
func New(o Options) (*Target, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Target{o: o, leading: o.LeaderElection == nil}, nil
}

// Describe implements deliver.Target.
func (t *Target) Describe() deliver.Info {
	return deliver.Info{Name: t.o.Name, Kind: "kubernetes", Scope: "by namespace"}
}

// Sync implements deliver.Target. Beside a Watch it goes by what that has seen, for which
// it waits, and where nothing is to be written it sends nothing. Without one it lists
// everything first. The report's Warnings and the error name a few namespaces for each thing
// that there is to say.
func (t *Target) Sync(ctx context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	if !book.Current() {
		return deliver.Report{}, regcred.Errorf(regcred.Unavailable, "the store's credentials are not all read yet: nothing is changed")
	}
	if err := ctx.Err(); err != nil {
		return deliver.Report{}, err
	}
	s, standby, err := t.current(ctx, task{book: book, confirmed: byPlace(o.Confirmed)})
	if err != nil {
		return deliver.Report{}, err
	}
	if standby != "" {
		return deliver.Report{Warnings: []string{standby}}, nil
	}
	if s == nil {
		if s, err = open(ctx, &t.o, nil); err != nil {
			return deliver.Report{}, err
		}
		defer s.close()
	}
	return s.sync(ctx, book, o)
}

// current returns the session of the Watch, if there is one, and remembers what a new
// one is to do. It waits for one that is being opened: two would list everything twice,
// and be in each other's way. standby says why this replica does nothing, "" where it
// does. It returns ctx's error where that ends first.
func (t *Target) current(ctx context.Context, now task) (s *session, standby string, _ error) {
	for {
		t.mu.Lock()
		t.task = now
		s, opening, leading, leader := t.session, t.opening, t.leading, t.leader
		t.mu.Unlock()
		switch {
		case !leading && leader == "":
			return nil, "it is not known yet which replica delivers", nil
		case !leading:
			return nil, "another replica delivers: " + leader, nil
		case opening == nil && s == nil && t.o.LeaderElection != nil: // the Lease is kept for the Watch's alone
			return nil, "this replica was elected, and does not deliver now", nil
		case opening == nil:
			return s, "", nil
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
}

// Watch implements deliver.Target. While it runs, it also repairs what it sees, by
// the book that was synced last.
func (t *Target) Watch(ctx context.Context, changed func()) error {
	if t.o.LeaderElection != nil {
		return t.watchLeading(ctx, changed)
	}
	return t.watch(ctx, changed)
}

// watch keeps a session until ctx ends.
func (t *Target) watch(ctx context.Context, changed func()) error {
	opened := make(chan struct{})
	t.mu.Lock()
	t.opening = opened
	t.mu.Unlock()
	s, err := open(ctx, &t.o, changed)
	t.mu.Lock()
	t.session, t.opening = s, nil
	task := t.task
	t.mu.Unlock()
	close(opened)
	if err != nil {
		return err
	}
	defer s.close()
	defer func() {
		t.mu.Lock()
		t.session = nil
		t.mu.Unlock()
	}()
	s.resume(task)
	changed()
	<-ctx.Done()
	return ctx.Err()
}

// Uninstall implements deliver.Target, also for Secrets in namespaces that are no
// longer served. Adopted ones stay with what they have. ServiceAccounts lose the name
// of a Secret that goes.
func (t *Target) Uninstall(ctx context.Context, storeID string) error {
	s, err := open(ctx, &t.o, nil)
	if err != nil {
		return err
	}
	defer s.close()
	return s.uninstall(ctx, storeID)
}

// UninstallAll does the same for every store that has delivered to the cluster, for those
// who no longer have theirs. It returns the stores' ids. Errors: as Sync.
func (t *Target) UninstallAll(ctx context.Context) ([]string, error) {
	s, err := open(ctx, &t.o, nil)
	if err != nil {
		return nil, err
	}
	defer s.close()
	stores := s.stores()
	if len(stores) == 0 {
		return nil, s.unlisted
	}
	for _, id := range stores {
		if err := s.uninstall(ctx, id); err != nil {
			return nil, err
		}
	}
	return stores, nil
}

// Namespaces yields how each namespace stands, in no order. It yields nothing unless
// Watch runs.
func (t *Target) Namespaces() iter.Seq[NamespaceStatus] {
	t.mu.Lock()
	s := t.session
	t.mu.Unlock()
	if s == nil {
		return func(func(NamespaceStatus) bool) {}
	}
	return s.namespaces()
}

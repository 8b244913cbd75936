package kubernetes

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"regcred.dev"
	"regcred.dev/keyring"
)

// namespace is what is remembered of one. It is immutable.
type namespace struct {
	// uid tells it from a later one of the same name; "" where it cannot be read.
	uid types.UID
	// served says that it is selected.
	served bool
	scope  regcred.Scope
	// problem says why it has no scope, "" where it has one.
	problem string
	// ending says that it is being deleted: nothing is done there any more.
	ending bool
}

// place is a namespace with what is ours in it.
type place struct {
	name string
	// namespace is nil where it is not known, or gone; secret is nil where there is
	// none under the target's name; accounts are the ServiceAccounts that are looked
	// after.
	namespace *namespace
	secret    *object
	accounts  map[string]*account
	// secretVersion is the newest resource version that was heard of the Secret: of
	// its deletion too, so that an answer which was under way meanwhile does not
	// bring it back.
	secretVersion string

	// generation grows with each change of the above.
	generation uint64
	outcome    outcome
	// settledBook and settledAt say for which book and generation nothing was left
	// to do.
	settledBook *keyring.Book
	settledAt   uint64
	// told is the problem that the last Event was about.
	told string
	// quarrel counts how often the Secret had to be put right for one book.
	quarrel quarrel
}

// quarrel is that of two programs that write the same Secret: each repair makes the
// other one write again. The first few cost no wait, a disturbance is put right at
// once; then each waits longer.
type quarrel struct {
	book    *keyring.Book
	repairs int
	last    time.Time
}

const (
	// peace is how long nothing is repaired until a quarrel is over.
	peace        = time.Minute
	freeRepairs  = 10
	firstQuarrel = 200 * time.Millisecond
	lastQuarrel  = 30 * time.Second
)

// wait returns how long the next repair for a book has to wait.
func (q quarrel) wait(now time.Time, book *keyring.Book) time.Duration {
	if q.book != book || q.repairs <= freeRepairs || now.Sub(q.last) > peace {
		return 0
	}
	pause := firstQuarrel
	for n := freeRepairs + 1; n < q.repairs && pause < lastQuarrel; n++ {
		pause *= 2
	}
	return max(0, min(pause, lastQuarrel)-now.Sub(q.last))
}

// repaired returns the quarrel after a repair.
func (q quarrel) repaired(now time.Time, book *keyring.Book) quarrel {
	if q.book != book || now.Sub(q.last) > peace {
		q.repairs = 0
	}
	return quarrel{book, q.repairs + 1, now}
}

// table remembers the cluster, as far as it matters: the watches write to it, and
// whoever gets an answer of the API server that is newer. All methods may be called
// concurrently; a *place that is handed out is a copy.
type table struct {
	mu     sync.Mutex
	places map[string]*place
	// changed is told the name of each namespace of which something is new.
	changed func(name string)
}

func newTable(changed func(string)) *table {
	return &table{places: map[string]*place{}, changed: changed}
}

// edit changes a place; change returns whether anything is new. Places of which
// nothing is known any more are forgotten.
func (t *table) edit(name string, change func(*place) bool) {
	t.mu.Lock()
	p := t.places[name]
	if p == nil {
		p = &place{name: name}
		t.places[name] = p
	}
	fresh := change(p)
	if fresh {
		p.generation++
	}
	if p.namespace == nil && p.secret == nil && len(p.accounts) == 0 {
		delete(t.places, name)
	}
	t.mu.Unlock()
	if fresh {
		t.changed(name)
	}
}

// get returns what is known of a namespace.
func (t *table) get(name string) place {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.places[name]
	if p == nil {
		return place{name: name}
	}
	out := *p
	out.accounts = maps.Clone(p.accounts)
	return out
}

// each calls f with every place, which f must not keep.
func (t *table) each(f func(*place)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.places {
		f(p)
	}
}

func (t *table) setNamespace(name string, n *namespace) {
	t.edit(name, func(p *place) bool {
		if p.namespace != nil && n != nil && *p.namespace == *n {
			return false
		}
		p.namespace = n
		return true
	})
}

// secret returns the Secret that is remembered of a namespace, nil for none.
func (t *table) secret(name string) *object {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.places[name]; p != nil {
		return p.secret
	}
	return nil
}

// setSecret remembers the Secret as of a resource version, nil: it is gone; unless a
// newer one is known.
func (t *table) setSecret(name, version string, o *object) {
	t.edit(name, func(p *place) bool {
		if p.secretVersion != "" && !newer(version, p.secretVersion) {
			return false
		}
		had := p.secret != nil
		p.secret, p.secretVersion = o, version
		return had || o != nil
	})
}

// forgetSecret remembers that a Secret is gone that was there as o.
func (t *table) forgetSecret(name string, o *object) {
	t.edit(name, func(p *place) bool {
		if p.secret != o {
			return false
		}
		p.secret = nil
		return true
	})
}

// setAccount remembers a ServiceAccount, unless a newer one is known; nil: it is
// gone. It is news where its secrets are others.
func (t *table) setAccount(name, of string, a *account) {
	t.edit(name, func(p *place) bool {
		old := p.accounts[of]
		switch {
		case a == nil:
			delete(p.accounts, of)
			return false // nothing is to be done about one that is gone
		case old != nil && !newer(a.version, old.version):
			return false
		}
		if p.accounts == nil {
			p.accounts = map[string]*account{}
		}
		p.accounts[of] = a
		return old == nil || !slices.Equal(old.secrets, a.secrets)
	})
}

// wrote remembers what the API server made of a write to a place that was seen as
// seen. Where nothing else has changed since, that is no news: seen is brought up to
// date.
func (t *table) wrote(seen *place, version string, o *object) {
	t.mu.Lock()
	p := t.places[seen.name]
	if p == nil || p.generation != seen.generation {
		t.mu.Unlock()
		t.setSecret(seen.name, version, o)
		return
	}
	p.secret, p.secretVersion = o, version
	p.generation++
	seen.secret, seen.generation = o, p.generation
	t.mu.Unlock()
}

// settle records how a place stands that was seen to at a generation, for a book.
func (t *table) settle(seen place, book *keyring.Book, o outcome) (before outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.places[seen.name]
	if p == nil {
		return outcome{}
	}
	before, p.outcome = p.outcome, o
	if o.wrote {
		p.quarrel = p.quarrel.repaired(time.Now(), book)
	}
	p.settledBook = nil
	if o.settled() {
		p.settledBook, p.settledAt = book, seen.generation
	}
	return before
}

// isSettled reports whether nothing is left to do at a place for a book.
func (p *place) isSettled(book *keyring.Book) bool {
	return p.settledBook == book && p.settledAt == p.generation
}

// tell records the problem that users are told of, and reports whether it is a new
// one.
func (t *table) tell(name, problem string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.places[name]
	if p == nil || p.told == problem {
		return false
	}
	p.told = problem
	return problem != ""
}

// status returns how a place stands.
func (p *place) status(now time.Time) NamespaceStatus {
	s := NamespaceStatus{Namespace: p.name, Failed: p.outcome.err != nil, Conflict: p.outcome.problem != ""}
	if p.secret != nil {
		s.ExpiresAt = p.secret.firstExpiry()
	}
	expired := !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
	s.Synced = p.settledBook != nil && !s.Conflict && !expired
	return s
}

// newer reports whether a resource version is newer than another of the same kind of
// object. Where they cannot be compared it is.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

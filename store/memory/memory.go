// Package memory is a regcred.Store in the process's memory, for runs that keep
// nothing and for tests. It starts no goroutines, and all of its channels are
// made inside it, so it works in a testing/synctest bubble.
//
// Nothing is sealed, because nothing is written.
package memory

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// Store is a regcred.Store. Use New.
type Store struct {
	id      string
	changed rules.Signal
	closed  chan struct{}

	mu       sync.Mutex
	isClosed bool
	revision uint64
	fence    uint64
	records  map[string]*record // by guid
	places   map[place]string   // guid by place, for credentials that have one
	history  []step             // by revision; see note
	tokens   []regcred.APIToken
	revoked  map[string]regcred.Revocation
	keys     map[string]regcred.Secret
	audit    []regcred.AuditEntry // oldest first
	audited  uint64               // the newest sequence
}

// record is the newest state of a credential. Its revision is that of the last
// change, which step in the history has too.
type record struct {
	credential regcred.Credential
	login      *regcred.Login
	created    uint64 // the revision of its creation
	deleted    bool
}

// place is what at most one credential has.
type place struct {
	scope    regcred.Scope
	location string
}

// step says that a credential changed. A step that is not of the record's newest
// revision is void.
type step struct {
	revision uint64
	guid     string
}

// New returns an empty store with an id of its own.
func New() *Store { return Resume(uuid.NewString(), 0) }

// Resume returns an empty store that goes on from an earlier one, which has ended:
// it has the same id, and its revisions begin above that one's. after must be no
// less than the revision that the earlier one came to. So what was delivered from
// that one counts as this one's own, and as older than all that is to come.
func Resume(id string, after uint64) *Store {
	return &Store{
		id:       id,
		closed:   make(chan struct{}),
		revision: after,
		records:  make(map[string]*record),
		places:   make(map[place]string),
		revoked:  make(map[string]regcred.Revocation),
		keys:     make(map[string]regcred.Secret),
	}
}

// ID identifies the store until the process ends, or beyond that where it was given
// to Resume.
func (s *Store) ID() string { return s.id }

// Close ends every Watch. Any other call returns Unavailable from now on.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isClosed {
		s.isClosed = true
		close(s.closed)
	}
	return nil
}

// lock locks the store for one operation, which must call s.mu.Unlock unless
// there is an error.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.isClosed {
		s.mu.Unlock()
		return rules.Closed()
	}
	return nil
}

// live returns the record of a credential that is not deleted.
func (s *Store) live(guid string) (*record, error) {
	r, ok := s.records[guid]
	if !ok || r.deleted {
		return nil, rules.NotFound(guid)
	}
	return r, nil
}

// note records that r changed, and wakes the watchers.
func (s *Store) note(r *record) {
	s.revision++
	r.credential.Revision = s.revision
	s.history = append(s.history, step{s.revision, r.credential.GUID})
	if len(s.history) > 2*len(s.records)+historySlack {
		s.history = slices.DeleteFunc(s.history, s.void)
	}
	s.changed.Notify()
}

// historySlack keeps small histories from being compacted at every step.
const historySlack = 64

func (s *Store) void(st step) bool {
	return s.records[st.guid].credential.Revision != st.revision
}

// Create implements regcred.Store.
func (s *Store) Create(ctx context.Context, c regcred.Credential) (regcred.Credential, error) {
	c, err := rules.Create(c, time.Now())
	if err != nil {
		return regcred.Credential{}, err
	}
	if err := s.lock(ctx); err != nil {
		return regcred.Credential{}, err
	}
	defer s.mu.Unlock()
	c.Version = 1
	if old, ok := s.records[c.GUID]; ok {
		if !old.deleted {
			return regcred.Credential{}, rules.Taken(old.name())
		}
		c.Version = old.credential.Version + 1
	}
	if err := s.occupy(c); err != nil {
		return regcred.Credential{}, err
	}
	r := &record{credential: c, created: s.revision + 1}
	s.records[c.GUID] = r
	s.note(r)
	return r.credential.Clone(), nil
}

// occupy gives c its place. Errors: Exists.
func (s *Store) occupy(c regcred.Credential) error {
	if c.Location.IsZero() {
		return nil
	}
	p := place{c.Scope, c.Location.String()}
	if guid, ok := s.places[p]; ok && guid != c.GUID {
		return rules.Taken(s.records[guid].name())
	}
	s.places[p] = c.GUID
	return nil
}

// Get implements regcred.Store.
func (s *Store) Get(ctx context.Context, guid string) (regcred.Credential, error) {
	if err := s.lock(ctx); err != nil {
		return regcred.Credential{}, err
	}
	defer s.mu.Unlock()
	r, err := s.live(guid)
	if err != nil {
		return regcred.Credential{}, err
	}
	return r.credential.Clone(), nil
}

// List implements regcred.Store.
func (s *Store) List(ctx context.Context, f regcred.Filter) ([]regcred.Credential, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []*record
	for _, r := range s.records {
		if !r.deleted && matches(f, r.credential) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *record) int { return cmp.Compare(a.created, b.created) })
	list := make([]regcred.Credential, len(found))
	for i, r := range found {
		list[i] = r.credential.Public().Clone()
	}
	return list, nil
}

func matches(f regcred.Filter, c regcred.Credential) bool {
	return (len(f.GUIDs) == 0 || slices.Contains(f.GUIDs, c.GUID)) &&
		(len(f.Scopes) == 0 || slices.Contains(f.Scopes, c.Scope)) &&
		(len(f.Locations) == 0 || slices.Contains(f.Locations, c.Location.String())) &&
		(f.Origin == "" || f.Origin == c.Origin)
}

// Update implements regcred.Store. change must be quick, and must not call the
// store.
func (s *Store) Update(ctx context.Context, guid string, change func(*regcred.Credential) error) (regcred.Credential, error) {
	if err := s.lock(ctx); err != nil {
		return regcred.Credential{}, err
	}
	defer s.mu.Unlock()
	r, err := s.live(guid)
	if err != nil {
		return regcred.Credential{}, err
	}
	c, changed, err := rules.Update(r.credential, change, time.Now())
	if err != nil {
		return regcred.Credential{}, err
	}
	if !changed {
		return c.Clone(), nil
	}
	if err := s.occupy(c); err != nil {
		return regcred.Credential{}, err
	}
	r.credential = c
	s.note(r)
	return r.credential.Clone(), nil
}

// Delete implements regcred.Store.
func (s *Store) Delete(ctx context.Context, guid string) (uint64, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	r, err := s.live(guid)
	if err != nil {
		return 0, err
	}
	c := r.credential
	delete(s.places, place{c.Scope, c.Location.String()})
	r.login, r.deleted = nil, true
	r.credential = regcred.Credential{GUID: guid, Scope: c.Scope, Location: c.Location, Version: c.Version}
	s.note(r)
	return s.revision, nil
}

// Watch implements regcred.Store. It ends with Stale where after is greater than
// the store's revision.
func (s *Store) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	return rules.Source{Read: s.changesAfter, Changed: &s.changed, Closed: s.closed}.Watch(ctx, after)
}

// changesAfter reads one batch.
func (s *Store) changesAfter(ctx context.Context, after uint64) (regcred.Batch, error) {
	if err := s.lock(ctx); err != nil {
		return regcred.Batch{}, err
	}
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.history, after+1, func(st step, revision uint64) int {
		return cmp.Compare(st.revision, revision)
	})
	var batch regcred.Batch
	for _, st := range s.history[i:] {
		if s.void(st) {
			continue
		}
		if len(batch.Changes) == rules.BatchSize {
			batch.Revision = batch.Changes[rules.BatchSize-1].Revision
			return batch, nil
		}
		batch.Changes = append(batch.Changes, s.records[st.guid].change())
	}
	batch.Revision, batch.Current = s.revision, true
	return batch, nil
}

func (r *record) name() string {
	return rules.Name(r.credential.GUID, r.credential.Scope, r.credential.Location.String())
}

func (r *record) change() regcred.Change {
	c := r.credential.Public().Clone()
	change := regcred.Change{Revision: c.Revision, Credential: c, Deleted: r.deleted}
	if r.deleted {
		change.Credential = regcred.Credential{GUID: c.GUID, Scope: c.Scope, Location: c.Location}
	}
	if r.login != nil {
		l := cloneLogin(*r.login)
		change.Login = &l
	}
	return change
}

package refresh

import (
	"iter"
	"maps"
	"slices"
	"time"

	"regcred.dev"
)

// Status says how a credential fares.
type Status struct {
	GUID     string
	Provider string
	// Minting says that a mint is under way or about to begin. Due is when the next
	// one is planned; zero while one is under way, and where the login never expires.
	Minting bool
	Due     time.Time
	// Failures counts those in a row since the last success, and Problem is what
	// may be shown of the last one; "" where there is none.
	Failures int
	Problem  string
	// LastMint is when the provider last gave a login, and Mints how many it gave,
	// both since the Refresher started.
	LastMint time.Time
	Mints    uint64
	// HasLogin says that a login is stored. ExpiresAt is when it expires, or has
	// expired; zero: never.
	HasLogin  bool
	ExpiresAt time.Time
}

// Status returns that of a credential, false where it is not known (yet).
func (r *Refresher) Status(guid string) (Status, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[guid]
	if !ok {
		return Status{}, false
	}
	s := Status{
		GUID: e.guid, Provider: e.provider, Minting: e.attempt != nil,
		Failures: e.failures, LastMint: e.lastMint, Mints: e.mints,
	}
	if !s.Minting {
		s.Due = e.due
	}
	if e.err != nil {
		s.Problem = regcred.MessageOf(e.err)
	}
	if e.stored != nil {
		s.HasLogin, s.ExpiresAt = true, e.stored.ExpiresAt
	}
	return s, true
}

// Statuses yields that of each credential, in no order. Each is current when it
// is yielded.
func (r *Refresher) Statuses() iter.Seq[Status] {
	return func(yield func(Status) bool) {
		r.mu.Lock()
		guids := slices.Collect(maps.Keys(r.entries))
		r.mu.Unlock()
		for _, guid := range guids {
			if s, ok := r.Status(guid); ok && !yield(s) {
				return
			}
		}
	}
}

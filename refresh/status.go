package refresh

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"regcred.dev"
)

// Status says how a credential fares.
type Status struct {
	GUID string
	// Provider is whose issuer is asked: of a delegate's credential, that of its source.
	Provider string
	// Minting says that a mint is under way or about to begin. Due is when the next
	// one is planned; zero while one is under way, and where the login never expires.
	Minting bool
	Due     time.Time
	// Failures counts those in a row since the last success, and Problem is what
	// may be shown of the last one, or of why its issuer is not asked though it is
	// due; "" where there is none.
	// Code is its code.
	Failures int
	Problem  string
	Code     regcred.Code
	// LastMint is when the provider last gave a login, and Mints how many it gave,
	// both since the Refresher started. A login that is shared is counted with the
	// credential that it was minted from.
	LastMint time.Time
	Mints    uint64
	// HasLogin says that a login is stored. ExpiresAt is when it expires, or has
	// expired; zero: never.
	HasLogin  bool
	ExpiresAt time.Time
	// GapAt is when a gap will open, or has opened: when the stored login expires
	// while no new one is to be had. Zero: none is in sight.
	GapAt time.Time
}

// Status returns that of a credential, false where it is not known (yet).
func (r *Refresher) Status(guid string) (Status, bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[guid]
	if !ok {
		return Status{}, false
	}
	s := Status{
		GUID: e.guid, Provider: e.lane.issuer.provider, Minting: e.attempt != nil,
		Failures: e.failures, LastMint: e.lastMint, Mints: e.mints, GapAt: e.gapAt(now),
	}
	if !s.Minting {
		s.Due = e.due
	}
	if err := e.problem(now); err != nil {
		s.Problem, s.Code = regcred.MessageOf(err), regcred.CodeOf(err)
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

// IssuerStatus says how an issuer fares, of which there are credentials.
type IssuerStatus struct {
	// Provider is "" for credentials that cannot be read.
	Provider string
	// Issuer is Provider.Issuer of the credentials.
	Issuer      string
	Credentials int
	// Rate is how many mints a second it is asked for at most now; 0: no limit.
	Rate float64
	// ThrottledUntil is until when it is not asked, because it asked for a pause;
	// zero: it is asked.
	ThrottledUntil time.Time
	// Down says that it was unavailable many times in a row, and is only tried every
	// five seconds until it answers.
	Down bool
	// Mints counts the logins that it gave, and Failures the mints that failed,
	// since the first of its credentials was there.
	Mints, Failures uint64
}

// Issuers returns the state of each issuer at the time of the call, ordered by
// provider and issuer.
func (r *Refresher) Issuers() iter.Seq[IssuerStatus] {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]IssuerStatus, 0, len(r.issuers))
	for who, l := range r.issuers {
		s := IssuerStatus{
			Provider: who.provider, Issuer: who.name, Credentials: l.entries,
			Rate: l.limit.current(), Down: l.limit.down(), Mints: l.mints, Failures: l.failures,
		}
		if l.limit.paused(now) {
			s.ThrottledUntil = l.limit.pausedUntil
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b IssuerStatus) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Issuer, b.Issuer))
	})
	return slices.Values(all)
}

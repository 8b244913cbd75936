package token

import (
	"context"
	"sync"
	"time"

	"regcred.dev"
)

// Revoke ends everything that was issued to a subject before a time: a subject
// as in Claims, or the ID of a single token. The revocation is kept until the
// last of it has expired anyway. A later one for the same subject widens it.
//
// It is effective at once in this process, even where the store then fails, and
// in others that share the store with their next Reload.
//
// Errors: Invalid where subject is empty or until not after before; those of the
// store: the revocation then ends with this process unless Revoke is repeated.
func (s *Service) Revoke(ctx context.Context, subject string, before, until time.Time) error {
	if subject == "" || !until.After(before) {
		return regcred.Errorf(regcred.Invalid, "a revocation needs a subject, and a time until which it is kept that is after the time before which it holds")
	}
	r := regcred.Revocation{Subject: subject, Before: before, Until: until}
	s.revoked.add(r)
	return s.store.Revoke(ctx, r)
}

// Reload learns the revocations that other processes stored, and forgets those
// that are over. Call it every minute or so, where another process shares the
// store every few seconds.
//
// Errors: those of the store; what was known stays in effect.
func (s *Service) Reload(ctx context.Context) error {
	now := time.Now()
	list, err := s.store.Revocations(ctx, now)
	if err != nil {
		return err
	}
	s.revoked.forget(now)
	s.revoked.add(list...)
	return nil
}

// revocations are those in effect, by subject.
type revocations struct {
	mu        sync.RWMutex
	bySubject map[string]regcred.Revocation
}

func (r *revocations) add(list ...regcred.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bySubject == nil {
		r.bySubject = make(map[string]regcred.Revocation, len(list))
	}
	for _, n := range list {
		o := r.bySubject[n.Subject]
		if n.Before.Before(o.Before) {
			n.Before = o.Before
		}
		if n.Until.Before(o.Until) {
			n.Until = o.Until
		}
		r.bySubject[n.Subject] = n
	}
}

func (r *revocations) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for subject, n := range r.bySubject {
		if !now.Before(n.Until) {
			delete(r.bySubject, subject)
		}
	}
}

// covers reports whether what was issued to the subject at a time is revoked.
func (r *revocations) covers(subject string, issued time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n, ok := r.bySubject[subject]
	return ok && issued.Before(n.Before)
}

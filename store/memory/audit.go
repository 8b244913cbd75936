package memory

import (
	"context"
	"slices"
	"time"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// maxAudit bounds the audit log: a process that keeps nothing must not grow for ever.
// The oldest entries go first.
const maxAudit = 10_000

// Audit implements regcred.AuditStore. Of more than 10,000 entries the newest are kept.
func (s *Store) Audit(ctx context.Context, entries ...regcred.AuditEntry) error {
	added := make([]regcred.AuditEntry, len(entries))
	for i, e := range entries {
		var err error
		if added[i], err = rules.AuditEntry(e); err != nil {
			return err
		}
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, e := range added {
		s.audited++
		e.Sequence = s.audited
		s.audit = append(s.audit, e)
	}
	if over := len(s.audit) - maxAudit; over > 0 {
		s.audit = slices.Delete(s.audit, 0, over)
	}
	return nil
}

// AuditLog implements regcred.AuditStore.
func (s *Store) AuditLog(ctx context.Context, q regcred.AuditQuery) ([]regcred.AuditEntry, int, error) {
	if err := s.lock(ctx); err != nil {
		return nil, 0, err
	}
	defer s.mu.Unlock()
	var found []regcred.AuditEntry
	for _, e := range s.audit {
		if rules.Selects(q, e) {
			found = append(found, e)
		}
	}
	if q.Newest {
		slices.Reverse(found)
	}
	from := min(q.Offset, len(found))
	return slices.Clone(found[from:min(from+q.Limit, len(found))]), len(found), nil
}

// PruneAudit implements regcred.AuditStore.
func (s *Store) PruneAudit(ctx context.Context, before time.Time) (int, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	n := len(s.audit)
	s.audit = slices.DeleteFunc(s.audit, func(e regcred.AuditEntry) bool { return e.At.Before(before) })
	return n - len(s.audit), nil
}

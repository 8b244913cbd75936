package service

import (
	"context"
	"sync"
	"time"

	"regcred.dev"
)

// act is what a caller wants to do, for the audit log.
type act struct {
	operation string
	scope     regcred.Scope
	location  string
	guid      string
	detail    string
	// read says that nothing is changed and no secret released: it is in the log within
	// a second, together with its like.
	read bool
}

// on returns the act with the credential that it is about.
func (a act) on(c regcred.Credential) act {
	a.guid, a.scope, a.location = c.GUID, c.Scope, c.Location.String()
	return a
}

func (a act) entry(caller regcred.Caller, at time.Time, allowed bool, detail string) regcred.AuditEntry {
	detail = detail[:min(len(detail), regcred.MaxAuditText)] // of thousands that wait, and are as callers wrote them
	return regcred.AuditEntry{
		At: at, Caller: caller.Name, Role: caller.Role, From: caller.From, Operation: a.operation,
		Scope: a.scope, Location: a.location, GUID: a.guid, Allowed: allowed, Detail: detail,
	}
}

// allow records that a caller may do something, before it is done: what is not in the
// log does not happen. Errors: Unavailable.
func (s *Service) allow(ctx context.Context, caller regcred.Caller, a act) error {
	if a.read {
		return s.reads.add(ctx, s.o.Store, a.entry(caller, time.Time{}, true, a.detail))
	}
	return s.record(ctx, a.entry(caller, time.Now(), true, a.detail))
}

// refuse records that a caller may not do something, and returns the error that says so.
func (s *Service) refuse(ctx context.Context, caller regcred.Caller, a act, why error) error {
	e := a.entry(caller, time.Now(), false, regcred.MessageOf(why))
	write := s.record
	if !s.reads.admit(e.Caller) {
		write = func(ctx context.Context, e regcred.AuditEntry) error { return s.reads.add(ctx, s.o.Store, others(e)) }
	}
	if err := write(ctx, e); err != nil {
		s.o.Log.ErrorContext(ctx, "a refusal is not in the audit log", "operation", a.operation, "caller", caller, "error", err)
	}
	return why
}

// denied records an error that shows only once it is known what was asked for, where it
// is a refusal, and returns it.
func (s *Service) denied(ctx context.Context, caller regcred.Caller, a act, err error) error {
	if regcred.CodeOf(err) == regcred.Denied {
		return s.refuse(ctx, caller, a, err)
	}
	return err
}

// record adds an entry to the log. A caller who goes away does not take it along.
func (s *Service) record(ctx context.Context, e regcred.AuditEntry) error {
	if err := s.o.Store.Audit(context.WithoutCancel(ctx), e); err != nil {
		s.o.Log.ErrorContext(ctx, "the audit log cannot be written", "error", err)
		return regcred.Errorf(regcred.Unavailable, "the audit log cannot be written, and nothing is done without it: try again")
	}
	return nil
}

// readInterval is how long allowed reads may wait before they are in the log, and
// maxReads how many different ones may. One caller causes at most maxDistinct entries in
// that time by reads and refusals: a loop, or somebody who wants the disk full, must not
// bury what others did.
const (
	readInterval = time.Second
	maxReads     = 10_000
	maxDistinct  = 200
)

// reads are allowed reads of the last second, counted, and the refusals for which their
// callers have no entry left.
type reads struct {
	mu       sync.Mutex
	counts   map[regcred.AuditEntry]int // of entries without At
	since    time.Time
	distinct map[string]int // entries by caller
}

// admit reports whether a caller may have one more entry, and counts it.
func (r *reads) admit(caller string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitLocked(caller)
}

func (r *reads) admitLocked(caller string) bool {
	if r.distinct == nil {
		r.distinct = map[string]int{}
	}
	r.distinct[caller]++
	return r.distinct[caller] <= maxDistinct
}

// others is the entry that counts those of a caller which have none of their own.
func others(e regcred.AuditEntry) regcred.AuditEntry {
	return regcred.AuditEntry{
		Caller: e.Caller, Role: e.Role, Operation: e.Operation, Allowed: e.Allowed,
		Detail: "and others: there were too many in this second to have each of them here",
	}
}

// add counts a read. Where there are too many to keep, they are written now.
func (r *reads) add(ctx context.Context, store regcred.AuditStore, e regcred.AuditEntry) error {
	r.mu.Lock()
	if r.counts == nil {
		r.counts, r.since = map[regcred.AuditEntry]int{}, time.Now()
	}
	if r.counts[e] == 0 && !r.admitLocked(e.Caller) {
		e = others(e)
	}
	r.counts[e]++
	full := len(r.counts) >= maxReads
	r.mu.Unlock()
	if full {
		return r.flush(context.WithoutCancel(ctx), store)
	}
	return nil
}

// flush writes what was counted. What cannot be written is counted on.
func (r *reads) flush(ctx context.Context, store regcred.AuditStore) error {
	r.mu.Lock()
	counts, since := r.counts, r.since
	r.counts, r.distinct = nil, nil
	r.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	entries := make([]regcred.AuditEntry, 0, len(counts))
	for e, n := range counts {
		e.At, e.Count = since, n
		entries = append(entries, e)
	}
	err := store.Audit(ctx, entries...)
	if err != nil {
		r.keep(counts, since)
	}
	return err
}

// keep takes counts back, as far as there is room.
func (r *reads) keep(counts map[regcred.AuditEntry]int, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[regcred.AuditEntry]int{}
	}
	r.since = since
	for e, n := range counts {
		if len(r.counts) < maxReads || r.counts[e] > 0 {
			r.counts[e] += n
		}
	}
}

// RunAudit writes reads to the audit log, and removes entries that are older than keep,
// until ctx ends; 0 keeps all. It returns once the last reads are written.
func (s *Service) RunAudit(ctx context.Context, keep time.Duration) error {
	flush, prune := time.NewTicker(readInterval), time.NewTicker(time.Hour)
	defer flush.Stop()
	defer prune.Stop()
	s.pruneAudit(ctx, keep) // a server may be started anew more often than that
	for {
		select {
		case <-ctx.Done():
			return s.flushReads(context.WithoutCancel(ctx))
		case <-flush.C:
			_ = s.flushReads(ctx) // it is logged, and tried again
		case <-prune.C:
			s.pruneAudit(ctx, keep)
		}
	}
}

// pruneAudit removes entries that are older than keep, unless that is 0.
func (s *Service) pruneAudit(ctx context.Context, keep time.Duration) {
	if keep == 0 {
		return
	}
	if _, err := s.o.Store.PruneAudit(ctx, time.Now().Add(-keep)); err != nil && ctx.Err() == nil {
		s.o.Log.WarnContext(ctx, "removing old entries of the audit log failed", "error", err)
	}
}

func (s *Service) flushReads(ctx context.Context) error {
	err := s.reads.flush(ctx, s.o.Store)
	if err != nil && ctx.Err() == nil {
		s.o.Log.WarnContext(ctx, "reads cannot be written to the audit log", "error", err)
	}
	return err
}

// AuditLog returns the page of a query of the audit log, and how many entries it
// selects: for admins, and auditors. Errors: Denied, Corrupt.
func (s *Service) AuditLog(ctx context.Context, caller regcred.Caller, q regcred.AuditQuery) ([]regcred.AuditEntry, int, error) {
	if err := s.requireRead(ctx, caller, act{operation: "read audit log", read: true}); err != nil {
		return nil, 0, err
	}
	if err := s.flushReads(ctx); err != nil {
		return nil, 0, err
	}
	return s.o.Store.AuditLog(ctx, q)
}

// Package audit writes the audit log, which docs/security.md describes.
//
// What changes something, or releases a secret, is in the log before it is done: where
// the log cannot be written, it is not done. All else is counted, and written within a
// second; what is done by nobody who is known, within a minute. So neither a loop nor
// somebody who wants the disk full can bury what others did.
package audit

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"regcred.dev"
)

// How much is kept of what is counted. A caller who is known causes at most callerEntries
// entries in a second, and callerRefusals by what it may not do in an hour: of those it makes
// up what they are about. All those who are not cause strangerEntries in a minute by what they
// were allowed to and as many by what not, and those of one address (of one /64 of IPv6)
// networkEntries of these. What goes beyond that is counted in one entry for each operation.
const (
	readInterval    = time.Second
	maxReads        = 10_000 // different ones that wait
	callerEntries   = 200
	callerRefusals  = 1000
	refusalWindow   = time.Hour
	maxRefusals     = 100 * callerRefusals
	strangerWindow  = time.Minute
	strangerEntries = 20
	networkEntries  = 5
)

// Log writes the audit log. It is safe for concurrent use.
type Log struct {
	store regcred.AuditStore
	log   *slog.Logger
	known tally
	// refusals only bound those of callers who are known.
	refusals tally
	// guests are nobody who is known, as far as they were allowed something; strangers as
	// far as not.
	guests, strangers tally
}

// New returns a Log that writes to a store, and says what it cannot write to log; nil
// discards that. Run has to run beside it.
func New(store regcred.AuditStore, log *slog.Logger) *Log {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	unknown := func() tally {
		return tally{each: networkEntries, all: strangerEntries, window: strangerWindow, source: network}
	}
	caller := func(e regcred.AuditEntry) string { return e.Caller }
	return &Log{
		store: store, log: log, guests: unknown(), strangers: unknown(),
		known:    tally{each: callerEntries, all: maxReads, source: caller},
		refusals: tally{each: callerRefusals, all: maxRefusals, window: refusalWindow, source: caller},
	}
}

// network returns where an entry's address belongs to: whoever has one address of IPv6 has
// a /64.
func network(e regcred.AuditEntry) string {
	addr, err := netip.ParseAddr(e.From)
	if err != nil || addr.Is4() || addr.Is4In6() {
		return e.From
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return e.From
	}
	return prefix.String()
}

// Allow records what somebody may do, before it is done: what is not in the log does not
// happen. A caller who goes away does not take the entry along. Errors: Unavailable.
func (l *Log) Allow(ctx context.Context, e regcred.AuditEntry) error {
	e.Allowed = true
	if err := l.write(ctx, e); err != nil {
		return regcred.Errorf(regcred.Unavailable, "the audit log cannot be written, and nothing is done without it: try again")
	}
	return nil
}

// Refuse records what somebody may not do. A log that cannot be written is no reason for
// another answer: it is logged.
func (l *Log) Refuse(ctx context.Context, e regcred.AuditEntry) {
	e.Allowed = false
	now := time.Now()
	switch {
	case e.Caller == regcred.Nobody:
		l.Count(ctx, e)
	case !l.refusals.admit(now, e):
		l.countKnown(ctx, others(e))
	case !l.known.admit(now, e):
		l.countKnown(ctx, e)
	default:
		_ = l.write(ctx, e) // it is logged
	}
}

// write adds an entry to the log now.
func (l *Log) write(ctx context.Context, e regcred.AuditEntry) error {
	e.At = time.Now()
	err := l.store.Audit(context.WithoutCancel(ctx), e)
	if err != nil {
		l.log.ErrorContext(ctx, "the audit log cannot be written", "operation", e.Operation, "caller", e.Caller, "allowed", e.Allowed, "error", err)
	}
	return err
}

// Count counts what changes nothing, allowed or not. It is in the log within a second, or
// within a minute where its caller is regcred.Nobody.
func (l *Log) Count(ctx context.Context, e regcred.AuditEntry) {
	switch {
	case e.Caller == regcred.Nobody && e.Allowed:
		l.guests.add(time.Now(), e)
		return
	case e.Caller == regcred.Nobody:
		l.strangers.add(time.Now(), e)
		return
	case !e.Allowed && !l.refusals.admit(time.Now(), e):
		e = others(e)
	}
	l.countKnown(ctx, e)
}

func (l *Log) countKnown(ctx context.Context, e regcred.AuditEntry) {
	if full := l.known.add(time.Now(), e); full {
		_ = l.flush(context.WithoutCancel(ctx), &l.known) // it is logged, and tried again
	}
}

// Flush writes all that was counted. Errors: those of the store; it is counted on then.
func (l *Log) Flush(ctx context.Context) error {
	return errors.Join(l.flush(ctx, &l.known), l.flush(ctx, &l.guests), l.flush(ctx, &l.strangers))
}

// flush writes what a tally counted.
func (l *Log) flush(ctx context.Context, t *tally) error {
	counts := t.take()
	if len(counts) == 0 {
		return nil
	}
	err := l.store.Audit(ctx, entries(counts)...)
	if err == nil {
		return nil
	}
	t.keep(counts)
	if ctx.Err() == nil {
		l.log.WarnContext(ctx, "reads and refusals cannot be written to the audit log", "error", err)
	}
	return err
}

// Run writes what was counted, and removes entries that are older than keep, until ctx
// ends; 0 keeps all. It returns once the last are written.
func (l *Log) Run(ctx context.Context, keep time.Duration) error {
	reads, strangers, prune := time.NewTicker(readInterval), time.NewTicker(strangerWindow), time.NewTicker(time.Hour)
	defer reads.Stop()
	defer strangers.Stop()
	defer prune.Stop()
	l.prune(ctx, keep) // a server may be started anew more often than that
	for {
		select {
		case <-ctx.Done():
			return l.Flush(context.WithoutCancel(ctx))
		case <-reads.C:
			_ = l.flush(ctx, &l.known) // it is logged, and tried again
		case <-strangers.C:
			_ = l.flush(ctx, &l.guests) // as above
			_ = l.flush(ctx, &l.strangers)
		case <-prune.C:
			l.prune(ctx, keep)
		}
	}
}

// prune removes entries that are older than keep, unless that is 0.
func (l *Log) prune(ctx context.Context, keep time.Duration) {
	if keep == 0 {
		return
	}
	if _, err := l.store.PruneAudit(ctx, time.Now().Add(-keep)); err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "removing old entries of the audit log failed", "error", err)
	}
}

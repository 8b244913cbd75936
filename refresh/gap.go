package refresh

import (
	"context"
	"log/slog"
	"time"

	"regcred.dev"
)

// A stage says how near a credential is to a gap: a time without a valid login.
type stage uint8

const (
	calm   stage = iota
	failed       // no new login though one is due; what is stored is valid, or nothing is
	near         // less than nearShare of the stored login's lifetime is left
	open         // the stored login has expired
)

// nearShare is the part of a lifetime that is left when somebody has to act. A
// renewal that was due at half of it has failed for another quarter then: longer
// than most outages last, and early enough for a human.
const nearShare = 0.25

// stage returns how near a gap is at now. Who waits for an issuer that is down or
// throttles is as near to one as who asked it in vain.
func (e *entry) stage(now time.Time) stage {
	l := e.stored
	switch {
	case l != nil && l.Expired(now):
		return open
	case e.failures == 0 && e.blocked(now) == nil:
		return calm
	case l != nil && !l.ExpiresAt.IsZero() && float64(l.ExpiresAt.Sub(now)) < nearShare*float64(l.ExpiresAt.Sub(l.MintedAt)):
		return near
	}
	return failed
}

// blocked returns why a credential that is due is not minted from, nil where that
// is not its issuer's doing.
func (e *entry) blocked(now time.Time) error {
	if e.due.IsZero() || e.due.After(now) {
		return nil
	}
	return e.lane.trouble(now)
}

// problem returns why there is no new login: what its own last mint said, else what
// keeps it waiting; nil where there is nothing to say.
func (e *entry) problem(now time.Time) error {
	if e.err != nil {
		return e.err
	}
	return e.blocked(now)
}

// gapAt returns when the stored login expires, or did, where no new one is to be
// had; zero: no gap is in sight.
func (e *entry) gapAt(now time.Time) time.Time {
	if e.stored == nil || e.stage(now) == calm {
		return time.Time{}
	}
	return e.stored.ExpiresAt
}

// A notice is a line for the log, which is written once nothing is locked.
type notice struct {
	level slog.Level
	text  string
	attrs []any
}

func (r *Refresher) tell(n notice) { r.log.Log(context.Background(), n.level, n.text, n.attrs...) }

// warn returns what is to be said of a credential without a new login: a line for
// each stage that it comes to, and then no more.
func (e *entry) warn(now time.Time) (notice, bool) {
	s := e.stage(now)
	if s <= e.told {
		return notice{}, false
	}
	e.told = s
	n := notice{attrs: []any{"guid", e.guid, "provider", e.lane.issuer.provider}}
	if err := e.problem(now); err != nil {
		n.attrs = append(n.attrs, "err", err)
	}
	if e.due.After(now) {
		n.attrs = append(n.attrs, "next", e.due)
	}
	switch s {
	case failed:
		n.level, n.text = slog.LevelWarn, "no new login: trying again until there is one"
	case near:
		n.level, n.text = slog.LevelError, "no new login, and the last one expires soon"
	default:
		n.level, n.text = slog.LevelError, "no valid login: the last one has expired"
		e.gapSince = e.stored.ExpiresAt
	}
	if at := e.gapAt(now); !at.IsZero() {
		n.attrs = append(n.attrs, "gap", at)
	}
	return n, true
}

// relieved returns what is to be said of a credential that has a new login.
func (e *entry) relieved(l regcred.Login, failures int, now time.Time) notice {
	n := notice{level: slog.LevelDebug, text: "new login", attrs: []any{"guid", e.guid, "login", l, "next", e.due}}
	if e.told > calm || failures > 0 {
		n.level, n.text = slog.LevelInfo, "a new login again"
		n.attrs = append(n.attrs, "failures", failures)
	}
	if !e.gapSince.IsZero() {
		n.text = "a new login again: the gap is closed"
		n.attrs = append(n.attrs, "gap", e.gapSince, "lasted", now.Sub(e.gapSince).Round(time.Millisecond))
	}
	e.told, e.gapSince = calm, time.Time{}
	return n
}

// lookout is how often what no mint tells is looked for: logins that expire while
// their credentials wait.
const lookout = time.Minute

// watchGaps warns of gaps until ctx ends.
func (r *Refresher) watchGaps(ctx context.Context) {
	ticks := time.NewTicker(lookout)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		for _, n := range r.warnings(time.Now()) {
			r.tell(n)
		}
	}
}

// warnings returns what is to be said of credentials that are due and wait for
// their turn. All others were looked at when their last mint failed, or have not
// come to it.
func (r *Refresher) warnings(now time.Time) []notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []notice
	for _, l := range r.issuers {
		l.promote(now)
		for _, q := range []*queue[*entry]{&l.ready, &l.retries} {
			for _, e := range q.items {
				if n, ok := e.warn(now); ok {
					all = append(all, n)
				}
			}
		}
	}
	return all
}

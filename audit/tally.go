package audit

import (
	"slices"
	"sync"
	"time"

	"regcred.dev"
)

// tally counts entries that are alike until they are written.
type tally struct {
	// each bounds how many different entries one source has in a window, and all how many
	// there are.
	each, all int
	// source says whose an entry is.
	source func(regcred.AuditEntry) string
	// window is how long the bounds hold for; 0 until what was counted is written.
	window time.Duration

	mu     sync.Mutex
	counts map[regcred.AuditEntry]seen // by entries without At
	opened time.Time                   // the window
	mine   map[string]int              // entries of the window, by source
	total  int                         // of mine
	stuck  bool                        // what was counted could not be written
}

// seen is when something happened first, and how many times.
type seen struct {
	at time.Time
	n  int
}

// admit reports whether the source of an entry may have one more, and counts it.
func (t *tally) admit(now time.Time, e regcred.AuditEntry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.admitLocked(now, e)
}

func (t *tally) admitLocked(now time.Time, e regcred.AuditEntry) bool {
	if t.mine == nil || t.window > 0 && now.Sub(t.opened) >= t.window {
		t.mine, t.total, t.opened = map[string]int{}, 0, now
	}
	source := t.source(e)
	if t.mine[source] >= t.each || t.total >= t.all {
		return false
	}
	t.mine[source]++
	t.total++
	return true
}

// others is the entry that counts those of a caller which have none of their own.
func others(e regcred.AuditEntry) regcred.AuditEntry {
	return regcred.AuditEntry{
		Caller: e.Caller, Role: e.Role, Operation: e.Operation, Allowed: e.Allowed,
		Detail: "and others: there were too many at once to have each of them here",
	}
}

// add counts an entry. full says that what was counted is to be written now, so that
// there is room for more.
func (t *tally) add(now time.Time, e regcred.AuditEntry) (full bool) {
	e = short(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[regcred.AuditEntry]seen{}
	}
	if t.counts[e].n == 0 && !t.admitLocked(now, e) {
		e = others(e)
	}
	s := t.counts[e]
	if s.n == 0 {
		s.at = now
	}
	s.n++
	t.counts[e] = s
	return t.window == 0 && t.total >= t.all && !t.stuck
}

// short returns an entry as it waits, without its time: of thousands that do, none may
// have the length that its caller likes.
func short(e regcred.AuditEntry) regcred.AuditEntry {
	e.At, e.Count = time.Time{}, 0
	for _, text := range []*string{&e.From, &e.Scope.Org, &e.Scope.Space, &e.Scope.App, &e.Location, &e.GUID, &e.Repository, &e.Detail} {
		*text = (*text)[:min(len(*text), regcred.MaxAuditText)]
	}
	return e
}

// take returns what was counted, and counts from nothing. The bounds hold on in a window.
func (t *tally) take() map[regcred.AuditEntry]seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.counts
	t.counts, t.stuck = nil, false
	if t.window == 0 {
		t.mine, t.total = nil, 0
	}
	return counts
}

// keep takes back counts that could not be written, as far as there is room.
func (t *tally) keep(counts map[regcred.AuditEntry]seen) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck = true
	if t.counts == nil {
		t.counts = map[regcred.AuditEntry]seen{}
	}
	for e, old := range counts {
		if len(t.counts) >= t.all && t.counts[e].n == 0 {
			e = others(e)
		}
		s := t.counts[e]
		t.counts[e] = seen{old.at, old.n + s.n}
	}
}

// entries returns what was counted as entries of the log, the oldest first.
func entries(counts map[regcred.AuditEntry]seen) []regcred.AuditEntry {
	list := make([]regcred.AuditEntry, 0, len(counts))
	for e, s := range counts {
		e.At, e.Count = s.at, s.n
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b regcred.AuditEntry) int { return a.At.Compare(b.At) })
	return list
}

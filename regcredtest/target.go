package regcredtest

import (
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// TargetScope is whose keyring the targets of TestTarget get.
var TargetScope = regcred.OrgScope("acme")

// TargetSystem is a target's system, with nothing delivered to it yet.
type TargetSystem struct {
	// New returns a target that delivers the keyring of TargetScope to the system.
	// Each call is a new start of regcred.
	New func(t *testing.T) deliver.Target
	// Logins returns the logins that the system's clients find for a registry host,
	// whoever put them there: "username:password" by host.
	Logins func(t *testing.T) map[string]string
	// Put has a stranger write a login for a host, or remove it where it is "".
	Put func(t *testing.T, host, login string)
	// Scope is what Describe says of it. Default TargetScope.String(), that of a
	// target with one place.
	Scope string
	// WriteOnly says that the system shows no password again: whether a stranger wrote
	// the same cannot be known.
	WriteOnly bool
}

// TestTarget checks that a target does what deliver.Target asks for. open returns a
// system of its own on each call, and cleans it up by t.
func TestTarget(t *testing.T, open func(t *testing.T) TargetSystem) {
	tests := []struct {
		name string
		run  func(s *targetSession)
	}{
		{"Describe", testTargetDescribe},
		{"Converges", testTargetConverges},
		{"Idempotent", testTargetIdempotent},
		{"ReportsExpiry", testTargetReportsExpiry},
		{"StrangersUntouched", testTargetStrangersUntouched},
		{"Conflict", testTargetConflict},
		{"TakesUpEqual", testTargetTakesUpEqual},
		{"DriftRepaired", testTargetDriftRepaired},
		{"DriftNoticed", testTargetDriftNoticed},
		{"RemovesDeleted", testTargetRemovesDeleted},
		{"RemovesAfterRestart", testTargetRemovesAfterRestart},
		{"RemovesEndedMatch", testTargetRemovesEndedMatch},
		{"RemovesDropped", testTargetRemovesDropped},
		{"ReplacesDropped", testTargetReplacesDropped},
		{"DroppedSameAgain", testTargetDroppedSameAgain},
		{"DroppedStaysNearest", testTargetDroppedStaysNearest},
		{"DroppedElsewhereHeld", testTargetDroppedElsewhereHeld},
		{"DroppedAreNoBulk", testTargetDroppedAreNoBulk},
		{"KeepsWithoutLogin", testTargetKeepsWithoutLogin},
		{"KeepsExpired", testTargetKeepsExpired},
		{"KeepsChanged", testTargetKeepsChanged},
		{"NotCurrent", testTargetNotCurrent},
		{"UnknownHeld", testTargetUnknownHeld},
		{"OlderStoreHeld", testTargetOlderStoreHeld},
		{"NewStoreHeld", testTargetNewStoreHeld},
		{"BulkHeld", testTargetBulkHeld},
		{"FewAreNoBulk", testTargetFewAreNoBulk},
		{"ConfirmsNoMore", testTargetConfirmsNoMore},
		{"TwoStores", testTargetTwoStores},
		{"Uninstall", testTargetUninstall},
		{"Superseded", testTargetSuperseded},
		{"ContextEnded", testTargetContextEnded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			system := open(t)
			test.run(&targetSession{T: t, TargetSystem: system, target: system.New(t)})
		})
	}
}

// targetSession is a test of a target.
type targetSession struct {
	*testing.T
	TargetSystem
	target deliver.Target
}

// ledger is a store as a target sees it: books that follow one another.
type ledger struct {
	book *keyring.Book
}

// newLedger returns the books of an empty store.
func newLedger(id string) *ledger {
	return &ledger{keyring.New(id).Now().Apply(regcred.Batch{Current: true})}
}

// put stores a credential for host at TargetScope, whose guid is the host, with a
// login; nil: it has none now.
func (l *ledger) put(host string, login *regcred.Login) {
	l.putAt(host, TargetScope, host, login)
}

func (l *ledger) putAt(guid string, scope regcred.Scope, host string, login *regcred.Login) {
	c := static(scope, host)
	c.GUID = guid
	if e, ok := l.book.Get(guid); ok {
		c.DropRevision = e.DropRevision
	}
	l.change(regcred.Change{Credential: c, Login: login})
}

// drop records that the login of a credential, which was put, was dropped.
func (l *ledger) drop(host string) {
	c := static(TargetScope, host)
	c.GUID, c.DropRevision = host, l.book.Revision()+1
	l.change(regcred.Change{Credential: c})
}

// remove records the deletion of a credential.
func (l *ledger) remove(guid string) {
	l.change(regcred.Change{Credential: regcred.Credential{GUID: guid}, Deleted: true})
}

func (l *ledger) change(c regcred.Change) {
	c.Revision = l.book.Revision() + 1
	l.book = l.book.Apply(regcred.Batch{Changes: []regcred.Change{c}, Revision: c.Revision, Current: true})
}

// password returns a login that never expires.
func password(s string) *regcred.Login {
	return &regcred.Login{Username: "robot", Password: regcred.NewSecret(s)}
}

// expiring returns a login that expires at a time.
func expiring(s string, at time.Time) *regcred.Login {
	l := password(s)
	l.ExpiresAt = at
	return l
}

// try syncs, which must work.
func (s *targetSession) try(l *ledger, confirmed ...deliver.Hold) deliver.Report {
	s.Helper()
	report, err := s.target.Sync(s.Context(), l.book, deliver.SyncOptions{Confirmed: confirmed})
	if err != nil {
		s.Fatalf("Sync: %v", err)
	}
	return report
}

// sync syncs, and checks whether that changed anything.
func (s *targetSession) sync(l *ledger, changes bool, confirmed ...deliver.Hold) deliver.Report {
	s.Helper()
	report := s.try(l, confirmed...)
	if (report.Changed > 0) != changes {
		s.Errorf("Sync changed %d entries; warnings %q, held %v", report.Changed, report.Warnings, report.Held)
	}
	return report
}

// want checks what clients find: the passwords by host.
func (s *targetSession) want(passwords map[string]string) {
	s.Helper()
	logins := map[string]string{}
	for host, password := range passwords {
		logins[host] = "robot:" + password
	}
	if diff := cmp.Diff(logins, s.Logins(s.T)); diff != "" {
		s.Errorf("clients find (-want +got):\n%s", diff)
	}
}

func testTargetDescribe(s *targetSession) {
	info := s.target.Describe()
	if info.Name == "" || info.Kind == "" || info.Scope != stdcmp.Or(s.Scope, TargetScope.String()) {
		s.Errorf("Describe returned %+v", info)
	}
}

func testTargetConverges(s *targetSession) {
	l := newLedger("s1")
	s.sync(l, false)
	s.want(nil)
	l.put("a.example.com", password("1"))
	l.put("b.example.com:5000", password("2"))
	report := s.sync(l, true)
	s.want(map[string]string{"a.example.com": "1", "b.example.com:5000": "2"})
	if report.Delivered != report.Changed || len(report.Held) > 0 || len(report.Warnings) > 0 {
		s.Errorf("the report is %+v", report)
	}
	l.put("a.example.com", password("renewed"))
	l.putAt("wide", regcred.Foundation, "c.example.com", password("3"))
	l.putAt("other", regcred.OrgScope("other"), "d.example.com", password("4"))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "renewed", "b.example.com:5000": "2", "c.example.com": "3"})
	l.put("e.example.com", nil)
	if report := s.sync(l, false); len(report.Omitted) != 1 || report.Omitted[0].GUID != "e.example.com" || report.Omitted[0].Reason == "" {
		s.Errorf("a credential without a login is reported as %+v", report.Omitted)
	}
}

func testTargetIdempotent(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	first := s.sync(l, true)
	s.sync(l, false)
	s.target = s.New(s.T)
	second := s.sync(l, false)
	first.Changed = 0
	if diff := cmp.Diff(first, second); diff != "" {
		s.Errorf("the report after a restart (-before +after):\n%s", diff)
	}
}

func testTargetReportsExpiry(s *targetSession) {
	l, soon := newLedger("s1"), time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	l.put("a.example.com", password("1"))
	if report := s.sync(l, true); !report.EarliestExpiry.IsZero() {
		s.Errorf("logins that never expire are reported to expire at %s", report.EarliestExpiry)
	}
	l.put("b.example.com", expiring("2", soon.Add(time.Hour)))
	l.put("c.example.com", expiring("3", soon))
	s.sync(l, true)
	s.target = s.New(s.T)
	if report := s.sync(l, false); !report.EarliestExpiry.Equal(soon) {
		s.Errorf("the earliest expiry is %s, want %s", report.EarliestExpiry, soon)
	}
	// The same login, which its issuer has prolonged.
	l.put("c.example.com", expiring("3", soon.Add(2*time.Hour)))
	if report := s.sync(l, false); !report.EarliestExpiry.Equal(soon.Add(time.Hour)) {
		s.Errorf("the earliest expiry is %s, want %s", report.EarliestExpiry, soon.Add(time.Hour))
	}
}

func testTargetStrangersUntouched(s *targetSession) {
	l := newLedger("s1")
	s.Put(s.T, "theirs.example.com", "robot:theirs")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	s.Put(s.T, "later.example.com", "robot:later")
	l.remove("a.example.com")
	s.sync(l, true)
	s.want(map[string]string{"theirs.example.com": "theirs", "later.example.com": "later"})
}

func testTargetConflict(s *targetSession) {
	l := newLedger("s1")
	s.Put(s.T, "a.example.com", "robot:theirs")
	l.put("a.example.com", password("ours"))
	l.put("b.example.com", password("2"))
	report := s.sync(l, true)
	if report.Delivered != report.Changed || len(report.Warnings) != 1 {
		s.Errorf("a conflict is reported as %+v", report)
	}
	l.remove("a.example.com")
	s.try(l)
	s.want(map[string]string{"a.example.com": "theirs", "b.example.com": "2"})
}

// testTargetTakesUpEqual: what a stranger wrote just as it would be delivered is
// kept right from then on; where that cannot be known it stays the stranger's.
func testTargetTakesUpEqual(s *targetSession) {
	l := newLedger("s1")
	s.Put(s.T, "a.example.com", "robot:1")
	l.put("a.example.com", password("1"))
	report := s.try(l)
	s.want(map[string]string{"a.example.com": "1"})
	if s.WriteOnly {
		if report.Changed > 0 || len(report.Warnings) != 1 {
			s.Errorf("the report is %+v", report)
		}
		return
	}
	l.put("a.example.com", password("2"))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "2"})
}

func testTargetDriftRepaired(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	l.put("b.example.com", password("2"))
	s.sync(l, true)
	s.Put(s.T, "a.example.com", "")
	s.Put(s.T, "b.example.com", "robot:edited")
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "1", "b.example.com": "2"})
}

// testTargetDriftNoticed runs Watch, and then has somebody remove a login.
func testTargetDriftNoticed(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	ctx, cancel := context.WithCancel(s.Context())
	changed, ended := make(chan struct{}, 1000), make(chan error, 1)
	go func() { ended <- s.target.Watch(ctx, func() { changed <- struct{}{} }) }()
	await := func(what string) {
		s.Helper()
		select {
		case <-changed:
		case err := <-ended:
			s.Fatalf("%s: Watch returned %v", what, err)
		case <-time.After(patience):
			s.Fatalf("%s: Watch did not call changed", what)
		}
	}
	await("at the start")
	for round := range 3 {
		s.Put(s.T, "a.example.com", "")
		for deadline := time.Now().Add(patience); len(s.Logins(s.T)) == 0; {
			await(fmt.Sprintf("removal %d", round))
			if _, err := s.target.Sync(s.Context(), l.book, deliver.SyncOptions{}); err != nil || time.Now().After(deadline) {
				s.Fatalf("removal %d was not repaired: %v", round, err)
			}
		}
		s.want(map[string]string{"a.example.com": "1"})
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		s.Errorf("Watch ended with %v", err)
	}
}

func testTargetContextEnded(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.target.Sync(ctx, l.book, deliver.SyncOptions{}); !errors.Is(err, context.Canceled) {
		s.Errorf("Sync with a context that has ended: %v", err)
	}
	s.want(nil)
}

// testTargetSuperseded: a Sync that a newer book ends early leaves to the next one what
// it has not done.
func testTargetSuperseded(s *targetSession) {
	l, newer := newLedger("s1"), make(chan struct{})
	close(newer)
	superseded := func() {
		s.Helper()
		_, err := s.target.Sync(s.Context(), l.book, deliver.SyncOptions{Newer: newer})
		if err != nil && !errors.Is(err, deliver.ErrSuperseded) {
			s.Fatalf("Sync while there is a newer book: %v", err)
		}
	}
	l.put("a.example.com", password("1"))
	l.put("b.example.com", password("2"))
	superseded()
	l.put("a.example.com", password("renewed"))
	s.try(l)
	s.want(map[string]string{"a.example.com": "renewed", "b.example.com": "2"})
	l.remove("b.example.com")
	superseded()
	s.try(l)
	s.sync(l, false)
	s.want(map[string]string{"a.example.com": "renewed"})
}

// with returns a copy of the passwords with those of the second map.
func with(a, b map[string]string) map[string]string {
	a = maps.Clone(a)
	maps.Copy(a, b)
	return a
}

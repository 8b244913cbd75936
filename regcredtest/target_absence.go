package regcredtest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

func testTargetRemovesDeleted(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	l.put("b.example.com", password("2"))
	s.sync(l, true)
	l.remove("a.example.com")
	if report := s.sync(l, true); report.Delivered == 0 || len(report.Held) > 0 {
		s.Errorf("the report is %+v", report)
	}
	s.want(map[string]string{"b.example.com": "2"})
}

func testTargetRemovesAfterRestart(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	l.remove("a.example.com")
	s.target = s.New(s.T)
	s.sync(l, true)
	s.want(nil)
}

// testTargetRemovesEndedMatch: a nearer credential whose login is for another host
// ends the match of the farther one, and has nothing to deliver.
func testTargetRemovesEndedMatch(s *targetSession) {
	l := newLedger("s1")
	l.putAt("far", regcred.Foundation, "a.example.com", password("1"))
	s.sync(l, true)
	elsewhere := password("2")
	elsewhere.Hosts = []string{"b.example.com"}
	l.putAt("near", TargetScope, "a.example.com", elsewhere)
	if report := s.try(l); len(report.Held) > 0 {
		s.Errorf("held are %v", report.Held)
	}
	if login, ok := s.Logins(s.T)["a.example.com"]; ok {
		s.Errorf("a login that no longer matches is still there: %s", login)
	}
}

func testTargetKeepsWithoutLogin(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	l.put("a.example.com", nil)
	if report := s.sync(l, false); report.Delivered == 0 || len(report.Held) > 0 || len(report.Warnings) == 0 {
		s.Errorf("the report is %+v", report)
	}
	s.want(map[string]string{"a.example.com": "1"})
	l.change(regcred.Change{Credential: regcred.Credential{GUID: "a.example.com"}, Err: regcred.Errorf(regcred.Corrupt, "flipped")})
	s.sync(l, false)
	s.want(map[string]string{"a.example.com": "1"})
	l.put("a.example.com", password("2"))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "2"})
}

func testTargetKeepsExpired(s *targetSession) {
	l, now := newLedger("s1"), time.Now()
	l.put("a.example.com", expiring("good", now.Add(time.Hour)))
	l.put("b.example.com", expiring("late", now.Add(-time.Minute)))
	report := s.sync(l, true)
	if report.Delivered != report.Changed || !report.EarliestExpiry.Before(now) || len(report.Warnings) == 0 {
		s.Errorf("an expired login is reported as %+v", report)
	}
	// An expired login takes no place from a good one of the same credential.
	l.put("a.example.com", expiring("late", now.Add(-time.Minute)))
	s.sync(l, false)
	s.target = s.New(s.T)
	s.sync(l, false)
	s.want(map[string]string{"a.example.com": "good", "b.example.com": "late"})
	l.put("b.example.com", expiring("better", now.Add(time.Hour)))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "good", "b.example.com": "better"})
}

// testTargetKeepsChanged: what somebody put in place of a delivered login is not
// removed with the credential.
func testTargetKeepsChanged(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	s.Put(s.T, "a.example.com", "robot:theirs")
	l.remove("a.example.com")
	s.try(l)
	s.want(map[string]string{"a.example.com": "theirs"})
}

func testTargetNotCurrent(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	for name, book := range map[string]*keyring.Book{
		"empty": keyring.New("s1").Now(),
		"with another credential": keyring.New("s1").Now().Apply(regcred.Batch{Revision: 9, Changes: []regcred.Change{
			{Revision: 9, Credential: static(TargetScope, "b.example.com"), Login: password("2")},
		}}),
	} {
		_, err := s.target.Sync(s.Context(), book, deliver.SyncOptions{})
		wantCode(s.T, "Sync of a book that is not current, "+name, err, regcred.Unavailable)
		s.want(map[string]string{"a.example.com": "1"})
	}
}

// held syncs a book that nothing may be changed for, and returns what is held: all
// of "a.example.com".
func (s *targetSession) held(l *ledger) []deliver.Hold {
	s.Helper()
	return s.wantHeld(s.sync(l, false), "a.example.com")
}

func (s *targetSession) wantHeld(r deliver.Report, guids ...string) []deliver.Hold {
	s.Helper()
	found := map[string]bool{}
	for _, h := range r.Held {
		found[h.GUID] = true
		if h.Key == "" || h.Where == "" || h.Reason == "" {
			s.Errorf("a hold lacks its key, its place or a reason: %+v", h)
		}
	}
	if diff := cmp.Diff(guids, slices.Sorted(maps.Keys(found))); diff != "" {
		s.Errorf("the credentials held (-want +got):\n%s", diff)
	}
	return r.Held
}

func testTargetUnknownHeld(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	lost := newLedger("s1")
	lost.put("b.example.com", password("2"))
	lost.put("b.example.com", password("3"))
	report := s.sync(lost, true)
	s.wantHeld(report, "a.example.com")
	s.want(map[string]string{"a.example.com": "1", "b.example.com": "3"})
	s.sync(lost, true, report.Held...)
	s.want(map[string]string{"b.example.com": "3"})
}

func testTargetOlderStoreHeld(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	older := *l
	l.put("a.example.com", password("2"))
	s.sync(l, true)
	s.held(&older)
	s.held(newLedger("s1"))
	s.want(map[string]string{"a.example.com": "2"})
	l.remove("a.example.com")
	s.sync(l, true)
	s.want(nil)
}

func testTargetNewStoreHeld(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	s.target = s.New(s.T)
	s.held(newLedger("s2"))
	other := newLedger("s2")
	other.put("a.example.com", password("2"))
	other.put("a.example.com", password("3"))
	holds := s.held(other)
	s.want(map[string]string{"a.example.com": "1"})
	s.sync(other, true, holds...)
	s.want(map[string]string{"a.example.com": "3"})
	s.held(l)
	other.remove("a.example.com")
	s.sync(other, true)
	s.want(nil)
}

// many returns a ledger with n credentials, and their passwords by host.
func many(n int) (*ledger, map[string]string) {
	l, all := newLedger("s1"), map[string]string{}
	for i := range n {
		host := fmt.Sprintf("r%02d.example.com", i)
		l.put(host, password("x"))
		all[host] = "x"
	}
	return l, all
}

// removeMany records the deletion of n credentials of many, takes them out of the
// passwords, and returns their guids.
func (l *ledger) removeMany(n int, all map[string]string) []string {
	hosts := slices.Sorted(maps.Keys(all))[:n]
	for _, host := range hosts {
		l.remove(host)
		delete(all, host)
	}
	return hosts
}

func testTargetBulkHeld(s *targetSession) {
	l, all := many(30)
	before := with(all, nil)
	delivered := s.sync(l, true).Delivered
	gone := l.removeMany(11, all)
	report := s.sync(l, false)
	if report.Delivered != delivered {
		s.Errorf("%d of %d are delivered", report.Delivered, delivered)
	}
	held := s.wantHeld(report, gone...)
	s.want(before)
	s.target = s.New(s.T)
	s.sync(l, false)
	s.sync(l, true, held...)
	s.want(all)
}

func testTargetFewAreNoBulk(s *targetSession) {
	l, all := many(12)
	s.sync(l, true)
	l.removeMany(10, all)
	s.sync(l, true)
	s.want(all)
}

func testTargetConfirmsNoMore(s *targetSession) {
	l, all := many(30)
	s.sync(l, true)
	l.removeMany(11, all)
	held := s.sync(l, false).Held
	gone := l.removeMany(14, with(all, nil))
	s.wantHeld(s.sync(l, true, held...), gone...)
	s.want(all)
}

// testTargetTwoStores: each of two stores delivers, renews and removes its own.
func testTargetTwoStores(s *targetSession) {
	one, two := newLedger("s1"), newLedger("s2")
	one.put("a.example.com", password("1"))
	two.put("b.example.com", password("2"))
	two.put("b.example.com", password("3"))
	target := s.target
	other := s.New(s.T)
	s.sync(one, true)
	for range 2 {
		s.target = other
		s.try(two)
		s.target = target
		s.sync(one, false)
		s.want(map[string]string{"a.example.com": "1", "b.example.com": "3"})
	}
	one.remove("a.example.com")
	s.sync(one, true)
	s.want(map[string]string{"b.example.com": "3"})
	two.remove("b.example.com")
	s.target = other
	s.sync(two, true)
	s.want(nil)
}

func testTargetUninstall(s *targetSession) {
	one, two := newLedger("s1"), newLedger("s2")
	one.put("a.example.com", password("1"))
	one.put("edited.example.com", password("1"))
	two.put("b.example.com", password("2"))
	s.Put(s.T, "theirs.example.com", "robot:theirs")
	s.sync(one, true)
	s.sync(two, true)
	s.Put(s.T, "edited.example.com", "robot:edited")
	left := map[string]string{"theirs.example.com": "theirs", "edited.example.com": "edited"}
	for _, step := range []struct {
		store string
		more  map[string]string
	}{
		{"s1", map[string]string{"b.example.com": "2"}},
		{"s2", nil},
		{"s2", nil},
	} {
		if err := s.target.Uninstall(s.Context(), step.store); err != nil {
			s.Fatalf("Uninstall of %s: %v", step.store, err)
		}
		s.want(with(left, step.more))
	}
	s.sync(one, true) // edited.example.com is a stranger's now
	s.want(with(left, map[string]string{"a.example.com": "1"}))
}

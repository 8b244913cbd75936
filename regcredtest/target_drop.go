package regcredtest

import (
	"strings"
	"time"

	"regcred.dev"
)

// testTargetRemovesDropped: a dropped login goes although there is no new one, also
// where the target was not running when it was dropped.
func testTargetRemovesDropped(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", expiring("1", time.Now().Add(time.Hour)))
	l.put("b.example.com", password("2"))
	s.sync(l, true)
	l.drop("a.example.com")
	report := s.sync(l, true)
	if len(report.Held) > 0 || len(report.Omitted) != 1 || !strings.Contains(report.Omitted[0].Reason, "revoked") {
		s.Errorf("the report is %+v", report)
	}
	s.want(map[string]string{"b.example.com": "2"})
	l.put("a.example.com", password("3"))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "3", "b.example.com": "2"})

	l.drop("a.example.com")
	l.drop("b.example.com")
	s.target = s.New(s.T)
	s.sync(l, true)
	s.want(nil)
	s.sync(l, false)
}

// testTargetReplacesDropped: whatever login is there takes the place of a dropped
// one, even an expired one that of one that is still accepted. What a stranger put
// in its place is not removed.
func testTargetReplacesDropped(s *targetSession) {
	l, now := newLedger("s1"), time.Now()
	for _, host := range []string{"a.example.com", "b.example.com", "c.example.com"} {
		l.put(host, expiring("leaked", now.Add(time.Hour)))
	}
	s.sync(l, true)
	s.Put(s.T, "c.example.com", "robot:theirs")
	for _, host := range []string{"a.example.com", "b.example.com", "c.example.com"} {
		l.drop(host)
	}
	l.put("a.example.com", expiring("new", now.Add(time.Hour)))
	l.put("b.example.com", expiring("late", now.Add(-time.Hour)))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "new", "b.example.com": "late", "c.example.com": "theirs"})
}

// testTargetDroppedSameAgain: a new login that is the very same is no dropped one,
// until it is dropped itself.
func testTargetDroppedSameAgain(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	s.sync(l, true)
	l.drop("a.example.com")
	l.put("a.example.com", password("1"))
	s.sync(l, false)
	s.target = s.New(s.T)
	l.change(regcred.Change{Credential: regcred.Credential{GUID: "a.example.com"}, Err: regcred.Errorf(regcred.Corrupt, "flipped")})
	s.sync(l, false)
	s.want(map[string]string{"a.example.com": "1"})
	l.drop("a.example.com")
	s.sync(l, true)
	s.want(nil)
}

// testTargetDroppedStaysNearest: the login of a farther credential does not take the
// place of a dropped one.
func testTargetDroppedStaysNearest(s *targetSession) {
	l := newLedger("s1")
	l.putAt("far", regcred.Foundation, "a.example.com", password("far"))
	l.put("a.example.com", password("near"))
	s.sync(l, true)
	s.want(map[string]string{"a.example.com": "near"})
	l.drop("a.example.com")
	s.try(l)
	if login, ok := s.Logins(s.T)["a.example.com"]; ok {
		s.Errorf("in place of a dropped login there is %s", login)
	}
}

// testTargetDroppedElsewhereHeld: what another store drops, or an older copy of this
// one, is no order.
func testTargetDroppedElsewhereHeld(s *targetSession) {
	l := newLedger("s1")
	l.put("a.example.com", password("1"))
	l.drop("a.example.com")
	older := *l
	l.put("a.example.com", password("2"))
	s.sync(l, true)
	other := newLedger("s2")
	for range 5 {
		other.drop("a.example.com")
	}
	s.held(other)
	s.held(&older)
	s.want(map[string]string{"a.example.com": "2"})
}

// testTargetDroppedAreNoBulk: all logins are dropped at once, and go.
func testTargetDroppedAreNoBulk(s *targetSession) {
	l, all := many(30)
	s.sync(l, true)
	deleted := l.removeMany(11, all)
	for host := range all {
		l.drop(host)
	}
	report := s.sync(l, true)
	s.wantHeld(report, deleted...)
	left := map[string]string{}
	for _, host := range deleted {
		left[host] = "x"
	}
	s.want(left)
}

package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/audit"
)

// journal is an audit log in memory, which fails while it is broken.
type journal struct {
	broken atomic.Bool

	mu   sync.Mutex
	list []regcred.AuditEntry
}

func (j *journal) Audit(_ context.Context, entries ...regcred.AuditEntry) error {
	if j.broken.Load() {
		return errors.New("the disk is full")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, entries...)
	return nil
}

func (j *journal) AuditLog(context.Context, regcred.AuditQuery) ([]regcred.AuditEntry, int, error) {
	return nil, 0, errors.New("nobody asks")
}

func (j *journal) PruneAudit(_ context.Context, before time.Time) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := len(j.list)
	j.list = slices.DeleteFunc(j.list, func(e regcred.AuditEntry) bool { return e.At.Before(before) })
	return all - len(j.list), nil
}

// of returns the entries of a caller, and how many times they count together.
func (j *journal) of(caller string) (list []regcred.AuditEntry, counted int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.list {
		if strings.HasPrefix(e.Caller, caller) {
			list, counted = append(list, e), counted+max(e.Count, 1)
		}
	}
	return list, counted
}

// bubble runs a test with a Log, under a clock that stands still until the test sleeps.
func bubble(t *testing.T, test func(*testing.T, *audit.Log, *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j := new(journal)
		test(t, audit.New(j, nil), j)
	})
}

func flush(t *testing.T, l *audit.Log) {
	t.Helper()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func stranger(from, detail string) regcred.AuditEntry {
	return regcred.AuditEntry{Caller: regcred.Nobody, From: from, Operation: "authenticate", Detail: detail}
}

// TestStrangersAreBounded: however many addresses and tokens strangers make up, they are
// some entries a minute and a number, also where the log is read all the time; what known
// callers did is all there.
func TestStrangersAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
		const minutes, attempts = 5, 1000
		for minute := range minutes {
			for i := range attempts {
				l.Refuse(t.Context(), stranger(fmt.Sprintf("192.0.%d.%d", i/250, i%250), fmt.Sprint("of token ", i)))
				if i%100 == 0 {
					flush(t, l)
				}
			}
			if err := l.Allow(t.Context(), regcred.AuditEntry{Caller: "ci", Operation: "push manifest", Detail: fmt.Sprint(minute)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		flush(t, l)
		list, counted := j.of(regcred.Nobody)
		// Ten times a minute the log is read, which divides the entry of all others.
		if len(list) > minutes*(20+10) || counted != minutes*attempts {
			t.Errorf("%d entries, which count %d of %d", len(list), counted, minutes*attempts)
		}
		if pushes, _ := j.of("ci"); len(pushes) != minutes {
			t.Errorf("%d of %d pushes are left", len(pushes), minutes)
		}
	})
}

// TestOneNetworkIsBounded: one address has less than all, and so has one /64.
func TestOneNetworkIsBounded(t *testing.T) {
	for name, from := range map[string]string{"IPv4": "192.0.2.7", "IPv6": "2001:db8::%x", "IPv6 with a zone": "fe80::%x%%eth0", "no address": "x"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
				for i := range 100 {
					at := from
					if strings.Contains(from, "%") {
						at = fmt.Sprintf(from, i+1)
					}
					l.Count(t.Context(), stranger(at, fmt.Sprint(i)))
				}
				l.Count(t.Context(), stranger("198.51.100.1", "another one"))
				flush(t, l)
				list, counted := j.of(regcred.Nobody)
				others, alone := 0, false
				for _, e := range list {
					others += min(e.Count-1, 1)
					alone = alone || e.From == "198.51.100.1"
				}
				if len(list) != 5+1+1 || others != 1 || counted != 101 || !alone {
					t.Errorf("%d entries, which count %d: %+v", len(list), counted, list)
				}
			})
		})
	}
}

// TestGuestsDoNotHideStrangers: those who may do something without a login, such as pull
// what is public, take no entries of those who may not.
func TestGuestsDoNotHideStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
		for i := range 1000 {
			e := stranger(fmt.Sprintf("192.0.%d.%d", i/250, i%250), "")
			e.Operation, e.Allowed = "issue registry token", true
			l.Count(t.Context(), e)
		}
		l.Refuse(t.Context(), stranger("198.51.100.1", "expired"))
		flush(t, l)
		list, _ := j.of(regcred.Nobody)
		list = slices.DeleteFunc(list, func(e regcred.AuditEntry) bool { return e.Allowed })
		if len(list) != 1 || list[0].From != "198.51.100.1" {
			t.Errorf("%+v", list)
		}
	})
}

// TestRefusalsAreBounded: a caller who is known and makes up what it is refused, all day
// long, has some entries of that in an hour, by either way, and a number; what others are
// refused is there, and so is what it does and may.
func TestRefusalsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
		const hours, each = 3, 20
		for second := range hours * 3600 {
			for i := range each {
				e := regcred.AuditEntry{Caller: "mallory", Operation: "get credential", GUID: fmt.Sprint(second, i)}
				if second%2 == 0 {
					l.Refuse(t.Context(), e)
				} else {
					l.Count(t.Context(), e)
				}
			}
			if second%600 == 0 {
				l.Refuse(t.Context(), regcred.AuditEntry{Caller: "alice", Operation: "get credential", GUID: fmt.Sprint(second)})
				l.Count(t.Context(), regcred.AuditEntry{Caller: "mallory", Operation: "pull", GUID: fmt.Sprint(second), Allowed: true})
			}
			flush(t, l)
			time.Sleep(time.Second)
		}
		all, counted := j.of("mallory")
		named := slices.DeleteFunc(slices.Clone(all), func(e regcred.AuditEntry) bool { return e.GUID == "" || e.Allowed })
		if len(named) != hours*1000 || len(all) > len(named)+hours*(3600+6) || counted != hours*(3600*each+6) {
			t.Errorf("%d entries, %d of them by name, which count %d", len(all), len(named), counted)
		}
		if list, _ := j.of("alice"); len(list) != hours*6 {
			t.Errorf("%d refusals of somebody else", len(list))
		}
	})
}

// TestBrokenLog: nothing is allowed without the log; what was counted is written once that
// is possible again, in no more entries than there is room for.
func TestBrokenLog(t *testing.T) {
	bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
		j.broken.Store(true)
		if err := l.Allow(t.Context(), regcred.AuditEntry{Caller: "ci", Operation: "push manifest"}); regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("a change: %v", err)
		}
		l.Refuse(t.Context(), regcred.AuditEntry{Caller: "ci", Operation: "push manifest"})
		const reads = 50_000
		for i := range reads {
			l.Count(t.Context(), regcred.AuditEntry{Caller: fmt.Sprint("reader ", i%500), Operation: "pull", Detail: fmt.Sprint(i), Allowed: true})
			if i%5000 == 0 && l.Flush(t.Context()) == nil {
				t.Error("a broken log is written")
			}
		}
		l.Count(t.Context(), stranger("192.0.2.1", "expired"))
		j.broken.Store(false)
		flush(t, l)
		list, counted := j.of("reader ")
		if len(list) > 21_000 || counted != reads {
			t.Errorf("%d entries, which count %d", len(list), counted)
		}
		if _, counted := j.of(regcred.Nobody); counted != 1 {
			t.Errorf("%d strangers", counted)
		}
	})
}

// TestEntriesWait: reads are one entry within a second, with the time of the first;
// strangers within a minute; the last of both are written when the log ends.
func TestEntriesWait(t *testing.T) {
	bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx, 0) }()
		began := time.Now()
		time.Sleep(500 * time.Millisecond)
		both := func() {
			l.Count(t.Context(), regcred.AuditEntry{Caller: "ci", Operation: "pull"})
			l.Count(t.Context(), stranger("192.0.2.1", "expired"))
		}
		both()
		both()
		if _, counted := j.of(""); counted != 0 {
			t.Errorf("%d at once", counted)
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if list, _ := j.of(""); len(list) != 1 || list[0].Count != 2 || !list[0].At.Equal(began.Add(500*time.Millisecond)) {
			t.Errorf("after a second: %+v", list)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if list, _ := j.of(regcred.Nobody); len(list) != 1 || list[0].Count != 2 {
			t.Errorf("after a minute: %+v", list)
		}
		both()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if list, counted := j.of(""); len(list) != 4 || counted != 6 {
			t.Errorf("in the end: %+v", list)
		}
	})
}

// TestTextsAreCut: of what waits, nothing has the length that its caller likes.
func TestTextsAreCut(t *testing.T) {
	bubble(t, func(t *testing.T, l *audit.Log, j *journal) {
		long := strings.Repeat("x", 1<<20)
		l.Count(t.Context(), regcred.AuditEntry{
			Caller: "ci", Operation: "pull", From: long, Scope: regcred.AppScope(long, long, long), Location: long, GUID: long, Repository: long, Detail: long,
		})
		flush(t, l)
		list, _ := j.of("ci")
		if size := len(fmt.Sprintf("%+v", list)); len(list) != 1 || size > 9*regcred.MaxAuditText {
			t.Errorf("%d entries of %d bytes", len(list), size)
		}
	})
}

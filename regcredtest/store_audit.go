package regcredtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
)

// auditLog returns all entries that a query selects, and checks their count.
func auditLog(t *testing.T, s regcred.Store, q regcred.AuditQuery) []regcred.AuditEntry {
	t.Helper()
	q.Limit = max(q.Limit, 1000)
	list, total, err := s.AuditLog(t.Context(), q)
	if err != nil || total != len(list)+q.Offset {
		t.Fatalf("AuditLog(%+v): %d of %d entries, %v", q, len(list), total, err)
	}
	return list
}

func testAudit(t *testing.T, s regcred.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entries := []regcred.AuditEntry{
		{At: at, Caller: "ann", Role: regcred.RoleAdmin, From: "192.0.2.1", Operation: "create credential", Scope: regcred.SpaceScope("o", "s"), Location: "a.example.com", Allowed: true},
		{At: at.Add(time.Nanosecond), Caller: "bob", Operation: "delete credential", GUID: "g", Detail: "may not"},
		{At: at.Add(time.Second), Caller: "ann", Operation: "resolve", Repository: "acme/app", Allowed: true, Count: 7},
	}
	if err := s.Audit(t.Context(), entries[:2]...); err != nil {
		t.Fatal(err)
	}
	if err := s.Audit(t.Context(), entries[2]); err != nil {
		t.Fatal(err)
	}
	if err := s.Audit(t.Context()); err != nil {
		t.Errorf("no entries: %v", err)
	}
	got := auditLog(t, s, regcred.AuditQuery{})
	want := []regcred.AuditEntry{entries[0], entries[1], entries[2]}
	for i := range want {
		want[i].Count = max(want[i].Count, 1)
		if i < len(got) {
			want[i].Sequence = got[i].Sequence
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the log (-want +got):\n%s", diff)
	}
	if got[0].Sequence >= got[1].Sequence || got[1].Sequence >= got[2].Sequence {
		t.Errorf("sequences %d, %d, %d", got[0].Sequence, got[1].Sequence, got[2].Sequence)
	}
	yes, no := true, false
	for name, test := range map[string]struct {
		q    regcred.AuditQuery
		want []int
	}{
		"newest":       {regcred.AuditQuery{Newest: true}, []int{2, 1, 0}},
		"caller":       {regcred.AuditQuery{Callers: []string{"ann", "nobody"}}, []int{0, 2}},
		"nobody":       {regcred.AuditQuery{Callers: []string{}}, nil},
		"operation":    {regcred.AuditQuery{Operations: []string{"resolve"}}, []int{2}},
		"guid":         {regcred.AuditQuery{GUIDs: []string{"g"}}, []int{1}},
		"repository":   {regcred.AuditQuery{Repositories: []string{"acme/app", "other"}}, []int{2}},
		"allowed":      {regcred.AuditQuery{Allowed: &yes}, []int{0, 2}},
		"refused":      {regcred.AuditQuery{Allowed: &no}, []int{1}},
		"since":        {regcred.AuditQuery{Since: at.Add(time.Nanosecond)}, []int{1, 2}},
		"before":       {regcred.AuditQuery{Before: at.Add(time.Nanosecond)}, []int{0}},
		"all together": {regcred.AuditQuery{Callers: []string{"ann"}, Since: at, Before: at.Add(time.Hour), Operations: []string{"resolve"}}, []int{2}},
		"second page":  {regcred.AuditQuery{Offset: 1}, []int{1, 2}},
	} {
		var found []regcred.AuditEntry
		for _, i := range test.want {
			found = append(found, want[i])
		}
		if diff := cmp.Diff(found, auditLog(t, s, test.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if page, total, err := s.AuditLog(t.Context(), regcred.AuditQuery{Limit: 1, Offset: 1}); err != nil || total != 3 || len(page) != 1 || page[0].Caller != "bob" {
		t.Errorf("a page of one: %+v of %d, %v", page, total, err)
	}
	if n, err := s.PruneAudit(t.Context(), at.Add(time.Second)); err != nil || n != 2 {
		t.Errorf("pruned %d, %v", n, err)
	}
	if left := auditLog(t, s, regcred.AuditQuery{}); len(left) != 1 || left[0].Sequence != want[2].Sequence {
		t.Errorf("left: %+v", left)
	}
}

func testAuditTexts(t *testing.T, s regcred.Store) {
	for _, bad := range []regcred.AuditEntry{{At: time.Now()}, {Operation: "x"}} {
		if err := s.Audit(t.Context(), regcred.AuditEntry{At: time.Now(), Operation: "good"}, bad); regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if list := auditLog(t, s, regcred.AuditQuery{}); len(list) > 0 {
		t.Errorf("of entries that were refused, there are %+v", list)
	}
	long := strings.Repeat("é", regcred.MaxAuditText)
	if err := s.Audit(t.Context(), regcred.AuditEntry{At: time.Now(), Operation: "x", Detail: long, Caller: "a\xffb"}); err != nil {
		t.Fatal(err)
	}
	e := auditLog(t, s, regcred.AuditQuery{})[0]
	if e.Detail != long[:regcred.MaxAuditText] || e.Caller != "a\uFFFDb" {
		t.Errorf("detail of %d bytes, caller %q", len(e.Detail), e.Caller)
	}
}

func testAuditConcurrently(t *testing.T, s regcred.Store) {
	var wg sync.WaitGroup
	for writer := range 4 {
		wg.Go(func() {
			for i := range 10 {
				e := regcred.AuditEntry{At: time.Now(), Operation: "x", Caller: fmt.Sprint(writer)}
				if err := s.Audit(t.Context(), e, e); err != nil {
					t.Errorf("entry %d of %d: %v", i, writer, err)
				}
			}
		})
	}
	wg.Wait()
	list := auditLog(t, s, regcred.AuditQuery{})
	if len(list) != 80 {
		t.Fatalf("%d entries", len(list))
	}
	for i := 0; i < len(list); i += 2 {
		if list[i].Caller != list[i+1].Caller {
			t.Errorf("entries %d and %d, written together, are of %s and %s", i, i+1, list[i].Caller, list[i+1].Caller)
		}
	}
}

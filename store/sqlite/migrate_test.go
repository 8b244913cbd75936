package sqlite_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev"
	"regcred.dev/imageref"
)

// TestFromSchema1 opens a database of the first schema: all rows pass their check,
// hold what they held, and can be changed.
func TestFromSchema1(t *testing.T) {
	dump, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := newPath(t)
	execRaw(t, path, string(dump))
	s := open(t, path)
	everything(t, s) // each row is read
	list, err := s.List(t.Context(), regcred.Filter{})
	if err != nil || len(list) != 2 {
		t.Fatalf("List: %d credentials, %v", len(list), err)
	}
	got, err := s.Get(t.Context(), list[0].GUID)
	if err != nil {
		t.Fatal(err)
	}
	want := credential("one", "one.example.com")
	want.GUID, want.Version, want.Revision = list[0].GUID, 1, 2
	want.CreatedAt = time.Date(2026, 11, 21, 15, 26, 36, 355105702, time.UTC)
	want.UpdatedAt = want.CreatedAt
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(imageref.Location{})); diff != "" {
		t.Errorf("a credential of the first schema (-want +got):\n%s", diff)
	}
	if l, err := s.Login(t.Context(), got.GUID); err != nil || l.Password.Reveal() != "login" {
		t.Errorf("its login is %v, %v", l, err)
	}
	if err := s.UseTokens(t.Context(), map[string]time.Time{"one": time.Unix(9, 0)}); err != nil {
		t.Fatal(err)
	}
	if token, err := s.Token(t.Context(), "one"); err != nil || token.LastUsedAt.Unix() != 9 || token.Repositories != nil || token.Name != "ci" {
		t.Errorf("one of its API tokens, once used, is %+v, %v", token, err)
	}
	revision, err := s.DropLogin(t.Context(), got.GUID)
	if err != nil || revision != 8 {
		t.Errorf("DropLogin: %d, %v", revision, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if c, err := s.Get(t.Context(), got.GUID); err != nil || c.DropRevision != revision || c.Version != 2 {
		t.Errorf("opened again after the drop at %d: %+v, %v", revision, c, err)
	}
}

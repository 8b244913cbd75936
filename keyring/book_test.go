package keyring_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/keyring"
)

const img = "registry.example.com/repo/image"

// TestApply follows one credential through its life.
func TestApply(t *testing.T) {
	empty := new(keyring.Book)
	pending := apply(empty, change(t, credential{"c", org, "", noLogin}, 1))
	placed := apply(pending, change(t, credential{"c", org, "registry.example.com", nil}, 2))
	renewed := apply(placed, change(t, credential{"c", org, "registry.example.com", userName("renewed")}, 3))
	deleted := apply(renewed, regcred.Change{Revision: 4, Credential: regcred.Credential{GUID: "c", Scope: org}, Deleted: true})
	again := apply(deleted, change(t, credential{"c", org, "registry.example.com", nil}, 5))
	drop := change(t, credential{"c", org, "registry.example.com", noLogin}, 7)
	drop.Credential.DropRevision = 6
	dropped := apply(again, drop)

	type state struct {
		Len      int
		Revision uint64
		Found    string
		User     string
		Deleted  uint64
		Ordered  uint64
	}
	for _, test := range []struct {
		name string
		book *keyring.Book
		want state
	}{
		{"empty", empty, state{}},
		{"location not yet found", pending, state{Len: 1, Revision: 1}},
		{"location found", placed, state{Len: 1, Revision: 2, Found: "c", User: "c"}},
		{"login renewed", renewed, state{Len: 1, Revision: 3, Found: "c", User: "renewed"}},
		{"deleted", deleted, state{Revision: 4, Deleted: 4, Ordered: 4}},
		{"created again under the same guid", again, state{Len: 1, Revision: 5, Found: "c", User: "c", Ordered: 4}},
		{"login dropped", dropped, state{Len: 1, Revision: 7, Found: "c", Ordered: 6}},
	} {
		got := state{Len: test.book.Len(), Revision: test.book.Revision(), Found: found(t, test.book, org, img), Ordered: test.book.Ordered()}
		if e, ok := test.book.Get("c"); ok && e.Login != nil {
			got.User = e.Login.Username
		}
		got.Deleted, _ = test.book.Deleted("c")
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestApplyOrder(t *testing.T) {
	b := book(t, credential{"old", org, "registry.example.com", nil})
	gone := regcred.Change{Revision: 7, Credential: regcred.Credential{GUID: "old"}, Deleted: true}
	taken := change(t, credential{"new", org, "registry.example.com", nil}, 8)
	for name, changes := range map[string][]regcred.Change{"oldest first": {gone, taken}, "newest first": {taken, gone}} {
		if got := found(t, apply(b, changes...), org, img); got != "new" {
			t.Errorf("%s: got %q, want the credential that has the place now", name, got)
		}
	}
	late := apply(apply(b, gone), change(t, credential{"old", org, "registry.example.com", nil}, 6))
	if got := found(t, late, org, img); got != "" || late.Revision() != 7 {
		t.Errorf("a change older than the deletion brought back %q, revision %d", got, late.Revision())
	}
	older := apply(apply(b, change(t, credential{"old", org, "registry.example.com", userName("newer")}, 9)),
		change(t, credential{"old", org, "registry.example.com", userName("older")}, 8))
	if e, _ := older.Get("old"); e.Login.Username != "newer" {
		t.Errorf("an older change came through: %s", e.Login.Username)
	}
}

func TestApplyCorrupt(t *testing.T) {
	bad := regcred.Errorf(regcred.Corrupt, "the row was changed")
	corrupt := func(guid string, revision uint64) regcred.Change {
		return regcred.Change{Revision: revision, Credential: regcred.Credential{GUID: guid, Scope: foundation}, Err: bad}
	}
	b := book(t,
		credential{"known", org, "registry.example.com", nil},
		credential{"farther", foundation, "registry.example.com", nil})
	b = apply(b, corrupt("known", 5), corrupt("unknown", 6), corrupt("unknown", 7))

	if got := found(t, b, org, img); got != "known" {
		t.Errorf("a lookup fell through to %q", got)
	}
	for _, guid := range []string{"known", "unknown"} {
		if e, ok := b.Get(guid); !ok || !errors.Is(e.Err, bad) || e.Login != nil {
			t.Errorf("%s: got %v, %v", guid, e, ok)
		}
	}
	if n := len(b.Keyring(foundation).Entries()); n != 1 {
		t.Errorf("the foundation sees %d credentials, want 1: the unknown one is nowhere", n)
	}
	restored := apply(b, change(t, credential{"known", org, "registry.example.com", nil}, 8))
	if e, _ := restored.Get("known"); e.Err != nil || e.Login == nil {
		t.Errorf("the restored row is still %v", e.Err)
	}
	if gone := apply(b, regcred.Change{Revision: 8, Credential: regcred.Credential{GUID: "known"}, Deleted: true}); found(t, gone, org, img) != "farther" {
		t.Error("the deleted corrupt credential still has its place")
	}
}

func TestBookCurrent(t *testing.T) {
	b := new(keyring.Book).Apply(regcred.Batch{Revision: 3})
	if b.Current() {
		t.Error("current, though no batch was")
	}
	b = b.Apply(regcred.Batch{Revision: 4, Current: true}).Apply(regcred.Batch{Revision: 5})
	if !b.Current() || b.Revision() != 5 {
		t.Errorf("current %v, revision %d", b.Current(), b.Revision())
	}
}

func TestKeyringEntries(t *testing.T) {
	b := book(t,
		credential{"4", foundation, "quay.io", nil},
		credential{"3", org, "quay.io", nil},
		credential{"2", space, "quay.io", nil},
		credential{"1", space, "ghcr.io", nil},
		credential{"0", space, "", noLogin},
		credential{"app", app, "quay.io", nil},
		credential{"other", regcred.OrgScope("other"), "quay.io", nil},
	)
	k := b.Keyring(space)
	var guids []string
	for _, e := range k.Entries() {
		guids = append(guids, e.GUID)
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, guids); diff != "" {
		t.Error(diff)
	}
	if k.Scope() != space || k.Revision() != 7 || k.StoreID() != "" {
		t.Errorf("got %v, %d, %q", k.Scope(), k.Revision(), k.StoreID())
	}
	if n := len(slices.Collect(b.Entries())); n != 7 {
		t.Errorf("the book has %d entries, want 7", n)
	}
}

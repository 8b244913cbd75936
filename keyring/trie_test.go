package keyring

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestTrie compares tries with maps under random changes, in which every earlier
// trie must stay as it was. Weak hashes make keys collide at every level, and
// altogether.
func TestTrie(t *testing.T) {
	for name, weak := range map[string]func(int) uint64{
		"strong":    hashOf[int],
		"one digit": func(key int) uint64 { return uint64(key % 40) },
		"high bits": func(key int) uint64 { return uint64(key) << 60 },
		"constant":  func(int) uint64 { return 7 },
	} {
		t.Run(name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { compareWithMap(t, weak) }) })
	}
}

func compareWithMap(t *rapid.T, hash func(int) uint64) {
	type version struct {
		trie trie[int, int]
		want map[int]int
	}
	now := version{want: map[int]int{}}
	var earlier []version
	e := new(edit)
	for i := range rapid.IntRange(1, 120).Draw(t, "changes") {
		if rapid.IntRange(0, 9).Draw(t, "batch ends") == 0 {
			earlier = append(earlier, version{now.trie, maps.Clone(now.want)})
			e = new(edit)
		}
		key := rapid.IntRange(0, 60).Draw(t, "key")
		if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
			now.trie = now.trie.remove(e, hash(key), key)
			delete(now.want, key)
		} else {
			now.trie = now.trie.insert(e, slot[int, int]{hash: hash(key), key: key, value: i})
			now.want[key] = i
		}
	}
	for _, v := range append(earlier, now) {
		if diff := cmp.Diff(v.want, maps.Collect(v.trie.all())); diff != "" {
			t.Fatal(diff)
		}
		if v.trie.size != len(v.want) {
			t.Fatalf("size is %d, want %d", v.trie.size, len(v.want))
		}
		for key := range 61 {
			got := v.trie.find(hash(key), key)
			if want, ok := v.want[key]; (got != nil) != ok || ok && *got != want {
				t.Fatalf("key %d: got %v, want %d, %v", key, got, want, ok)
			}
		}
	}
	if now.trie.size == 0 && len(now.trie.root.slots) > 0 {
		t.Fatal("an empty trie still has nodes")
	}
}

func TestTrieVisitStops(t *testing.T) {
	var tr trie[int, int]
	for i := range 100 {
		tr = tr.with(new(edit), i, i)
	}
	seen := 0
	for range tr.all() {
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("visited %d keys, want 3", seen)
	}
}

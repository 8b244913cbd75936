package registry

import (
	"runtime"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"
)

// TestDigestSet compares a set with a map.
func TestDigestSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := rapid.Custom(func(rt *rapid.T) digest.Digest {
			a := rapid.SampledFrom([]digest.Algorithm{digest.SHA256, digest.SHA512}).Draw(rt, "algorithm")
			return a.FromString(rapid.StringN(0, 2, 2).Draw(rt, "content"))
		})
		all := rapid.SliceOfDistinct(draw, func(d digest.Digest) digest.Digest { return d }).Draw(rt, "digests")
		slices.Sort(all)
		var set digestSet
		for _, d := range all {
			if err := set.add(d); err != nil {
				rt.Fatal(err)
			}
		}
		marked := map[digest.Digest]bool{}
		for _, d := range rapid.SliceOf(draw).Draw(rt, "marks") {
			there := slices.Contains(all, d)
			if set.has(d) != there || set.mark(d) != (there && !marked[d]) || set.marked(d) != there {
				rt.Fatalf("%s is there: %v", d, there)
			}
			marked[d] = true
		}
		want := slices.DeleteFunc(slices.Clone(all), func(d digest.Digest) bool { return marked[d] })
		if got := slices.Collect(set.unmarked()); !slices.Equal(want, got) || set.len() != len(all) {
			rt.Fatalf("%d digests, unmarked %q, want %q", set.len(), got, want)
		}
	})
}

func TestDigestSetRefuses(t *testing.T) {
	var set digestSet
	d := digest.FromString("x")
	if err := set.add(d); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []digest.Digest{d, "sha256:00", "md5:00", "sha256:" + digest.Digest(digest.SHA512.FromString("x").Encoded())} {
		if set.add(bad) == nil {
			t.Errorf("%q was added", bad)
		}
		if bad != d && set.has(bad) {
			t.Errorf("%q is there", bad)
		}
	}
}

// TestDigestSetMemory holds a million digests: 32 bytes and a bit each.
func TestDigestSetMemory(t *testing.T) {
	const million = 1_000_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var set digestSet
	hash := make([]byte, 32)
	for i := range million {
		hash[0], hash[1], hash[2] = byte(i>>16), byte(i>>8), byte(i)
		if err := set.add(digest.NewDigestFromBytes(digest.SHA256, hash)); err != nil {
			t.Fatal(err)
		}
	}
	used := heap() - before
	t.Logf("a million digests take %d KiB", used>>10)
	if used > 34_000_000 {
		t.Errorf("a million digests take %d bytes", used)
	}
	runtime.KeepAlive(&set)
}

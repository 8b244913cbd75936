package registry_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// versions returns a tag's history in short: digests, "=" before the one that it
// points at, "-" before those that are gone.
func versions(t *testing.T, s *registry.Storage, repo, tag string) []string {
	t.Helper()
	list, err := s.TagHistory(t.Context(), repo, tag)
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, v := range list {
		mark := ""
		if v.ReplacedAt.IsZero() {
			mark = "="
		}
		if !v.Available {
			mark += "-"
		}
		short = append(short, mark+v.Digest.String())
	}
	return short
}

func checkVersions(t *testing.T, s *registry.Storage, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, versions(t, s, "a", "t")); diff != "" {
		t.Errorf("history (-want +got): %s", diff)
	}
}

// TestHistory moves a tag, deletes it, and rolls it back.
func TestHistory(t *testing.T) {
	inBubble(t, registry.Rule{}, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		one := pushImageOf(t, s, "a", "t", "config", "one").String()
		checkVersions(t, s, "="+one)
		time.Sleep(time.Hour)
		two := pushImageOf(t, s, "a", "t", "config", "two").String()
		pushImageOf(t, s, "a", "t", "config", "two") // again: nothing new
		checkVersions(t, s, "="+two, one)

		if _, err := s.Rollback(t.Context(), "a", "t", ""); err != nil {
			t.Fatal(err)
		}
		checkVersions(t, s, "="+one, two, one)
		if _, err := s.Rollback(t.Context(), "a", "t", digest.Digest(two)); err != nil {
			t.Fatal(err)
		}
		checkVersions(t, s, "="+two, one, two, one)

		if err := s.DeleteTag(t.Context(), "a", "t"); err != nil {
			t.Fatal(err)
		}
		checkVersions(t, s, two, one, two, one)
		if _, err := s.Rollback(t.Context(), "a", "t", ""); err != nil {
			t.Fatal(err)
		}
		checkVersions(t, s, "="+two, two, one, two, one)
		checkImage(t, s, "a", "t")

		if err := s.DeleteManifest(t.Context(), "a", digest.Digest(one)); err != nil {
			t.Fatal(err)
		}
		checkVersions(t, s, "="+two, two, "-"+one, two, "-"+one)
		for _, d := range []digest.Digest{digest.Digest(one), digest.FromString("never there")} {
			if _, err := s.Rollback(t.Context(), "a", "t", d); regcred.CodeOf(err) != regcred.NotFound {
				t.Errorf("rolled back to %s: %v", d, err)
			}
		}
		for _, name := range []string{"none", "..", ""} {
			if _, err := s.TagHistory(t.Context(), "a", name); !unknown(err) {
				t.Errorf("history of tag %q: %v", name, err)
			}
		}
	})
}

// TestHistoryKeeps collects what a tag pointed at only after the time that untagged
// manifests stay, counted from when the tag was moved.
func TestHistoryKeeps(t *testing.T) {
	rule := registry.Rule{Keep: &registry.Retention{Untagged: 7 * day, History: 2}}
	inBubble(t, rule, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		var all []string
		for i := range 4 {
			all = append(all, pushImageOf(t, s, "a", "t", "config", fmt.Sprint("layer ", i)).String())
			time.Sleep(30 * day)
		}
		checkVersions(t, s, "="+all[3], all[2], all[1])
		pushImageOf(t, s, "a", "t", "config", "layer 4")
		last := digest.FromString(imageManifest("config", "layer 4")).String()
		time.Sleep(7*day - time.Second)
		if got := collect(t, s, registry.CollectOptions{}).Manifests.Count; got != 3 {
			t.Errorf("%d manifests were removed, want 3", got)
		}
		checkVersions(t, s, "="+last, all[3], "-"+all[2])
		time.Sleep(2 * time.Second)
		if got := collect(t, s, registry.CollectOptions{}); got.Manifests.Count != 1 || got.Blobs.Count != 1 {
			t.Errorf("%+v", got)
		}
		checkVersions(t, s, "="+last, "-"+all[3], "-"+all[2])
		checkImage(t, s, "a", "t")
	})
}

// TestMovedAtOnce moves a tag from several sides: each version is in the history.
func TestMovedAtOnce(t *testing.T) {
	s := openStorage(t, t.TempDir())
	const movers = 8
	for i := range movers {
		pushImageOf(t, s, "a", "", "config", fmt.Sprint(i))
	}
	var wg sync.WaitGroup
	for i := range movers {
		wg.Go(func() {
			if _, err := s.PushManifest(t.Context(), "a", "t", []byte(imageManifest("config", fmt.Sprint(i))), ociImage); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, v := range versions(t, s, "a", "t") {
		seen[v] = true
	}
	if len(seen) != movers {
		t.Errorf("the history has %d of %d versions", len(seen), movers)
	}
}

func TestImmutable(t *testing.T) {
	rule := registry.Rule{Immutable: []string{"v*", "["}}
	inBubble(t, rule, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		child := imageManifest("config", "layer")
		pushImageOf(t, s, "a", "latest", "config", "layer")
		multi := indexOf(child)
		index := pushManifest(t, s, "a", "v1", multi, ociIndex)
		pushManifest(t, s, "a", "v1", multi, ociIndex) // the same is fine
		other := imageManifest("config", "other")
		pushImageOf(t, s, "a", "", "config", "other")

		_, move := s.PushManifest(t.Context(), "a", "v1", []byte(other), ociImage)
		_, moveAmongOthers := s.PushManifestAs(t.Context(), "a", digest.FromString(other), []string{"new", "v1"}, []byte(other), ociImage)
		refused := map[string]error{
			"move":              move,
			"move with another": moveAmongOthers,
			"delete":            s.DeleteTag(t.Context(), "a", "v1"),
			"delete index":      s.DeleteManifest(t.Context(), "a", index),
			"delete child":      s.DeleteManifest(t.Context(), "a", digest.FromString(child)),
			"delete layer":      s.DeleteBlob(t.Context(), "a", digest.FromString("layer")),
		}
		for what, err := range refused {
			if regcred.CodeOf(err) != regcred.Denied {
				t.Errorf("%s: %v", what, err)
			}
		}
		if diff := cmp.Diff([]string{"=" + index.String()}, versions(t, s, "a", "v1")); diff != "" {
			t.Errorf("v1 (-want +got): %s", diff)
		}
		if _, err := s.ResolveTag(t.Context(), "a", "new"); !unknown(err) {
			t.Errorf("a refused push set a tag: %v", err)
		}
		for what, err := range map[string]error{
			"layer of another": s.DeleteBlob(t.Context(), "a", digest.FromString("other")),
			"another":          s.DeleteManifest(t.Context(), "a", digest.FromString(other)),
			"a mutable tag":    s.DeleteTag(t.Context(), "a", "latest"),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestImmutableAtOnce pushes different manifests under a new immutable tag at once:
// one of them gets it.
func TestImmutableAtOnce(t *testing.T) {
	inBubble(t, registry.Rule{Immutable: []string{"*"}}, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		const pushers = 8
		errs := make([]error, pushers)
		for i := range pushers {
			pushImageOf(t, s, "a", "", "config", fmt.Sprint(i))
		}
		var wg sync.WaitGroup
		for i := range pushers {
			wg.Go(func() {
				_, errs[i] = s.PushManifest(t.Context(), "a", "v1", []byte(imageManifest("config", fmt.Sprint(i))), ociImage)
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				desc, err := s.ResolveTag(t.Context(), "a", "v1")
				if want := digest.FromString(imageManifest("config", fmt.Sprint(i))); err != nil || desc.Digest != want {
					t.Errorf("the tag points at %s, %v; %s was acknowledged", desc.Digest, err, want)
				}
			case regcred.CodeOf(err) != regcred.Denied:
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d pushes were acknowledged", won)
		}
	})
}

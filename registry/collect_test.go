package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// day is the grace period of Collect, and the least that something untagged stays.
const day = 24 * time.Hour

// inBubble runs a test of a storage in memory under a clock of its own. All
// repositories have the rule.
func inBubble(t *testing.T, rule registry.Rule, test func(t *testing.T, m *memBlobs, s *registry.Storage)) {
	t.Helper()
	rule.Pattern = "*"
	synctest.Test(t, func(t *testing.T) {
		m := newMemBlobs()
		test(t, m, registry.NewStorage(m, registry.StorageOptions{Policy: registry.Policy{rule}}))
	})
}

func collect(t *testing.T, s *registry.Storage, o registry.CollectOptions) registry.Collection {
	t.Helper()
	c, err := s.Collect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pushManifest(t *testing.T, s *registry.Storage, repo, tag, manifest, mediaType string) digest.Digest {
	t.Helper()
	desc, err := s.PushManifest(t.Context(), repo, tag, []byte(manifest), mediaType)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest
}

// pushImageOf pushes an image of some blobs.
func pushImageOf(t *testing.T, s *registry.Storage, repo, tag string, contents ...string) digest.Digest {
	t.Helper()
	for _, content := range contents {
		pushBlob(t, s, repo, content)
	}
	return pushManifest(t, s, repo, tag, imageManifest(contents...), ociImage)
}

// indexOf returns an index of manifests.
func indexOf(manifests ...string) string {
	var list []string
	for _, m := range manifests {
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, ociImage, digest.FromString(m), len(m)))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ociIndex, strings.Join(list, ","))
}

func contentOf(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded()
}

// TestCollectContent takes content without links through its stages.
func TestCollectContent(t *testing.T) {
	inBubble(t, registry.Rule{}, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		pushImageOf(t, s, "a", "t", "config", "layer")
		garbage := pushBlob(t, s, "a", "garbage")
		saved := pushBlob(t, s, "a", "saved")
		for _, d := range []digest.Digest{garbage, saved} {
			if err := s.DeleteBlob(t.Context(), "a", d); err != nil {
				t.Fatal(err)
			}
		}
		all := registry.Amount{Count: 5, Bytes: int64(len("configlayergarbagesaved") + len(imageManifest("config", "layer")))}
		want := registry.Collection{Content: all, Links: 3}
		run := func(stage string) {
			t.Helper()
			if diff := cmp.Diff(want, collect(t, s, registry.CollectOptions{})); diff != "" {
				t.Errorf("%s (-want +got): %s", stage, diff)
			}
		}
		run("young")

		time.Sleep(day)
		two := registry.Amount{Count: 2, Bytes: int64(len("garbagesaved"))}
		want.Condemned = two
		if diff := cmp.Diff(want, collect(t, s, registry.CollectOptions{DryRun: true})); diff != "" {
			t.Errorf("dry run (-want +got): %s", diff)
		}
		run("condemned")

		time.Sleep(day - time.Second)
		want.Condemned, want.Waiting = registry.Amount{}, 2
		run("waiting")

		time.Sleep(time.Second)
		pushBlob(t, s, "b", "saved")
		want.Waiting, want.Links = 0, 4
		want.Deleted = registry.Amount{Count: 1, Bytes: int64(len("garbage"))}
		if diff := cmp.Diff(want, collect(t, s, registry.CollectOptions{DryRun: true})); diff != "" {
			t.Errorf("dry run (-want +got): %s", diff)
		}
		run("deleted")

		if _, err := m.Stat(t.Context(), contentOf(garbage)); regcred.CodeOf(err) != regcred.NotFound {
			t.Errorf("the garbage is there: %v", err)
		}
		time.Sleep(day)
		collect(t, s, registry.CollectOptions{})
		for key := range m.snapshot().objects {
			if strings.HasPrefix(key, "condemned/") {
				t.Errorf("%s is left", key)
			}
		}
		checkImage(t, s, "a", "t")
		if got, err := readAll(s.GetBlob(t.Context(), "b", saved)); err != nil || !strings.HasSuffix(got, "saved") {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestCollectSparesLinked links content that is condemned behind the storage's back:
// the collector spares it.
func TestCollectSparesLinked(t *testing.T) {
	inBubble(t, registry.Rule{}, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		d := pushBlob(t, s, "a", "content")
		key := "repositories/a/blobs/sha256/" + d.Encoded()
		link := m.snapshot().objects[key]
		if err := m.Delete(t.Context(), key, registry.Condition{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		if got := collect(t, s, registry.CollectOptions{}).Condemned.Count; got != 1 {
			t.Fatalf("%d were condemned", got)
		}
		if err := m.Put(t.Context(), key, link.data, registry.IfAbsent); err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		if got := collect(t, s, registry.CollectOptions{}); got.Spared != 1 || got.Deleted.Count != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// TestCollectUntagged keeps what tags reach, referrers of it and what is young, and
// removes the rest.
func TestCollectUntagged(t *testing.T) {
	rule := registry.Rule{Keep: &registry.Retention{Untagged: 2 * day}}
	inBubble(t, rule, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		child := imageManifest("config", "child")
		pushImageOf(t, s, "a", "", "config", "child")
		index := pushManifest(t, s, "a", "multi", indexOf(child), ociIndex)
		pushBlob(t, s, "a", "signature")
		signature := pushManifest(t, s, "a", "", withSubject(imageManifest("signature"), child), ociImage)
		untagged := imageManifest("config", "old")
		pushImageOf(t, s, "a", "", "config", "old")
		pushBlob(t, s, "a", "old signature")
		oldSignature := pushManifest(t, s, "a", "", withSubject(imageManifest("old signature"), untagged), ociImage)
		oldIndex := pushManifest(t, s, "a", "", indexOf(untagged), ociIndex)
		pushBlob(t, s, "a", "nobody's")

		time.Sleep(day)
		pushImageOf(t, s, "a", "", "config", "young")
		time.Sleep(day + time.Second)
		got := collect(t, s, registry.CollectOptions{})
		if got.Manifests.Count != 3 || got.Blobs.Count != 3 { // old, old signature, nobody's
			t.Errorf("%+v", got)
		}
		for _, d := range []digest.Digest{index, digest.FromString(child), signature, digest.FromString(imageManifest("config", "young"))} {
			if _, err := s.ResolveManifest(t.Context(), "a", d); err != nil {
				t.Errorf("%s: %v", d, err)
			}
		}
		for _, d := range []digest.Digest{digest.FromString(untagged), oldSignature, oldIndex} {
			if _, err := s.ResolveManifest(t.Context(), "a", d); !unknown(err) {
				t.Errorf("%s is there: %v", d, err)
			}
		}
		for _, content := range []string{"config", "child", "signature", "young"} {
			if _, err := s.ResolveBlob(t.Context(), "a", digest.FromString(content)); err != nil {
				t.Errorf("%s: %v", content, err)
			}
		}
		if list, err := ociregistry.All(s.Referrers(t.Context(), "a", digest.FromString(untagged), "")); err != nil || len(list) > 0 {
			t.Errorf("referrers are left: %v, %v", list, err)
		}
	})
}

// TestCollectLeavesDamaged removes nothing from a repository where a manifest cannot
// be read: who knows what it needs.
func TestCollectLeavesDamaged(t *testing.T) {
	rule := registry.Rule{Keep: &registry.Retention{Untagged: day}}
	inBubble(t, rule, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		d := pushImageOf(t, s, "a", "t", "config", "layer")
		pushBlob(t, s, "a", "nobody's")
		pushBlob(t, s, "b", "nobody's")
		damaged := []byte(imageManifest("config", "other"))
		if err := m.Put(t.Context(), contentOf(d), damaged, registry.Condition{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * day)
		got := collect(t, s, registry.CollectOptions{})
		if !strings.Contains(got.Skipped["a"], d.String()) || got.Blobs.Count != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestCollectBelievesInLinks stops where most content has lost its links.
func TestCollectBelievesInLinks(t *testing.T) {
	inBubble(t, registry.Rule{}, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		for i := range 110 {
			pushBlob(t, s, "a", fmt.Sprint(i))
		}
		for key := range m.snapshot().objects {
			if strings.HasPrefix(key, "repositories/") {
				if err := m.Delete(t.Context(), key, registry.Condition{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(day)
		if _, err := s.Collect(t.Context(), registry.CollectOptions{}); regcred.CodeOf(err) != regcred.Denied {
			t.Errorf("it went on: %v", err)
		}
		if got := collect(t, s, registry.CollectOptions{Force: true}).Condemned.Count; got != 110 {
			t.Errorf("by force it condemned %d", got)
		}
	})
}

// TestCollectRestoresNames names a repository that lost its name.
func TestCollectRestoresNames(t *testing.T) {
	inBubble(t, registry.Rule{}, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		pushBlob(t, s, "a/b", "x")
		if err := m.Delete(t.Context(), "names/a+b", registry.Condition{}); err != nil {
			t.Fatal(err)
		}
		collect(t, s, registry.CollectOptions{})
		if names, err := ociregistry.All(s.Repositories(t.Context(), "")); err != nil || len(names) != 1 || names[0] != "a/b" {
			t.Errorf("%q, %v", names, err)
		}
	})
}

// TestTakeOver finds what a collector left that was killed before it deleted: a push
// is refused until that is old, and then done.
func TestTakeOver(t *testing.T) {
	inBubble(t, registry.Rule{}, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		d := pushBlob(t, s, "a", "content")
		leave := func() {
			at, err := time.Now().MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			data := fmt.Appendf(nil, `{"state":"deleting","at":%q,"write":"x"}`, at)
			if err := m.Put(t.Context(), "condemned/sha256/"+d.Encoded(), data, registry.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		push := func() error {
			_, err := s.PushBlob(t.Context(), "b", descriptor("content"), strings.NewReader("content"))
			return err
		}
		leave()
		if err := push(); regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("a push during the deletion: %v", err)
		}
		if got := collect(t, s, registry.CollectOptions{}); got.Waiting != 1 {
			t.Errorf("a collection during the deletion: %+v", got)
		}
		time.Sleep(15 * time.Minute)
		if err := push(); err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(s.GetBlob(t.Context(), "b", d)); err != nil || !strings.HasSuffix(got, "content") {
			t.Errorf("%q, %v", got, err)
		}
		for _, repo := range []string{"a", "b"} {
			if err := s.DeleteBlob(t.Context(), repo, d); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		time.Sleep(15 * time.Minute)
		if got := collect(t, s, registry.CollectOptions{}); got.Deleted.Count != 1 {
			t.Errorf("a later collection: %+v", got)
		}
	})
}

// TestManyTagsAreDropped, and the first of them named.
func TestManyTagsAreDropped(t *testing.T) {
	inBubble(t, registry.Rule{Keep: &registry.Retention{Last: 1}}, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		const many = registry.MaxDroppedTags + 50
		pushBlob(t, s, "a", "config")
		for i := range many {
			pushManifest(t, s, "a", fmt.Sprint("t", i), imageManifest("config"), ociImage)
		}
		time.Sleep(time.Second)
		for _, dryRun := range []bool{true, false} {
			c := collect(t, s, registry.CollectOptions{DryRun: dryRun})
			if c.Dropped != many-1 || len(c.Tags) != registry.MaxDroppedTags {
				t.Errorf("%d dropped, %d named", c.Dropped, len(c.Tags))
			}
		}
	})
}

// TestRetentionKeepsAttached: signatures and the like that are tagged by the digest of
// their image, as cosign does it, stay as long as that, and take the place of no image.
func TestRetentionKeepsAttached(t *testing.T) {
	rule := registry.Rule{Keep: &registry.Retention{Last: 1, Untagged: day}}
	inBubble(t, rule, func(t *testing.T, _ *memBlobs, s *registry.Storage) {
		var attached []string
		for _, tag := range []string{"v1", "v2"} {
			d := pushImageOf(t, s, "a", tag, "config of "+tag)
			for _, ending := range []string{"", ".sig", ".att"} {
				attached = append(attached, "sha256-"+d.Encoded()+ending)
			}
			time.Sleep(time.Second)
		}
		for _, tag := range attached {
			pushImageOf(t, s, "a", tag, "signature "+tag)
		}
		gone := slices.Sorted(slices.Values(attached[:3]))
		dropped := func() []string {
			var tags []string
			for _, name := range collect(t, s, registry.CollectOptions{}).Tags {
				tags = append(tags, strings.TrimPrefix(name, "a:"))
			}
			return slices.Sorted(slices.Values(tags))
		}
		if diff := cmp.Diff([]string{"v1"}, dropped()); diff != "" {
			t.Errorf("at first (-want +got): %s", diff)
		}
		time.Sleep(2 * day)
		var later []string
		for range 2 { // the image goes, then what was attached to it
			later = append(later, dropped()...)
		}
		if diff := cmp.Diff(gone, later); diff != "" {
			t.Errorf("later (-want +got): %s", diff)
		}
	})
}

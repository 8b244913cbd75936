package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// problems returns what Check finds: kinds and keys, sorted.
func problems(t *testing.T, s *registry.Storage, deep bool) []string {
	t.Helper()
	var list []string
	for p, err := range s.Check(t.Context(), registry.CheckOptions{Deep: deep}) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Message == "" {
			t.Errorf("%+v says nothing", p)
		}
		list = append(list, string(p.Kind)+" "+p.Key)
	}
	slices.Sort(list)
	return list
}

func TestCheck(t *testing.T) {
	image, child := imageManifest("config", "layer"), imageManifest("config", "child")
	link := func(kind, content string) string {
		return "repositories/a/" + kind + "/sha256/" + digest.FromString(content).Encoded()
	}
	content := func(content string) string { return contentOf(digest.FromString(content)) }
	signature := withSubject(imageManifest("config"), image)
	referral := fmt.Sprintf("repositories/a/referrers/sha256/%s/sha256/%s", digest.FromString(image).Encoded(), digest.FromString(signature).Encoded())
	tests := []struct {
		name   string
		damage map[string]string // keys, and what is put there; "" deletes
		want   []string          // in order
		deep   []string          // what a deep check finds besides
	}{
		{"nothing", nil, nil, nil},
		{"content lost", map[string]string{content("layer"): ""}, []string{"content-missing " + link("blobs", "layer")}, nil},
		{"content cut", map[string]string{content("layer"): "lay"},
			[]string{"content-damaged " + link("blobs", "layer")}, []string{"content-damaged " + content("layer")}},
		{"content changed", map[string]string{content("layer"): "LAYER"}, nil, []string{"content-damaged " + content("layer")}},
		{"link lost", map[string]string{link("blobs", "layer"): ""},
			[]string{"garbage " + content("layer"), "manifest-incomplete " + link("manifests", image)}, nil},
		{"link damaged", map[string]string{link("blobs", "layer"): "{"}, []string{"object-damaged " + link("blobs", "layer")}, nil},
		{"child lost", map[string]string{link("manifests", child): ""},
			[]string{"garbage " + content(child), "manifest-incomplete " + link("manifests", indexOf(image, child))}, nil},
		{"manifest changed", map[string]string{content(image): strings.ToUpper(image)},
			[]string{"object-damaged " + link("manifests", image)}, []string{"content-damaged " + content(image)}},
		{"tagged manifest lost", map[string]string{link("manifests", indexOf(image, child)): ""},
			[]string{"dangling repositories/a/tags/t", "garbage " + content(indexOf(image, child))}, nil},
		{"tag damaged", map[string]string{"repositories/a/tags/t": "{"}, []string{"object-damaged repositories/a/tags/t"}, nil},
		{"referrer lost", map[string]string{link("manifests", signature): ""},
			[]string{"dangling " + referral, "garbage " + content(signature)}, nil},
		{"name lost", map[string]string{"names/a": ""}, []string{"unnamed names/a"}, nil},
		{"foreign objects", map[string]string{"blobs/other/x": "x", "repositories/a/other": "x", "v1/x": "x"}, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMemBlobs()
			s := registry.NewStorage(m, registry.StorageOptions{})
			pushImageOf(t, s, "a", "", "config", "layer")
			pushImageOf(t, s, "a", "", "config", "child")
			pushManifest(t, s, "a", "t", indexOf(image, child), ociIndex)
			pushManifest(t, s, "a", "", signature, ociImage)
			if err := s.LinkBlob(t.Context(), "a", descriptor("its owner's"), "https://example.com/x"); err != nil {
				t.Fatal(err)
			}
			for key, data := range test.damage {
				if data == "" {
					delete(m.objects, key)
				} else {
					m.objects[key] = memObject{[]byte(data), time.Now()}
				}
			}
			if diff := cmp.Diff(test.want, problems(t, s, false)); diff != "" {
				t.Errorf("problems (-want +got): %s", diff)
			}
			deep := append(slices.Clone(test.want), test.deep...)
			slices.Sort(deep)
			if diff := cmp.Diff(deep, problems(t, s, true)); diff != "" {
				t.Errorf("deep (-want +got): %s", diff)
			}
		})
	}
}

// TestCheckAdvice follows what a deep check says of content that changed on its medium
// and kept its size.
func TestCheckAdvice(t *testing.T) {
	m := newMemBlobs()
	s := registry.NewStorage(m, registry.StorageOptions{})
	d := pushBlob(t, s, "a", "layer")
	m.objects[contentOf(d)] = memObject{[]byte("LAYER"), time.Now()}
	for p, err := range s.Check(t.Context(), registry.CheckOptions{Deep: true}) {
		_, rest, _ := strings.Cut(p.Message, "remove the object ")
		key, _, ok := strings.Cut(rest, " from the storage")
		if err != nil || !ok {
			t.Fatalf("%+v, %v", p, err)
		}
		delete(m.objects, key)
	}
	pushBlob(t, s, "a", "layer")
	if got := problems(t, s, true); len(got) > 0 {
		t.Errorf("there is still %v", got)
	}
}

// TestCheckEnds stops after the first of many problems.
func TestCheckEnds(t *testing.T) {
	m := newMemBlobs()
	s := registry.NewStorage(m, registry.StorageOptions{})
	for i := range 50 {
		delete(m.objects, contentOf(pushBlob(t, s, "a", fmt.Sprint(i))))
	}
	for p, err := range s.Check(t.Context(), registry.CheckOptions{Deep: true}) {
		if p.Kind != registry.ContentMissing || p.Kind.Harmless() || err != nil {
			t.Errorf("%+v, %v", p, err)
		}
		break
	}
}

// TestCollectDangling removes what points at manifests that are gone, but no tags.
func TestCollectDangling(t *testing.T) {
	m := newMemBlobs()
	s := registry.NewStorage(m, registry.StorageOptions{})
	d := pushCompanion(t, s, "a", "one", "base")
	pushCompanion(t, s, "a", "two")
	delete(m.objects, "repositories/a/manifests/sha256/"+d.Encoded())
	if n := len(problems(t, s, false)); n != 4 { // its content, two entries of v1, its subject's
		t.Fatalf("%d problems", n)
	}
	collect(t, s, registry.CollectOptions{})
	if got := problems(t, s, false); len(got) != 1 || !strings.HasPrefix(got[0], "garbage") {
		t.Errorf("it leaves %q", got)
	}
	if refs := v1Refs(t, s, "two"); len(refs) != 1 {
		t.Errorf("the other has %q", refs)
	}
}

func TestDescribe(t *testing.T) {
	rule := registry.Rule{Quota: 5_000, Immutable: []string{"v*"}}
	inBubble(t, rule, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		config := `{"os":"linux","architecture":"arm64","variant":"v8"}`
		image := imageManifest(config, "layer")
		first := time.Now().UTC()
		d := pushImageOf(t, s, "acme/app", "v1", config, "layer")
		time.Sleep(time.Hour)
		amd := strings.Replace(indexOf(image, image), `"size":`, `"platform":{"os":"linux","architecture":"amd64"},"size":`, 1)
		multi := pushManifest(t, s, "acme/app", "multi", amd, ociIndex)
		second := time.Now().UTC()
		lost := pushImageOf(t, s, "acme/app", "lost", config)
		delete(m.objects, contentOf(lost))
		m.objects["repositories/acme+app/tags/odd"] = memObject{[]byte("{"), second}
		s.Count("acme/app", "v1", registry.Counts{Pulls: 2, LastPulledAt: second})
		keep(t, s)()

		all := int64(len(config) + len("layer") + len(image))
		want := []registry.TagInfo{
			{Name: "lost", Digest: lost, MediaType: ociImage, Bytes: int64(len(imageManifest(config))), WrittenAt: second},
			{Name: "multi", Digest: multi, MediaType: ociIndex, Bytes: all + int64(len(amd)), Platforms: []string{"linux/amd64"}, WrittenAt: second},
			{Name: "odd", WrittenAt: second, Problem: "the tag is damaged: push it again"},
			{Name: "v1", Digest: d, MediaType: ociImage, Bytes: all, Platforms: []string{"linux/arm64/v8"}, WrittenAt: first,
				Pulls: 2, PulledAt: second, Immutable: true},
		}
		var got []registry.TagInfo
		for info, err := range s.DescribeTags(t.Context(), "acme/app") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, info)
		}
		if len(got) == 4 && strings.Contains(got[0].Problem, "lost") {
			got[0].Problem = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tags (-want +got): %s", diff)
		}

		pushBlob(t, s, "other", "x")
		repositories := []registry.RepositoryInfo{
			{Name: "acme/app", Tags: 4, Manifests: 3, Blobs: 2, Quota: 5_000, PushedAt: second,
				Bytes: all + int64(len(amd)+len(imageManifest(config)))},
			{Name: "other", Blobs: 1, Bytes: 1, Quota: 5_000},
		}
		var list []registry.RepositoryInfo
		for info, err := range s.DescribeRepositories(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, info)
		}
		if diff := cmp.Diff(repositories, list); diff != "" {
			t.Errorf("repositories (-want +got): %s", diff)
		}
	})
}

// TestDescribeNested adds up indexes within indexes, each of which is there twice.
func TestDescribeNested(t *testing.T) {
	s := registry.NewStorage(newMemBlobs(), registry.StorageOptions{})
	inner := imageManifest("config", "layer")
	pushImageOf(t, s, "a", "", "config", "layer")
	want, mediaType := int64(len("config")+len("layer")+len(inner)), ociImage
	for range 30 {
		part := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest.FromString(inner), len(inner))
		inner = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%[2]s]}`, ociIndex, part)
		mediaType = ociIndex
		pushManifest(t, s, "a", "deep", inner, ociIndex)
		want += int64(len(inner))
	}
	for info, err := range s.DescribeTags(t.Context(), "a") {
		if err != nil || info.Bytes != want || info.Problem != "" {
			t.Errorf("%+v, %v; want %d bytes", info, err, want)
		}
	}
}

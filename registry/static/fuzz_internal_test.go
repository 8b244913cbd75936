package static

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzAddTag adds to lists of tags that others wrote: what was in them stays, and what was
// added is there once.
func FuzzAddTag(f *testing.F) {
	f.Add([]byte(`{"name":"a","tags":["1","3"]}`))
	f.Fuzz(func(t *testing.T, old []byte) {
		added, err := addTag("a", old, "2")
		if err != nil || added == nil {
			return
		}
		if again, err := addTag("a", added, "2"); again != nil || err != nil {
			t.Errorf("%s, added to once more: %s, %v", added, again, err)
		}
		var before, after tagList
		if old != nil && json.Unmarshal(old, &before) != nil || json.Unmarshal(added, &after) != nil {
			t.Fatalf("%s became %s", old, added)
		}
		want := slices.Concat(before.Tags, []string{"2"})
		slices.Sort(want)
		if !slices.Equal(want, after.Tags) {
			t.Errorf("%s became %s", old, added)
		}
	})
}

// FuzzAddReferrer does the same with lists of artifacts.
func FuzzAddReferrer(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"sha256:x"}]}`))
	f.Fuzz(func(t *testing.T, old []byte) {
		desc := ocispec.Descriptor{Digest: digest.FromString("artifact")}
		added, err := addReferrer("key", old, desc)
		if err != nil || added == nil {
			return
		}
		if again, err := addReferrer("key", added, desc); again != nil || err != nil {
			t.Errorf("%s, added to once more: %s, %v", added, again, err)
		}
		var before, after ocispec.Index
		if old != nil && json.Unmarshal(old, &before) != nil || json.Unmarshal(added, &after) != nil || len(after.Manifests) != len(before.Manifests)+1 {
			t.Errorf("%s became %s", old, added)
		}
	})
}

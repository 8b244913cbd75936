package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/dockerv1"
)

// v1ID is the id of an image of v1.
func v1ID(name string) string { return digest.FromString(name).Encoded() }

// pushCompanion pushes the artifact of a chain of images of v1, its own first.
func pushCompanion(t *testing.T, s *registry.Storage, repo string, chain ...string) digest.Digest {
	t.Helper()
	c := dockerv1.Companion{Subject: ocispec.Descriptor{MediaType: ociImage, Digest: digest.FromString("converted"), Size: 9}}
	pushBlob(t, s, repo, "{}")
	for _, name := range chain {
		pushBlob(t, s, repo, name+".json")
		pushBlob(t, s, repo, name+".layer")
		c.Images = append(c.Images, dockerv1.Image{ID: v1ID(name), JSON: descriptor(name + ".json"), Layer: descriptor(name + ".layer")})
	}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	desc, err := s.PushManifest(t.Context(), repo, "", data, dockerv1.MediaTypeManifest)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest
}

func v1Refs(t *testing.T, s *registry.Storage, name string) []string {
	t.Helper()
	var list []string
	for ref, err := range s.V1Image(t.Context(), v1ID(name)) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprint(ref.Repository, " ", ref.Manifest))
	}
	slices.Sort(list)
	return list
}

// TestV1Image finds the images of chains that share their base, in one repository
// and in two, and no longer those that were deleted.
func TestV1Image(t *testing.T) {
	s := openStorage(t, t.TempDir())
	one := pushCompanion(t, s, "acme/app", "one", "base")
	two := pushCompanion(t, s, "acme/app", "two", "base")
	other := pushCompanion(t, s, "other", "one", "base")
	if one != other {
		t.Fatal("the same chain has two digests")
	}
	check := func(name string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if diff := cmp.Diff(want, v1Refs(t, s, name)); diff != "" {
			t.Errorf("%s (-want +got): %s", name, diff)
		}
	}
	check("one", "acme/app "+one.String(), "other "+one.String())
	check("two", "acme/app "+two.String())
	check("base", "acme/app "+one.String(), "acme/app "+two.String(), "other "+one.String())
	check("none")

	if err := s.DeleteManifest(t.Context(), "acme/app", one); err != nil {
		t.Fatal(err)
	}
	check("one", "other "+one.String())
	check("base", "acme/app "+two.String(), "other "+one.String())
}

func TestV1ImageOfNoID(t *testing.T) {
	s := openStorage(t, t.TempDir())
	for _, id := range []string{"", "..", "a/b", strings.Repeat("A", 64)} {
		for _, err := range s.V1Image(t.Context(), id) {
			if regcred.CodeOf(err) != regcred.Invalid {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
}

// TestV1ForeignArtifact pushes what says that it is such an artifact, and is not: it
// is stored like any other, and found by no id.
func TestV1ForeignArtifact(t *testing.T) {
	s := openStorage(t, t.TempDir())
	pushBlob(t, s, "a", "config")
	manifest := imageManifest("config")
	manifest = fmt.Sprintf(`%s,"artifactType":%q}`, manifest[:len(manifest)-1], dockerv1.ArtifactType)
	if _, err := s.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage); err != nil {
		t.Fatal(err)
	}
	if refs := v1Refs(t, s, "config"); len(refs) > 0 {
		t.Errorf("it is found: %q", refs)
	}
}

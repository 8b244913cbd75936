package publish_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

// signed is a layout of an index, with an artifact about a child of it, one about that
// artifact, and a signature by cosign's tag.
func signed() signedLayout {
	var l at.Layout
	child := l.Manifest(at.New("amd64", "one"), ocispec.MediaTypeImageLayerGzip)
	index := l.IndexOf(child, l.Manifest(at.New("arm64", "two"), ocispec.MediaTypeImageLayerGzip))
	sbom := l.Artifact(child, "sbom")
	note := l.Artifact(sbom, "note")
	sig := l.Manifest(at.New("amd64", "signature"), ocispec.MediaTypeImageLayerGzip)
	l.Add(note, "", "")
	l.Add(sig, "sha256-"+index.Digest.Encoded()+".sig", "")
	l.Add(sbom, "", "")
	l.Add(index, "acme/app:1", "1")
	return signedLayout{l.Files(), index, child, sbom, note, sig}
}

type signedLayout struct {
	files                         []at.File
	index, child, sbom, note, sig ocispec.Descriptor
}

// pushes records the order in which manifests arrive, and fails one.
type pushes struct {
	publish.Destination
	list []string // digest and tag
	fail digest.Digest
}

var errPush = errors.New("the connection broke")

func (p *pushes) PushManifest(ctx context.Context, repo, tag string, data []byte, mediaType string) (ociregistry.Descriptor, error) {
	d := digest.FromBytes(data)
	if d == p.fail {
		return ociregistry.Descriptor{}, errPush
	}
	p.list = append(p.list, string(d)+" "+tag)
	return p.Destination.PushManifest(ctx, repo, tag, data, mediaType)
}

// TestAttached carries artifacts along with their image, which gets its tag last.
func TestAttached(t *testing.T) {
	l := signed()
	o := ownServer(t)
	p := &pushes{Destination: o.dst}
	r, err := publish.Publish(t.Context(), p, openFiles(t, l.files).Images()[0], "acme/app", "1", publish.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Root.Digest != l.index.Digest {
		t.Errorf("root %v", r.Root)
	}
	cosign := "sha256-" + l.index.Digest.Encoded() + ".sig"
	want := []string{string(l.index.Digest) + " ", string(l.sig.Digest) + " " + cosign, string(l.sbom.Digest) + " ", string(l.note.Digest) + " ", string(l.index.Digest) + " 1"}
	if diff := cmp.Diff(want, p.list[2:]); diff != "" {
		t.Error(diff)
	}
	for about, want := range map[digest.Digest]digest.Digest{l.child.Digest: l.sbom.Digest, l.sbom.Digest: l.note.Digest} {
		var got []digest.Digest
		for d, err := range o.storage.Referrers(t.Context(), "acme/app", about, "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d.Digest)
		}
		if !slices.Equal(got, []digest.Digest{want}) {
			t.Errorf("about %s there is %v, want %s", about, got, want)
		}
	}
	if d, err := o.storage.ResolveTag(t.Context(), "acme/app", cosign); err != nil || d.Digest != l.sig.Digest {
		t.Errorf("signature %v, %v", d, err)
	}
}

// TestAttachedFails leaves no tag where an artifact cannot be pushed.
func TestAttachedFails(t *testing.T) {
	l := signed()
	mem := ocimem.New()
	p := &pushes{Destination: mem, fail: l.note.Digest}
	_, err := publish.Publish(t.Context(), p, openFiles(t, l.files).Images()[0], "acme/app", "1", publish.Options{})
	if err == nil {
		t.Fatal("it was published")
	}
	if _, err := mem.ResolveTag(t.Context(), "acme/app", "1"); !errors.Is(err, ociregistry.ErrManifestUnknown) {
		t.Errorf("the tag: %v", err)
	}
}

package archive_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
)

// attached lists what is attached to each image, by names that the test gives to
// digests.
func attached(a *archive.Archive, known map[digest.Digest]string) map[string][]string {
	all := make(map[string][]string)
	for _, img := range a.Images() {
		list := []string{}
		for _, at := range img.Attached {
			list = append(list, strings.TrimSpace(known[at.Manifest.Descriptor.Digest]+" "+at.Tag))
		}
		all[known[img.Root.Descriptor.Digest]] = list
	}
	return all
}

func tagOf(d ocispec.Descriptor, suffix string) string {
	return "sha256-" + d.Digest.Encoded() + suffix
}

// TestAttached finds what is about an image: by its subject, by cosign's tags, and by
// what `cosign save` writes, in whatever order.
func TestAttached(t *testing.T) {
	var l at.Layout
	amd64, arm64 := l.Manifest(at.New("amd64", "a"), ocispec.MediaTypeImageLayerGzip), l.Manifest(at.New("arm64", "b"), ocispec.MediaTypeImageLayerGzip)
	index := l.IndexOf(amd64, arm64)
	other := l.Manifest(at.New("amd64", "other"), ocispec.MediaTypeImageLayerGzip)
	sbom := l.Artifact(arm64, "sbom")
	signed := l.Artifact(sbom, "signature of the sbom")
	sig := l.Manifest(at.New("amd64", "cosign"), ocispec.MediaTypeImageLayerGzip)
	sigOfSig := l.Manifest(at.New("amd64", "cosign again"), ocispec.MediaTypeImageLayerGzip)
	saved := l.Manifest(at.New("amd64", "saved"), ocispec.MediaTypeImageLayerGzip)
	stray := l.Artifact(ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("elsewhere"), Size: 1}, "stray")

	add := func(d ocispec.Descriptor, annotations map[string]string) {
		d.Annotations = annotations
		l.Index = append(l.Index, d)
	}
	ref := func(name string) map[string]string { return map[string]string{ocispec.AnnotationRefName: name} }
	add(signed, nil)
	add(sigOfSig, ref("registry.example.com:5000/acme/app:"+tagOf(sig, ".sig")))
	add(sig, ref(tagOf(index, ".sig")))
	add(saved, map[string]string{"kind": "dev.cosignproject.cosign/atts", ocispec.AnnotationRefName: "acme/other:1"})
	add(index, ref("acme/app:1"))
	add(sbom, ref("list"))
	add(sbom, ref("list"))
	add(other, map[string]string{"kind": "dev.cosignproject.cosign/image", ocispec.AnnotationRefName: "acme/other:1"})
	add(stray, ref("acme/stray:1"))
	known := map[digest.Digest]string{
		index.Digest: "app", other.Digest: "other", sbom.Digest: "sbom", signed.Digest: "signed", sig.Digest: "sig",
		sigOfSig.Digest: "sigOfSig", saved.Digest: "saved", stray.Digest: "stray",
	}
	a := openFiles(t, l.Files())
	want := map[string][]string{
		"app":   {"sig " + tagOf(index, ".sig"), "sbom list", "signed", "sigOfSig " + tagOf(sig, ".sig")},
		"other": {"saved " + tagOf(other, ".att")},
		"stray": {},
	}
	if diff := cmp.Diff(want, attached(a, known)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"acme/app:1"}, {"acme/other:1"}, {"acme/stray:1"}}, names(a)); diff != "" {
		t.Error(diff)
	}
	if err := readAll(a); err != nil {
		t.Error(err)
	}
}

// TestAttachedCircle takes tags that say nonsense for images.
func TestAttachedCircle(t *testing.T) {
	var l at.Layout
	one, two := l.Manifest(at.New("amd64", "1"), ocispec.MediaTypeImageLayerGzip), l.Manifest(at.New("amd64", "2"), ocispec.MediaTypeImageLayerGzip)
	l.Add(one, tagOf(two, ".sig"), "")
	l.Add(two, tagOf(one, ".sig"), "")
	self := l.Manifest(at.New("amd64", "3"), ocispec.MediaTypeImageLayerGzip)
	l.Add(self, tagOf(self, ".sig"), "")
	a := openFiles(t, l.Files())
	want := map[string][]string{"one": {"two " + tagOf(one, ".sig")}, "self": {}}
	if diff := cmp.Diff(want, attached(a, map[digest.Digest]string{one.Digest: "one", two.Digest: "two", self.Digest: "self"})); diff != "" {
		t.Error(diff)
	}
}

// TestAttachedToPart leaves out what is about an index that is published anew.
func TestAttachedToPart(t *testing.T) {
	var l at.Layout
	amd64, arm64 := l.Manifest(at.New("amd64", "a"), ocispec.MediaTypeImageLayerGzip), l.Manifest(at.New("arm64", "b"), ocispec.MediaTypeImageLayerGzip)
	index := l.IndexOf(amd64, arm64)
	delete(l.Blobs, arm64.Digest)
	l.Add(index, "acme/app:1", "1")
	ofIndex, ofPart := l.Artifact(index, "of the index"), l.Artifact(amd64, "of amd64")
	l.Add(ofIndex, "", "")
	l.Add(ofPart, "", "")
	a := openFiles(t, l.Files())
	if diff := cmp.Diff(map[string][]string{"amd64": {"part"}}, attached(a, map[digest.Digest]string{amd64.Digest: "amd64", ofPart.Digest: "part"})); diff != "" {
		t.Error(diff)
	}
	if w := a.Warnings(); len(w) != 1 || !strings.Contains(w[0], ofIndex.Digest.String()+" is left out") {
		t.Errorf("warnings %q", w)
	}
}

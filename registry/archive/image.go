package archive

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is one image of an archive.
type Image struct {
	// Names are the references that the archive gives it, as they are written
	// there: "docker.io/acme/app:1.0", or just a tag in some OCI image layouts.
	// There may be none.
	Names []string
	// Root is its manifest, or its index where it is for several platforms.
	Root *Manifest
	// Absent are the platforms that its index lists and the archive does not
	// have: engines save the platforms that they have pulled. Root is then
	// without them. It stops at 32.
	Absent []string
	// Attached are artifacts about it, which go where it goes: signatures,
	// attestations, lists of contents, and the companions of v1 images. What is
	// about an artifact comes after that.
	Attached []Attachment

	resolve func(context.Context) (Image, error) // nil where all is known
}

// Attachment is an artifact about an image or another artifact.
type Attachment struct {
	// Manifest is the artifact's. It names what it is about as its subject, or else:
	Manifest *Manifest
	// Tag is by which tools find it that know no subjects, such as cosign:
	// "sha256-HEX.sig". It is empty where there is none.
	Tag string
}

// Resolve returns the image with its Root and its attachments complete. Those of a
// Pulp v1 export have only a Root with its media type and platform until then: their
// manifest follows from the digests of their layers, each of which is read once for
// it. Others are returned as they are.
//
// Errors: those of reading the layers; Corrupt where one is damaged or no gzipped
// tar; TooLarge where one unpacks beyond the limits of Options.
func (i Image) Resolve(ctx context.Context) (Image, error) {
	if i.resolve == nil {
		return i, nil
	}
	return i.resolve(ctx)
}

// Manifests yields every manifest that the image and what is attached to it have, each
// once, children before parents and the image's own first.
func (i Image) Manifests() iter.Seq[*Manifest] {
	return func(yield func(*Manifest) bool) {
		seen := make(map[*Manifest]bool)
		if !i.Root.walk(seen, yield) {
			return
		}
		for _, a := range i.Attached {
			if !a.Manifest.walk(seen, yield) {
				return
			}
		}
	}
}

// Platforms returns what the image runs on, such as "linux/amd64", without
// duplicates and in the image's own order. Artifacts that are no images have
// none.
func (i Image) Platforms() []string {
	var list []string
	seen := make(map[string]bool)
	for m := range i.Root.All() {
		if p := platformString(m.Descriptor.Platform); p != "" && !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list
}

// Manifest is an image manifest, with its config and layers, or an index, with
// its children.
type Manifest struct {
	// Descriptor describes the document. Its Digest is empty where the archive
	// has no such document and one is to be made of the parts; see Stored.
	Descriptor ocispec.Descriptor
	// Config and Layers are those of an image manifest.
	Config Blob
	Layers []Blob
	// Children are those of an index, none of them nil.
	Children []*Manifest

	read    func() ([]byte, error)
	subject digest.Digest // of what an artifact is about, empty for most
}

// Stored reports whether the archive holds the document itself, so that it can
// be passed on unchanged, or what was made of a v1 image. It does not for the classic docker save, for an index
// of which only a part was saved, nor where an engine made up a manifest with
// uncompressed layers just for the export.
func (m *Manifest) Stored() bool { return m.Descriptor.Digest != "" }

// IsIndex reports whether it is an index.
func (m *Manifest) IsIndex() bool { return isIndex(m.Descriptor.MediaType) }

// Read returns the document of a stored manifest, at most 4 MiB, after checking
// it against its digest.
func (m *Manifest) Read() ([]byte, error) { return m.read() }

// All yields m and everything below it, each once, children before parents.
func (m *Manifest) All() iter.Seq[*Manifest] {
	return func(yield func(*Manifest) bool) {
		m.walk(make(map[*Manifest]bool), yield)
	}
}

func (m *Manifest) walk(seen map[*Manifest]bool, yield func(*Manifest) bool) bool {
	if seen[m] {
		return true
	}
	seen[m] = true
	for _, c := range m.Children {
		if !c.walk(seen, yield) {
			return false
		}
	}
	return yield(m)
}

// Blob is a config, a layer, or any other content of a manifest.
type Blob struct {
	// Descriptor describes the content. Digest is empty only for a compressed
	// layer of a docker save, whose digest the archive does not tell: see
	// Identify.
	Descriptor ocispec.Descriptor
	// DiffID is the digest of the layer's uncompressed tar where the archive's
	// format tells; it is empty for everything else.
	DiffID digest.Digest
	// V1ID is the id of the v1 image whose layer it is, empty where it is none.
	V1ID string

	file string
	data []byte // the content, where the archive has no such file
	r    *reader
}

// Open returns the content. Reading it ends with a Corrupt error, in place of
// io.EOF, where it is not what Descriptor.Digest says.
func (b Blob) Open() (io.ReadCloser, error) { return b.r.openBlob(b) }

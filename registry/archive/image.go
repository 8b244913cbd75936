package archive

import (
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

	read func() ([]byte, error)
}

// Stored reports whether the archive holds the document itself, so that it can
// be passed on unchanged. It does not for the classic docker save, for an index
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

	file string
	r    *reader
}

// Open returns the content. Reading it ends with a Corrupt error, in place of
// io.EOF, where it is not what Descriptor.Digest says.
func (b Blob) Open() (io.ReadCloser, error) { return b.r.openBlob(b) }

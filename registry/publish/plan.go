package publish

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
)

// Compression is how uncompressed layers are sent.
type Compression uint8

// The compressions. Fast is gzip at its fastest level: sending is then bound by
// the network and the disk, and what better levels save is a tenth or so.
const (
	Fast Compression = iota
	Better
	Best
	None
)

var compressions = map[string]Compression{"fast": Fast, "better": Better, "best": Best, "none": None}

// ParseCompression reads "fast", "better", "best" or "none".
func ParseCompression(s string) (Compression, error) {
	if c, ok := compressions[s]; ok {
		return c, nil
	}
	return Fast, regcred.Errorf(regcred.Invalid, "unknown compression %.20q: use fast, better, best or none", s)
}

// job is one content to send, however many manifests refer to it.
type job struct {
	blob  archive.Blob
	layer bool
	// made says that the manifest is made anew, of whatever form the layer then has.
	made bool
	// pack says that it is to be compressed.
	pack bool

	// The outcome:
	desc    ocispec.Descriptor
	present bool // the repository had it already
	linked  bool // its owner hosts it
}

// jobKey identifies a content within an image.
type jobKey struct {
	digest digest.Digest // or the DiffID where the archive does not tell the digest
	known  bool
	pack   bool
}

func keyOf(b archive.Blob, pack bool) jobKey {
	if b.Descriptor.Digest == "" {
		return jobKey{digest: b.DiffID}
	}
	return jobKey{digest: b.Descriptor.Digest, known: true, pack: pack}
}

// packs reports whether a layer of m is compressed on the way. Only a manifest
// that is yet to be made can refer to the outcome.
func packs(m *archive.Manifest, layer archive.Blob, c Compression) bool {
	return c != None && !m.Stored() && layer.Descriptor.MediaType == ocispec.MediaTypeImageLayer
}

// plan lists the contents of an image and of what is attached to it.
func plan(img archive.Image, c Compression) map[jobKey]*job {
	jobs := make(map[jobKey]*job)
	for m := range img.Manifests() {
		if m.IsIndex() {
			continue
		}
		jobs[keyOf(m.Config, false)] = &job{blob: m.Config}
		for _, l := range m.Layers {
			pack := packs(m, l, c)
			jobs[keyOf(l, pack)] = &job{blob: l, layer: true, made: !m.Stored(), pack: pack}
		}
	}
	return jobs
}

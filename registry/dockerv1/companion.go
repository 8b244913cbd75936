package dockerv1

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// MediaTypeManifest is the media type of a companion's own manifest.
const MediaTypeManifest = ocispec.MediaTypeImageManifest

// MaxCompanion is how large a companion's manifest may be, in bytes: what registries
// accept of a manifest.
const MaxCompanion = 4 << 20

// Companion is the artifact that keeps an image of v1 beside the image that it was
// converted to. Its blobs are Config, each JSON and each Layer: a repository has to
// have them before it takes the manifest.
type Companion struct {
	// Subject is the manifest of the converted image.
	Subject ocispec.Descriptor
	// Images are the image and its ancestors, its own first.
	Images []Image
}

// Image is one link of an image's chain: an image of v1 is a layer, and whatever lies
// below it.
type Image struct {
	// ID is its v1 id.
	ID string
	// JSON describes its JSON document as it was exported, Layer its gzipped tar. Only
	// digests and sizes count: the media types are always the same.
	JSON, Layer ocispec.Descriptor
}

// Config describes a companion's config, the empty JSON object; its Data is the
// content. It is the "guidance for an empty descriptor" of OCI's image manifest
// specification 1.1.
func Config() ocispec.Descriptor {
	d := ocispec.DescriptorEmptyJSON
	d.Data = []byte("{}")
	return d
}

// ID returns the id of the image itself.
func (c Companion) ID() string {
	if len(c.Images) == 0 {
		return ""
	}
	return c.Images[0].ID
}

// Ancestry returns the ids of one of the chain's images and of all below it, its own
// first; nil where the chain does not have it.
func (c Companion) Ancestry(id string) []string {
	i := slices.IndexFunc(c.Images, func(img Image) bool { return img.ID == id })
	if i < 0 {
		return nil
	}
	ids := make([]string, 0, len(c.Images)-i)
	for _, img := range c.Images[i:] {
		ids = append(ids, img.ID)
	}
	return ids
}

// Image returns the image of that id in the chain; false where it has none.
func (c Companion) Image(id string) (Image, bool) {
	i := slices.IndexFunc(c.Images, func(img Image) bool { return img.ID == id })
	if i < 0 {
		return Image{}, false
	}
	return c.Images[i], true
}

// Encode returns the companion's manifest, of type MediaTypeManifest; equal
// companions give equal bytes. Errors: those of Parse.
func (c Companion) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	config := Config()
	config.Data = nil
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    MediaTypeManifest,
		ArtifactType: ArtifactType,
		Config:       config,
		Layers:       make([]ocispec.Descriptor, 0, 2*len(c.Images)),
		Subject:      &ocispec.Descriptor{MediaType: c.Subject.MediaType, Digest: c.Subject.Digest, Size: c.Subject.Size},
	}
	for _, img := range c.Images {
		m.Layers = append(m.Layers, part(MediaTypeJSON, img.ID, img.JSON), part(MediaTypeLayer, img.ID, img.Layer))
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("making the companion of %s: %w", c.ID(), err)
	}
	return data, nil
}

func part(mediaType, id string, d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: d.Digest, Size: d.Size, Annotations: map[string]string{AnnotationID: id}}
}

// ParseCompanion reads a companion's manifest. It accepts what Encode writes and
// nothing that could be read in another way.
//
// Errors: Invalid where it is another artifact, where a layer, its pair or an id is
// not as the package says; TooLarge beyond MaxCompanion, MaxDepth or MaxDocument.
func ParseCompanion(manifest []byte) (Companion, error) {
	var c Companion
	if len(manifest) > MaxCompanion {
		return c, regcred.Errorf(regcred.TooLarge, "a companion's manifest has at most %d bytes, this one %d", MaxCompanion, len(manifest))
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return c, malformed("%w", err)
	}
	switch {
	case m.SchemaVersion != 2 || m.MediaType != MediaTypeManifest:
		return c, malformed("it is no OCI image manifest")
	case m.ArtifactType != ArtifactType:
		return c, malformed("its artifactType is %.80q, not %s", m.ArtifactType, ArtifactType)
	case m.Config.MediaType != ocispec.MediaTypeEmptyJSON || m.Config.Digest != ocispec.DescriptorEmptyJSON.Digest || m.Config.Size != ocispec.DescriptorEmptyJSON.Size:
		return c, malformed("its config is not the empty one")
	case m.Subject == nil:
		return c, malformed("it has no subject")
	case len(m.Layers)%2 != 0:
		return c, malformed("its layers are not in pairs")
	}
	c.Subject = ocispec.Descriptor{MediaType: m.Subject.MediaType, Digest: m.Subject.Digest, Size: m.Subject.Size}
	for pair := range slices.Chunk(m.Layers, 2) {
		id := pair[0].Annotations[AnnotationID]
		if pair[0].MediaType != MediaTypeJSON || pair[1].MediaType != MediaTypeLayer || pair[1].Annotations[AnnotationID] != id {
			return Companion{}, malformed("layers %.64q are no pair of a document and a layer", id)
		}
		c.Images = append(c.Images, Image{ID: id, JSON: bare(pair[0]), Layer: bare(pair[1])})
	}
	if err := c.check(); err != nil {
		return Companion{}, err
	}
	return c, nil
}

func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

func malformed(format string, args ...any) error {
	return regcred.Errorf(regcred.Invalid, "it is no companion of an image: %w", fmt.Errorf(format, args...))
}

// check checks what both Encode and Parse have to.
func (c Companion) check() error {
	switch {
	case len(c.Images) == 0:
		return malformed("it has no layers")
	case len(c.Images) > MaxDepth:
		return regcred.Errorf(regcred.TooLarge, "a companion has at most %d layers, this one %d", MaxDepth, len(c.Images))
	case c.Subject.MediaType == "":
		return malformed("its subject has no media type")
	}
	descriptors := []ocispec.Descriptor{c.Subject}
	for _, img := range c.Images {
		descriptors = append(descriptors, img.JSON, img.Layer)
		if img.JSON.Size > MaxDocument {
			return regcred.Errorf(regcred.TooLarge, "the JSON document of %.64s has %d bytes; at most %d are supported", img.ID, img.JSON.Size, MaxDocument)
		}
	}
	for _, d := range descriptors {
		if err := checkDescriptor(d); err != nil {
			return malformed("%w", err)
		}
	}
	return checkChain(c.Ancestry(c.ID()))
}

// checkDescriptor accepts the digests that can be verified: sha256 and sha512.
func checkDescriptor(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("%.100q is no digest: %w", string(d.Digest), err)
	}
	if a := d.Digest.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("digest %s: only sha256 and sha512 are supported", d.Digest)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s has the size %d", d.Digest, d.Size)
	}
	return nil
}

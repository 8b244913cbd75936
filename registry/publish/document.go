package publish

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry/archive"
)

// document returns the manifest that is pushed for m: the archive's own, or one
// made of what was sent. done has the descriptors of its children.
func (p *publisher) document(m *archive.Manifest, done map[*archive.Manifest]ocispec.Descriptor) ([]byte, ocispec.Descriptor, error) {
	desc := m.Descriptor
	if m.Stored() {
		data, err := m.Read()
		return data, desc, err
	}
	var doc any
	if m.IsIndex() {
		doc = madeIndex(m, done)
	} else {
		doc = p.madeManifest(m)
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, desc, fmt.Errorf("making a manifest: %w", err)
	}
	desc.Digest, desc.Size = digest.FromBytes(data), int64(len(data))
	return data, desc, nil
}

// madeManifest makes an OCI image manifest of what was sent for m.
func (p *publisher) madeManifest(m *archive.Manifest) ocispec.Manifest {
	doc := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: m.Descriptor.MediaType,
		Config:    p.jobs[keyOf(m.Config, false)].desc,
		Layers:    make([]ocispec.Descriptor, 0, len(m.Layers)),
	}
	for _, l := range m.Layers {
		doc.Layers = append(doc.Layers, p.jobs[keyOf(l, packs(m, l, p.o.Compression))].desc)
	}
	return doc
}

// madeIndex makes an index of those children that the archive has.
func madeIndex(m *archive.Manifest, done map[*archive.Manifest]ocispec.Descriptor) ocispec.Index {
	doc := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: m.Descriptor.MediaType,
	}
	for _, c := range m.Children {
		doc.Manifests = append(doc.Manifests, done[c])
	}
	return doc
}

package archivetest

import (
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layout is an OCI image layout.
type Layout struct {
	// Blobs are its contents. Tests remove or change them at will.
	Blobs map[digest.Digest][]byte
	// Index are the entries of index.json.
	Index []ocispec.Descriptor
}

// Blob adds a content.
func (l *Layout) Blob(mediaType string, data []byte) ocispec.Descriptor {
	if l.Blobs == nil {
		l.Blobs = make(map[digest.Digest][]byte)
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	l.Blobs[d.Digest] = data
	return d
}

// Manifest adds an image, with its layers of the given media type, which says
// how they are compressed.
func (l *Layout) Manifest(img Image, layerType string) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    l.Blob(ocispec.MediaTypeImageConfig, img.Config),
		Layers:    []ocispec.Descriptor{},
	}
	for _, data := range img.Layers {
		switch layerType {
		case ocispec.MediaTypeImageLayerGzip:
			data = Gzip(data)
		case ocispec.MediaTypeImageLayerZstd:
			data = Zstd(data)
		}
		m.Layers = append(m.Layers, l.Blob(layerType, data))
	}
	return l.Blob(m.MediaType, JSON(m))
}

// Attestation adds an attestation for a manifest as BuildKit does.
func (l *Layout) Attestation(of digest.Digest) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    l.Blob(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers"}}`)),
		Layers:    []ocispec.Descriptor{l.Blob("application/vnd.in-toto+json", []byte(`{"subject":"`+of.String()+`"}`))},
	}
	d := l.Blob(m.MediaType, JSON(m))
	d.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	d.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": of.String(),
	}
	return d
}

// Artifact adds an artifact about a manifest, with one layer of the given content.
func (l *Layout) Artifact(about ocispec.Descriptor, content string) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.sbom",
		Config:  l.Blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:  []ocispec.Descriptor{l.Blob("text/plain", []byte(content))},
		Subject: &ocispec.Descriptor{MediaType: about.MediaType, Digest: about.Digest, Size: about.Size},
	}
	return l.Blob(m.MediaType, JSON(m))
}

// IndexOf adds an index of manifests.
func (l *Layout) IndexOf(children ...ocispec.Descriptor) ocispec.Descriptor {
	return l.Blob(ocispec.MediaTypeImageIndex, JSON(index(children)))
}

func index(children []ocispec.Descriptor) ocispec.Index {
	return ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: children,
	}
}

// Add lists a manifest in index.json, with the annotations of containerd and
// BuildKit for its name where there is one.
func (l *Layout) Add(d ocispec.Descriptor, name, tag string) {
	if name != "" {
		d.Annotations = map[string]string{"io.containerd.image.name": name, ocispec.AnnotationRefName: tag}
	}
	l.Index = append(l.Index, d)
}

// Files returns the files of the layout.
func (l *Layout) Files() []File {
	files := []File{
		{Name: "oci-layout", Body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{Name: "index.json", Body: JSON(index(l.Index))},
	}
	for _, d := range slices.Sorted(maps.Keys(l.Blobs)) {
		files = append(files, File{Name: "blobs/" + string(d.Algorithm()) + "/" + d.Encoded(), Body: l.Blobs[d]})
	}
	return files
}

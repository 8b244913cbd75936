package main

import (
	"archive/tar"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// newImage writes an OCI layout to a directory, with one image of layers which take
// about so many bytes compressed. Their content is half random and half zeros, from a
// seed. They are compressed here, so that nobody who publishes them does it.
func (b *bench) newImage(layers []int64) (string, error) {
	dir, err := os.MkdirTemp(b.dir, "image-")
	if err != nil {
		return "", err
	}
	l := layout{filepath.Join(dir, "blobs", "sha256"), rand.NewChaCha8([32]byte{2})}
	if err := os.MkdirAll(l.blobs, 0o700); err != nil {
		return "", err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"}, RootFS: ocispec.RootFS{Type: "layers"}}
	for _, size := range layers {
		desc, diffID, err := l.layer(size)
		if err != nil {
			return "", err
		}
		m.Layers = append(m.Layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
	}
	if m.Config, err = l.document(config, ocispec.MediaTypeImageConfig); err != nil {
		return "", err
	}
	root, err := l.document(m, ocispec.MediaTypeImageManifest)
	if err != nil {
		return "", err
	}
	root.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	index := ocispec.Index{Versioned: m.Versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{root}}
	if err := writeJSON(filepath.Join(dir, ocispec.ImageIndexFile), index); err != nil {
		return "", err
	}
	return dir, writeJSON(filepath.Join(dir, ocispec.ImageLayoutFile), ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// layout is where the blobs of an image are written.
type layout struct {
	blobs  string
	random *rand.ChaCha8
}

// document writes a JSON document as a blob.
func (l layout) document(v any, mediaType string) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := digest.FromBytes(data)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))},
		os.WriteFile(filepath.Join(l.blobs, d.Encoded()), data, 0o600)
}

// layer writes a layer that takes about size bytes compressed, and returns its
// descriptor and the digest of what it is uncompressed.
func (l layout) layer(size int64) (desc ocispec.Descriptor, diffID digest.Digest, err error) {
	f, err := os.CreateTemp(l.blobs, "layer-")
	if err != nil {
		return desc, "", err
	}
	defer f.Close()
	compressed, plain := digest.SHA256.Digester(), digest.SHA256.Digester()
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, compressed.Hash()), gzip.BestSpeed)
	if err != nil {
		return desc, "", err
	}
	t := tar.NewWriter(io.MultiWriter(z, plain.Hash()))
	if err := t.WriteHeader(&tar.Header{Name: "content", Mode: 0o644, Size: 2 * size, Typeflag: tar.TypeReg}); err != nil {
		return desc, "", err
	}
	if _, err := io.CopyN(t, &halfRandom{random: l.random}, 2*size); err != nil {
		return desc, "", err
	}
	if err := t.Close(); err != nil {
		return desc, "", err
	}
	if err := z.Close(); err != nil {
		return desc, "", err
	}
	info, err := f.Stat()
	if err != nil {
		return desc, "", err
	}
	desc = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: compressed.Digest(), Size: info.Size()}
	return desc, plain.Digest(), os.Rename(f.Name(), filepath.Join(l.blobs, desc.Digest.Encoded()))
}

// halfRandom yields pieces of random bytes and of zeros in turns.
type halfRandom struct {
	random *rand.ChaCha8
	zeros  bool
}

// Read implements io.Reader.
func (h *halfRandom) Read(p []byte) (int, error) {
	p = p[:min(len(p), 4096)]
	if h.zeros = !h.zeros; h.zeros {
		clear(p)
		return len(p), nil
	}
	return h.random.Read(p)
}

func writeJSON(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}

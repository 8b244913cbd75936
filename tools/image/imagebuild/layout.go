package imagebuild

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationName is where containerd and Docker look for an image's whole name.
const annotationName = "io.containerd.image.name"

// layout is an OCI image layout in a directory
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
type layout struct{ dir string }

// blobPath returns where a layout keeps a content, with slashes.
func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// add adds a content.
func (l layout) add(mediaType string, data []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return d, l.write(blobPath(d.Digest), data)
}

func (l layout) addJSON(mediaType string, document any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return l.add(mediaType, data)
}

// addLayer adds files as a layer, compressed with gzip, which every client reads.
func (l layout) addLayer(files []file) (layer, error) {
	var compressed bytes.Buffer
	plain := digest.Canonical.Digester()
	z := gzip.NewWriter(&compressed)
	if err := writeTar(io.MultiWriter(z, plain.Hash()), files); err != nil {
		return layer{}, err
	}
	if err := z.Close(); err != nil {
		return layer{}, err
	}
	d, err := l.add(ocispec.MediaTypeImageLayerGzip, compressed.Bytes())
	return layer{d, plain.Digest()}, err
}

// finish makes an image the layout's only one.
func (l layout) finish(image ocispec.Descriptor, name reference.NamedTagged) error {
	image.Annotations = map[string]string{annotationName: name.String(), ocispec.AnnotationRefName: name.Tag()}
	documents := map[string]any{
		ocispec.ImageLayoutFile: ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion},
		ocispec.ImageIndexFile: ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{image},
		},
	}
	for file, document := range documents {
		data, err := json.Marshal(document)
		if err != nil {
			return err
		}
		if err := l.write(file, data); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) write(name string, data []byte) error {
	path := l.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// path returns the path of a file whose name has slashes.
func (l layout) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

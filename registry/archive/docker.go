package archive

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// dockerManifestFile lists the images of a docker save:
// https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.2.md
const dockerManifestFile = "manifest.json"

// dockerImage is one element of it.
type dockerImage struct {
	Config   string       `json:"Config"`
	RepoTags list[string] `json:"RepoTags"`
	Layers   list[string] `json:"Layers"`
}

// readDocker reads the classic docker save. It has no manifests as registries
// know them: a config with the digests of the uncompressed layers, and these
// layers, often as links to one another.
func readDocker(r *reader) ([]Image, error) {
	data, err := r.document(dockerManifestFile)
	if err != nil {
		return nil, err
	}
	entries, err := parseDockerManifest(data)
	if err != nil {
		return nil, err
	}
	images := make([]Image, 0, len(entries))
	for _, e := range entries {
		img, err := r.dockerImage(e)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
}

// parseDockerManifest reads manifest.json and cleans the names in it.
func parseDockerManifest(data []byte) ([]dockerImage, error) {
	var entries list[dockerImage]
	if err := decode(dockerManifestFile, data, &entries); err != nil {
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		names := []*string{&e.Config}
		for j := range e.Layers {
			names = append(names, &e.Layers[j])
		}
		for _, name := range names {
			clean, err := cleanName(*name)
			if err != nil {
				return nil, regcred.Errorf(regcred.Invalid, "%s: image %d: file %.100q: %w", dockerManifestFile, i+1, *name, err)
			}
			*name = clean
		}
	}
	return entries, nil
}

func (r *reader) dockerImage(e dockerImage) (Image, error) {
	if err := r.count(len(e.Layers) + 1); err != nil {
		return Image{}, err
	}
	config, parsed, err := r.dockerConfig(e.Config)
	if err != nil {
		return Image{}, err
	}
	ids, err := parsed.diffIDs(e.Config, len(e.Layers))
	if err != nil {
		return Image{}, err
	}
	m := &Manifest{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Platform: parsed.platform.oci()},
		Config:     config,
		Layers:     make([]Blob, len(ids)),
	}
	for i, file := range e.Layers {
		if m.Layers[i], err = r.dockerLayer(file, ids[i]); err != nil {
			return Image{}, err
		}
	}
	return Image{Names: e.RepoTags, Root: m}, nil
}

// dockerConfig reads an image's config. Where its file is named after its
// digest, which is the image's id, the digest must be right.
func (r *reader) dockerConfig(file string) (Blob, imageConfig, error) {
	var c imageConfig
	data, err := r.document(file)
	if err != nil {
		return Blob{}, c, err
	}
	got := digest.FromBytes(data)
	name := strings.TrimPrefix(strings.TrimSuffix(path.Base(file), ".json"), "sha256:")
	if want := digest.NewDigestFromEncoded(digest.SHA256, name); want.Validate() == nil && got != want {
		return Blob{}, c, wrongDigest(file, got, want)
	}
	if err := decode(file, data, &c); err != nil {
		return Blob{}, c, err
	}
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: got, Size: int64(len(data))},
		file:       file,
		r:          r,
	}, c, nil
}

// dockerLayer describes a layer. Engines write plain tars; other tools keep the
// layer as the registry had it, compressed.
func (r *reader) dockerLayer(file string, diffID digest.Digest) (Blob, error) {
	b := Blob{DiffID: diffID, file: file, r: r}
	size, err := r.size(file)
	if err != nil {
		return b, err
	}
	comp, err := r.sniffFile(file)
	if err != nil {
		return b, err
	}
	b.Descriptor.Size = size
	switch comp {
	case gzipped:
		b.Descriptor.MediaType = ocispec.MediaTypeImageLayerGzip
	case zstded:
		b.Descriptor.MediaType = ocispec.MediaTypeImageLayerZstd
	default:
		b.Descriptor.MediaType, b.Descriptor.Digest = ocispec.MediaTypeImageLayer, diffID
	}
	return b, nil
}

// layerCompression is the reverse of dockerLayer's choice of a media type.
func layerCompression(mediaType string) (compression, error) {
	switch mediaType {
	case ocispec.MediaTypeImageLayer:
		return plain, nil
	case ocispec.MediaTypeImageLayerGzip:
		return gzipped, nil
	case ocispec.MediaTypeImageLayerZstd:
		return zstded, nil
	}
	return unknown, fmt.Errorf("layers of type %q have no known compression", mediaType)
}

package publish

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/dockerv1"
)

// RepositoryMask returns a mask of all layers that the tags of a repository lead to, at
// its owner's URL; src is a client of that registry.
//
// Errors: NotFound where there is no such repository; Unauthenticated and Denied where
// the registry refuses the caller; TooLarge beyond 100,000 layers; Unavailable, and the
// context's.
func RepositoryMask(ctx context.Context, src ociregistry.Interface, owner, repository string) (Mask, error) {
	l := lister{
		src: src, repo: repository, seen: make(map[digest.Digest]bool),
		layers: make(map[string]bool), unpacked: make(map[digest.Digest]ocispec.Descriptor),
	}
	for tag, err := range src.Tags(ctx, repository, "") {
		if err == nil {
			err = l.tag(ctx, tag)
		}
		if err != nil {
			return Mask{}, l.describe(ctx, err)
		}
	}
	return Mask{Owner: owner, Repository: repository, Layers: slices.Sorted(maps.Keys(l.layers)), Unpacked: l.unpacked}, nil
}

// lister collects the layers of a repository.
type lister struct {
	src      ociregistry.Interface
	repo     string
	seen     map[digest.Digest]bool // manifests
	layers   map[string]bool
	unpacked map[digest.Digest]ocispec.Descriptor
}

func (l *lister) tag(ctx context.Context, tag string) error {
	r, err := l.src.GetTag(ctx, l.repo, tag)
	if err != nil {
		return err
	}
	return l.manifest(ctx, r)
}

// repositoryManifest is a manifest or index, as far as a lister reads it.
type repositoryManifest struct {
	Config    ocispec.Descriptor   `json:"config"`
	Layers    []ocispec.Descriptor `json:"layers"`
	Manifests []ocispec.Descriptor `json:"manifests"`
}

// manifest collects the layers of a manifest, and of those that it lists.
func (l *lister) manifest(ctx context.Context, r ociregistry.BlobReader) error {
	d := r.Descriptor().Digest
	var m repositoryManifest
	if err := l.decode(r, &m); err != nil || l.seen[d] {
		return err
	}
	l.seen[d] = true
	for _, layer := range m.Layers {
		if l.layers[string(layer.Digest)] = true; len(l.layers) > maxMask {
			return regcred.Errorf(regcred.TooLarge, "%s has more than %d layers", l.repo, maxMask)
		}
	}
	if err := l.config(ctx, m); err != nil {
		return err
	}
	for _, child := range m.Manifests {
		r, err := l.src.GetManifest(ctx, l.repo, child.Digest)
		if isUnknown(err) {
			continue // of an index that is there in part
		}
		if err != nil {
			return err
		}
		if err := l.manifest(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// config learns from an image's config what its layers are unpacked.
func (l *lister) config(ctx context.Context, m repositoryManifest) error {
	if t := m.Config.MediaType; t != ocispec.MediaTypeImageConfig && t != dockerv1.MediaTypeConvertedConfig {
		return nil // an artifact or an index
	}
	r, err := l.src.GetBlob(ctx, l.repo, m.Config.Digest)
	if err != nil {
		return err
	}
	var config struct {
		RootFS ocispec.RootFS `json:"rootfs"`
	}
	if err := l.decode(r, &config); err != nil || len(config.RootFS.DiffIDs) != len(m.Layers) {
		return err // attestations have no diff ids
	}
	for i, id := range config.RootFS.DiffIDs {
		if t, ok := ociLayerTypes[m.Layers[i].MediaType]; ok {
			l.unpacked[id] = ocispec.Descriptor{MediaType: t, Digest: m.Layers[i].Digest, Size: m.Layers[i].Size}
		}
	}
	return nil
}

// ociLayerTypes are the media types of layers, as an OCI manifest names them.
var ociLayerTypes = map[string]string{
	ocispec.MediaTypeImageLayer:     ocispec.MediaTypeImageLayer,
	ocispec.MediaTypeImageLayerGzip: ocispec.MediaTypeImageLayerGzip,
	ocispec.MediaTypeImageLayerZstd: ocispec.MediaTypeImageLayerZstd,
	dockerv1.MediaTypeLayer:         ocispec.MediaTypeImageLayerGzip,
}

// decode reads a document, and closes it.
func (l *lister) decode(r ociregistry.BlobReader, v any) error {
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, archive.MaxDocument+1))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return regcred.Errorf(regcred.Invalid, "%s of %s is malformed: %w", r.Descriptor().Digest, l.repo, err)
	}
	return nil
}

// describe turns a failure into one that a user can act upon.
func (l *lister) describe(ctx context.Context, err error) error {
	is := func(known error, status int) bool { return errors.Is(err, known) || statusOf(err) == status }
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case regcred.CodeOf(err) != regcred.Internal:
		return err
	case isUnknown(err):
		return regcred.Errorf(regcred.NotFound, "the registry has no repository %s, whose layers are to be masked", l.repo)
	case is(ociregistry.ErrUnauthorized, http.StatusUnauthorized):
		return regcred.Errorf(regcred.Unauthenticated, "the registry asks for a login to list the layers of %s: log in to it ('docker login'), or name the layers yourself (--mask)", l.repo)
	case is(ociregistry.ErrDenied, http.StatusForbidden):
		return regcred.Errorf(regcred.Denied, "the registry does not allow this login to list the layers of %s: use another one ('docker login'), or name the layers yourself (--mask)", l.repo)
	}
	return regcred.Errorf(regcred.Unavailable, "listing the layers of %s, of the owner of masked ones, failed: %s", l.repo, printable(err))
}

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
)

// Layers returns the digests of all layers that the tags of a repository lead to,
// sorted: what a Mask names whose layers are those of another repository.
//
// Errors: NotFound where there is no such repository; Unauthenticated and Denied where
// the registry refuses the caller; TooLarge beyond 100,000 layers; Unavailable, and the
// context's.
func Layers(ctx context.Context, src ociregistry.Interface, repository string) ([]string, error) {
	l := lister{src: src, repo: repository, seen: make(map[digest.Digest]bool), layers: make(map[string]bool)}
	for tag, err := range src.Tags(ctx, repository, "") {
		if err == nil {
			err = l.tag(ctx, tag)
		}
		if err != nil {
			return nil, l.describe(ctx, err)
		}
	}
	return slices.Sorted(maps.Keys(l.layers)), nil
}

// lister collects the layers of a repository.
type lister struct {
	src    ociregistry.Interface
	repo   string
	seen   map[digest.Digest]bool // manifests
	layers map[string]bool
}

func (l *lister) tag(ctx context.Context, tag string) error {
	r, err := l.src.GetTag(ctx, l.repo, tag)
	if err != nil {
		return err
	}
	return l.read(ctx, r)
}

// read collects the layers of a manifest, and of those that it lists.
func (l *lister) read(ctx context.Context, r ociregistry.BlobReader) error {
	defer r.Close()
	d := r.Descriptor().Digest
	if l.seen[d] {
		return nil
	}
	l.seen[d] = true
	data, err := io.ReadAll(io.LimitReader(r, archive.MaxDocument+1))
	if err != nil {
		return err
	}
	var m struct {
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return regcred.Errorf(regcred.Invalid, "the manifest %s of %s is malformed: %w", d, l.repo, err)
	}
	for _, layer := range m.Layers {
		if l.layers[string(layer.Digest)] = true; len(l.layers) > maxMask {
			return regcred.Errorf(regcred.TooLarge, "%s has more than %d layers", l.repo, maxMask)
		}
	}
	for _, child := range m.Manifests {
		r, err := l.src.GetManifest(ctx, l.repo, child.Digest)
		if isUnknown(err) {
			continue // of an index that is there in part
		}
		if err != nil {
			return err
		}
		if err := l.read(ctx, r); err != nil {
			return err
		}
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
		return regcred.Errorf(regcred.Unauthenticated, "the registry asks for a login to list the layers of %s", l.repo)
	case is(ociregistry.ErrDenied, http.StatusForbidden):
		return regcred.Errorf(regcred.Denied, "the registry does not allow to list the layers of %s", l.repo)
	}
	return regcred.Errorf(regcred.Unavailable, "listing the layers of %s failed: %s", l.repo, printable(err))
}

package static

import (
	"bytes"
	"context"
	"log/slog"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// Options say how to write. The zero value is useful.
type Options struct {
	// SpoolDir keeps layers whose digest is not known before they are whole. Default:
	// os.TempDir.
	SpoolDir string
	// Log hears of what costs more than it should. Nil discards it.
	Log *slog.Logger
}

// Registry is a registry to publish to. It has what regcred.dev/registry/publish needs of
// a destination, and relies on being told of contents before the manifests that refer to
// them.
type Registry struct {
	objects Objects
	o       Options
}

// New returns the registry in objects, and makes its root where there is none.
// Errors: those of the objects.
func New(ctx context.Context, objects Objects, o Options) (*Registry, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{objects: objects, o: o}
	switch _, err := objects.Size(ctx, indexKey); {
	case err == nil:
		return r, nil
	case regcred.CodeOf(err) != regcred.NotFound:
		return nil, err
	}
	if err := objects.Put(ctx, rootKey, typeJSON, briefly, nil, registry.Condition{}); err != nil {
		return nil, err
	}
	// It comes last: where it is, all is.
	return r, objects.Put(ctx, indexKey, typeJSON, briefly, []byte("{}\n"), registry.Condition{})
}

// PushManifest stores a manifest by its digest, lists it with those that are about the
// same subject where it has one, and then points the tag to it. What it refers to has to
// be there.
// Errors: Invalid for what is no manifest of a kind that clients know, or a malformed
// name; TooLarge beyond registry.MaxSmall; those of the objects.
func (r *Registry) PushManifest(ctx context.Context, repo, tag string, contents []byte, mediaType string) (ociregistry.Descriptor, error) {
	desc := ociregistry.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(contents), Size: int64(len(contents))}
	if err := checkRepository(repo); err != nil {
		return desc, err
	}
	if tag != "" && !ociref.IsValidTag(tag) {
		return desc, regcred.Errorf(regcred.Invalid, "%.100q is no tag", tag)
	}
	if suffixOf(mediaType) == "" {
		return desc, regcred.Errorf(regcred.Invalid, "a static registry cannot have a manifest of the type %.100q: only those of OCI and of Docker's schema 2 are known", mediaType)
	}
	if err := r.putManifest(ctx, repo, desc, contents); err != nil {
		return desc, err
	}
	if err := r.refer(ctx, repo, desc, contents); err != nil {
		return desc, err
	}
	if tag == "" {
		return desc, nil
	}
	return desc, r.tag(ctx, repo, tag, desc, contents)
}

// putManifest stores a manifest by its digest, where it is not there.
func (r *Registry) putManifest(ctx context.Context, repo string, desc ociregistry.Descriptor, contents []byte) error {
	key := manifestKey(repo, desc.Digest.String())
	size, err := r.objects.Size(ctx, key)
	if err == nil && size == desc.Size || err != nil && regcred.CodeOf(err) != regcred.NotFound {
		return err
	}
	return r.objects.Put(ctx, key, desc.MediaType, forever, contents, registry.Condition{})
}

// tag points a tag to a manifest, and then lists it.
func (r *Registry) tag(ctx context.Context, repo, tag string, desc ociregistry.Descriptor, contents []byte) error {
	key := manifestKey(repo, tag)
	found, _, err := r.objects.Read(ctx, key)
	switch {
	case err == nil && bytes.Equal(found, contents):
		return r.list(ctx, repo, tag) // whoever wrote it may have been killed before
	case err != nil && regcred.CodeOf(err) != regcred.NotFound:
		return err
	}
	if err := r.objects.Put(ctx, key, desc.MediaType, briefly, contents, registry.Condition{}); err != nil {
		return err
	}
	return r.list(ctx, repo, tag)
}

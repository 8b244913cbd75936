package registry

import (
	"context"
	"fmt"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// PushManifest implements ociregistry.Interface.
//
// Errors: ErrNameInvalid; ErrManifestInvalid; ErrManifestBlobUnknown where the
// repository lacks something that the manifest needs; TooLarge over MaxSmall
// bytes.
func (s *Storage) PushManifest(ctx context.Context, repo, tag string, data []byte, mediaType string) (ociregistry.Descriptor, error) {
	if err := checkRepository(repo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if tag != "" {
		if err := checkTag(tag); err != nil {
			return ociregistry.Descriptor{}, err
		}
	}
	if len(data) > MaxSmall {
		return ociregistry.Descriptor{}, errManifestTooLarge
	}
	m, err := parseManifest(data, mediaType)
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	for _, d := range m.references() {
		if err := s.checkReference(ctx, repo, d); err != nil {
			return ociregistry.Descriptor{}, err
		}
	}
	desc := ociregistry.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return desc, s.storeManifest(ctx, repo, tag, data, m, desc)
}

var errManifestTooLarge = regcred.Errorf(regcred.TooLarge, "the manifest is larger than %d bytes, which is the most that is accepted", MaxSmall)

// storeManifest writes what PushManifest has checked, in the order of the layout.
func (s *Storage) storeManifest(ctx context.Context, repo, tag string, data []byte, m manifest, desc ociregistry.Descriptor) error {
	if err := s.putOnce(ctx, contentKey(desc.Digest), data); err != nil {
		return err
	}
	if err := s.putOnce(ctx, nameKey(repo), nil); err != nil {
		return err
	}
	// Pushed again under another media type, the newest holds.
	l := link{MediaType: desc.MediaType, Size: desc.Size}
	if err := s.putJSON(ctx, manifestKey(repo, desc.Digest), l, Condition{}); err != nil {
		return err
	}
	if m.Subject != nil {
		key := referrersPrefix(repo, m.Subject.Digest) + digestPath(desc.Digest)
		if err := s.putJSON(ctx, key, m.describe(desc.MediaType, desc.Digest, desc.Size), Condition{}); err != nil {
			return err
		}
	}
	if tag == "" {
		return nil
	}
	return s.putJSON(ctx, tagsPrefix(repo)+tag, desc, Condition{})
}

// checkReference reports whether the repository has what a manifest refers to,
// as it is described there. In an index, what is no manifest is a blob: some
// build caches are made so.
func (s *Storage) checkReference(ctx context.Context, repo string, d ociregistry.Descriptor) error {
	isManifest := isImage(d.MediaType) || isIndex(d.MediaType)
	resolve := s.ResolveBlob
	if isManifest {
		resolve = s.ResolveManifest
	}
	found, err := resolve(ctx, repo, d.Digest)
	if isUnknown(err) {
		return ociregistry.NewError(
			fmt.Sprintf("%s has no %s, which the manifest refers to: push that first", repo, d.Digest),
			ociregistry.ErrManifestBlobUnknown.Code(), nil)
	}
	if err != nil {
		return err
	}
	if found.Size != d.Size {
		return invalidManifest("%s has %d bytes, not %d", d.Digest, found.Size, d.Size)
	}
	if isManifest && found.MediaType != d.MediaType {
		return invalidManifest("%s is a %s, not a %s", d.Digest, found.MediaType, d.MediaType)
	}
	return nil
}

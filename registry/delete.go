package registry

import (
	"context"
	"fmt"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// DeleteBlob implements ociregistry.Interface: the repository no longer has the
// blob. Manifests that refer to it stay. Errors: ErrNameUnknown, ErrBlobUnknown.
func (s *Storage) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if _, err := s.ResolveBlob(ctx, repo, d); err != nil {
		return err
	}
	return s.blobs.Delete(ctx, blobKey(repo, d), Condition{})
}

// DeleteManifest implements ociregistry.Interface. The tags that point at the
// manifest go with it. Errors: ErrNameUnknown, ErrManifestUnknown.
func (s *Storage) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	desc, err := s.ResolveManifest(ctx, repo, d)
	if err != nil {
		return err
	}
	for tag, err := range s.Tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if err := s.untag(ctx, repo, tag, d); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	if err := s.dropReferrer(ctx, repo, desc); err != nil {
		return err
	}
	return s.blobs.Delete(ctx, manifestKey(repo, d), Condition{})
}

// untag removes a tag if it points at d. One that is moved meanwhile stays.
func (s *Storage) untag(ctx context.Context, repo, tag string, d digest.Digest) error {
	desc, version, err := s.readTag(ctx, repo, tag)
	if isUnknown(err) || err == nil && desc.Digest != d {
		return nil
	}
	if err != nil {
		return err
	}
	return ignore(regcred.Stale, s.blobs.Delete(ctx, tagsPrefix(repo)+tag, IfVersion(version)))
}

// dropReferrer removes a manifest from the referrers of its subject.
func (s *Storage) dropReferrer(ctx context.Context, repo string, desc ociregistry.Descriptor) error {
	data, _, err := s.blobs.Read(ctx, contentKey(desc.Digest))
	if err != nil {
		return ignore(regcred.NotFound, err)
	}
	if m, err := parseManifest(data, desc.MediaType); err == nil && m.Subject != nil {
		return s.blobs.Delete(ctx, referrersPrefix(repo, m.Subject.Digest)+digestPath(desc.Digest), Condition{})
	}
	return nil // nobody's referrer, or too damaged to tell whose
}

// DeleteTag implements ociregistry.Interface: the manifest stays. Errors:
// ErrNameUnknown, ErrManifestUnknown.
func (s *Storage) DeleteTag(ctx context.Context, repo, tag string) error {
	if _, _, err := s.readTag(ctx, repo, tag); err != nil && regcred.CodeOf(err) != regcred.Corrupt {
		return err
	}
	return s.blobs.Delete(ctx, tagsPrefix(repo)+tag, Condition{})
}

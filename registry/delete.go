package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// DeleteBlob implements ociregistry.Interface: the repository no longer has the
// blob. Manifests that refer to it stay. Errors: ErrNameUnknown, ErrBlobUnknown;
// Denied where an immutable tag needs it.
func (s *Storage) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if _, err := s.ResolveBlob(ctx, repo, d); err != nil {
		return err
	}
	if err := s.checkHeld(ctx, repo, d); err != nil {
		return err
	}
	return s.deleteLink(ctx, repo, blobKey(repo, d))
}

// DeleteManifest implements ociregistry.Interface. The tags that point at the
// manifest go with it. Errors: ErrNameUnknown, ErrManifestUnknown; Denied where an
// immutable tag needs it.
//
// What points at the manifest goes first, so that nothing points at nothing where
// this is interrupted. Then the link goes, and what pushes wrote meanwhile:
// storeManifest does its part. An immutable tag that was pushed meanwhile stays, and
// the manifest with it.
func (s *Storage) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	desc, err := s.ResolveManifest(ctx, repo, d)
	if err != nil {
		return err
	}
	if err := s.checkHeld(ctx, repo, d); err != nil {
		return err
	}
	if err := s.dropPointers(ctx, repo, desc, s.unlessImmutable(s.drop)); err != nil {
		return err
	}
	if err := s.deleteLink(ctx, repo, manifestKey(repo, d)); err != nil {
		return err
	}
	err = s.dropPointers(ctx, repo, desc, s.unlessImmutable(s.dropLost))
	if err != nil && regcred.CodeOf(err) == regcred.Denied {
		return errors.Join(err, s.undelete(ctx, repo, desc))
	}
	return err
}

// undelete makes a manifest one of the repository's again.
func (s *Storage) undelete(ctx context.Context, repo string, desc ociregistry.Descriptor) error {
	data, _, err := s.blobs.Read(ctx, contentKey(desc.Digest))
	if err != nil {
		return lost(repo, desc.Digest, err)
	}
	m, err := parseManifest(data, desc.MediaType)
	if err != nil {
		return err
	}
	return s.storeManifest(context.WithoutCancel(ctx), repo, nil, data, m, desc)
}

// unlessImmutable makes a dropFunc answer Denied for an immutable tag that points at
// the manifest.
func (s *Storage) unlessImmutable(drop dropFunc) dropFunc {
	return func(ctx context.Context, repo string, d digest.Digest, key string) error {
		tag, isTag := strings.CutPrefix(key, tagsPrefix(repo))
		if !isTag || !s.policy.For(repo).immutable(tag) {
			return drop(ctx, repo, d, key)
		}
		version, err := s.pointsAt(ctx, key, d)
		if version != "" && err == nil {
			err = errHeld(repo, tag, d)
		}
		return err
	}
}

// dropPointers lets drop remove the tags that point at a manifest, what makes it a
// referrer of its subject, and what images of v1 are served from.
func (s *Storage) dropPointers(ctx context.Context, repo string, desc ociregistry.Descriptor, drop dropFunc) error {
	for tag, err := range s.Tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if err := drop(ctx, repo, desc.Digest, tagsPrefix(repo)+tag); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	return s.dropEntries(ctx, repo, desc, drop)
}

// dropEntries is dropPointers but for the tags.
func (s *Storage) dropEntries(ctx context.Context, repo string, desc ociregistry.Descriptor, drop dropFunc) error {
	data, _, err := s.blobs.Read(ctx, contentKey(desc.Digest))
	if err != nil {
		return ignore(regcred.TooLarge, ignore(regcred.NotFound, err)) // lost or damaged
	}
	for _, key := range entryKeys(repo, data, desc) {
		if err := drop(ctx, repo, desc.Digest, key); err != nil {
			return err
		}
	}
	return nil
}

// entryKeys returns the keys under which a manifest is listed: as a referrer, and as
// what images of v1 are served from. One that is too damaged to tell has none.
func entryKeys(repo string, data []byte, desc ociregistry.Descriptor) []string {
	m, err := parseManifest(data, desc.MediaType)
	if err != nil {
		return nil
	}
	keys := v1Keys(repo, data, m, desc)
	if m.Subject != nil {
		keys = append(keys, referrersPrefix(repo, m.Subject.Digest)+digestPath(desc.Digest))
	}
	return keys
}

// dropFunc removes a pointer if it points at d.
type dropFunc func(ctx context.Context, repo string, d digest.Digest, key string) error

// drop is a dropFunc. A pointer that is written anew meanwhile stays.
func (s *Storage) drop(ctx context.Context, _ string, d digest.Digest, key string) error {
	version, err := s.pointsAt(ctx, key, d)
	if version == "" || err != nil {
		return err
	}
	return ignore(regcred.Stale, s.blobs.Delete(ctx, key, IfVersion(version)))
}

// dropLost is drop where the repository does not have the manifest. It looks for
// the manifest after the pointer: one that is written later is looked after by who
// writes it.
func (s *Storage) dropLost(ctx context.Context, repo string, d digest.Digest, key string) error {
	version, err := s.pointsAt(ctx, key, d)
	if version == "" || err != nil {
		return err
	}
	if ok, err := s.hasManifest(ctx, repo, d); ok || err != nil {
		return err
	}
	return ignore(regcred.Stale, s.blobs.Delete(ctx, key, IfVersion(version)))
}

// pointsAt returns the version of a pointer if it points at d, else "".
func (s *Storage) pointsAt(ctx context.Context, key string, d digest.Digest) (version string, err error) {
	var p pointer
	version, err = s.readJSON(ctx, key, &p)
	if err != nil || p.Digest != d {
		return "", ignore(regcred.NotFound, err)
	}
	return version, nil
}

// DeleteTag implements ociregistry.Interface: the manifest stays. Errors:
// ErrNameUnknown, ErrManifestUnknown; Denied where the tag is immutable.
func (s *Storage) DeleteTag(ctx context.Context, repo, tag string) error {
	if _, err := s.ResolveTag(ctx, repo, tag); err != nil && regcred.CodeOf(err) != regcred.Corrupt {
		return err
	}
	if s.policy.For(repo).immutable(tag) {
		return errImmutable(repo, tag)
	}
	for range tagTries {
		old, condition, err := s.findTag(ctx, repo, tag)
		if err != nil || condition.Absent() {
			return err
		}
		if err := s.dropTag(ctx, repo, tag, old, condition); !raced(err) {
			return err
		}
	}
	return errTagContended(repo, tag)
}

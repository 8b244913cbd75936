package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// A manifest of many small things takes ten times its size in memory. So those that are
// larger than images and indexes are wait until there is room for them.
const (
	largeManifest = 128 << 10 // bytes
	largeAtOnce   = 4 * MaxSmall
)

// PushManifest implements ociregistry.Interface. Errors: those of PushManifestAs.
func (s *Storage) PushManifest(ctx context.Context, repo, tag string, data []byte, mediaType string) (ociregistry.Descriptor, error) {
	var tags []string
	if tag != "" {
		tags = []string{tag}
	}
	return s.PushManifestAs(ctx, repo, digest.FromBytes(data), tags, data, mediaType)
}

// PushManifestAs stores a manifest under its digest, which may be of any algorithm
// that the registry knows, and points the tags at it, one after the other: after
// an error some of them may.
//
// Errors: ErrNameInvalid; ErrDigestInvalid where the manifest has another digest;
// ErrManifestInvalid; ErrManifestBlobUnknown where the repository lacks something
// that the manifest needs; TooLarge over MaxSmall bytes; Denied where a tag is
// immutable and points at another manifest.
func (s *Storage) PushManifestAs(ctx context.Context, repo string, d digest.Digest, tags []string, data []byte, mediaType string) (ociregistry.Descriptor, error) {
	none := ociregistry.Descriptor{}
	if err := checkRepository(repo); err != nil {
		return none, err
	}
	for _, tag := range tags {
		if err := checkTag(tag); err != nil {
			return none, err
		}
	}
	if len(data) > MaxSmall {
		return none, errManifestTooLarge
	}
	if err := checkDigest(d); err != nil {
		return none, err
	}
	if d != d.Algorithm().FromBytes(data) {
		return none, ociregistry.ErrDigestInvalid
	}
	size := int64(len(data))
	if size > largeManifest {
		if err := s.large.Acquire(ctx, size); err != nil {
			return none, err
		}
		defer s.large.Release(size)
	}
	m, err := parseManifest(data, mediaType)
	if err != nil {
		return none, err
	}
	for _, tag := range tags {
		if err := s.checkMove(ctx, repo, tag, d); err != nil {
			return none, err
		}
	}
	for _, d := range m.references() {
		if err := s.checkReference(ctx, repo, d); err != nil {
			return none, err
		}
	}
	desc := ociregistry.Descriptor{MediaType: mediaType, Digest: d, Size: size}
	return desc, s.storeManifest(ctx, repo, tags, data, m, desc)
}

var errManifestTooLarge = regcred.Errorf(regcred.TooLarge, "the manifest is larger than %d bytes, which is the most that is accepted", MaxSmall)

// pushTries bounds how often a push that a deletion undoes begins again.
const pushTries = 10

// storeManifest writes what PushManifest has checked, in the order of the layout.
//
// A deletion of the same manifest may go on meanwhile, in another process too.
// It removes the link and then what points at the manifest; here the link is
// looked at once more after all is written. So one of the two sees the other, and
// what was acknowledged never points at nothing.
func (s *Storage) storeManifest(ctx context.Context, repo string, tags []string, data []byte, m manifest, desc ociregistry.Descriptor) error {
	if m.Subject != nil { // checked before the first write
		if _, err := encodePointer(m.describe(desc.MediaType, desc.Digest, desc.Size)); err != nil {
			return err
		}
	}
	for range pushTries {
		if err := s.linkManifest(ctx, repo, data, desc); err != nil {
			return err
		}
		if err := s.pointAt(ctx, repo, tags, data, m, desc); err != nil {
			return err
		}
		if ok, err := s.hasManifest(ctx, repo, desc.Digest); ok || err != nil {
			return err
		}
	}
	if err := s.dropPointers(ctx, repo, desc, s.dropLost); err != nil {
		return err
	}
	return regcred.Errorf(regcred.Unavailable, "manifest %s of %s is being deleted: push it again", desc.Digest, repo)
}

// linkManifest stores a manifest and makes it one of the repository's. Pushed again
// under another media type, the newest holds.
func (s *Storage) linkManifest(ctx context.Context, repo string, data []byte, desc ociregistry.Descriptor) error {
	key, l := manifestKey(repo, desc.Digest), link{MediaType: desc.MediaType, Size: desc.Size}
	if err := s.admitLink(ctx, repo, key, l); err != nil {
		return err
	}
	if err := s.reprieve(ctx, desc.Digest); err != nil {
		return err
	}
	if err := s.putSame(ctx, contentKey(desc.Digest), data); err != nil {
		return err
	}
	if err := s.linkContent(ctx, repo, key, l, desc.Digest); err != nil {
		return err
	}
	return s.putName(ctx, repo)
}

// pointAt makes a manifest a referrer of its subject and what images of v1 are
// served from, then what the tags point at.
func (s *Storage) pointAt(ctx context.Context, repo string, tags []string, data []byte, m manifest, desc ociregistry.Descriptor) error {
	if m.Subject != nil {
		key := referrersPrefix(repo, m.Subject.Digest) + digestPath(desc.Digest)
		if err := s.putPointer(ctx, key, m.describe(desc.MediaType, desc.Digest, desc.Size)); err != nil {
			return err
		}
	}
	if err := s.indexV1(ctx, repo, data, m, desc); err != nil {
		return err
	}
	for _, tag := range tags {
		if err := s.moveTag(ctx, repo, tag, desc); err != nil {
			return err
		}
	}
	return nil
}

// pointer is what points at a manifest: a tag, or an entry in a list of referrers.
type pointer struct {
	ociregistry.Descriptor
	// At is when it was written; zero in those of older versions.
	At time.Time `json:"at,omitzero"`
	// Write is another one in every write. The version of an object is made of its
	// content: without it, a deletion could not tell a pointer that it found from
	// the same one written anew.
	Write string `json:"write"`
}

// encodePointer returns a pointer at a manifest. Errors: TooLarge.
func encodePointer(desc ociregistry.Descriptor) ([]byte, error) {
	data, err := encodeJSON(pointer{desc, time.Now().UTC(), rand.Text()})
	if err == nil && len(data) > MaxSmall {
		err = regcred.Errorf(regcred.TooLarge, "the annotations of the manifest take more than %d bytes in the list of referrers: shorten them", MaxSmall)
	}
	return data, err
}

func (s *Storage) putPointer(ctx context.Context, key string, desc ociregistry.Descriptor) error {
	data, err := encodePointer(desc)
	if err != nil {
		return err
	}
	return s.blobs.Put(ctx, key, data, Condition{})
}

// hasManifest reports whether the repository has a link to a manifest.
func (s *Storage) hasManifest(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	_, err := s.blobs.Stat(ctx, manifestKey(repo, d))
	return err == nil, ignore(regcred.NotFound, err)
}

// checkReference reports whether the repository has what a manifest refers to,
// as it is described there. In an index, what is no manifest is a blob: some
// build caches are made so.
func (s *Storage) checkReference(ctx context.Context, repo string, d ociregistry.Descriptor) error {
	isManifest := isImage(d.MediaType) || isIndex(d.MediaType)
	key, unknown := blobKey, error(ociregistry.ErrBlobUnknown)
	if isManifest {
		key, unknown = manifestKey, ociregistry.ErrManifestUnknown
	}
	found, err := s.rely(ctx, repo, d.Digest, key, unknown)
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

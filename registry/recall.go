package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// What the Server looks up for each pull, from the cache. The requests are parsed,
// so that repositories, tags and digests are of valid form.

// recallBlob is FindBlob.
func (s *Storage) recallBlob(ctx context.Context, repo string, d digest.Digest) (Blob, error) {
	l, err := recall(ctx, s.cache, blobKey(repo, d), parseJSON[link])
	if err != nil {
		return Blob{}, s.unknownIfMissing(ctx, repo, err, ociregistry.ErrBlobUnknown)
	}
	return l.blob(d), nil
}

// recallTag is ResolveTag.
func (s *Storage) recallTag(ctx context.Context, repo, tag string) (ociregistry.Descriptor, error) {
	desc, err := recall(ctx, s.cache, tagsPrefix(repo)+tag, parseJSON[ociregistry.Descriptor])
	if err != nil {
		return desc, s.unknownIfMissing(ctx, repo, err, ociregistry.ErrManifestUnknown)
	}
	if err := checkDigest(desc.Digest); err != nil {
		return desc, damagedTag(repo, tag)
	}
	return desc, nil
}

// recallManifest is GetManifest.
func (s *Storage) recallManifest(ctx context.Context, repo string, d digest.Digest) (ociregistry.Descriptor, []byte, error) {
	l, err := recall(ctx, s.cache, manifestKey(repo, d), parseJSON[link])
	if err != nil {
		return ociregistry.Descriptor{}, nil, s.unknownIfMissing(ctx, repo, err, ociregistry.ErrManifestUnknown)
	}
	verify := func(_ string, data []byte) ([]byte, error) { return data, verifyManifest(repo, d, data) }
	data, err := recallFixed(ctx, s.cache, contentKey(d), verify)
	if err != nil {
		return ociregistry.Descriptor{}, nil, lost(repo, d, err)
	}
	return l.describe(d), data, nil
}

// locate returns a URL of a blob's content, signed for GET: the one that it returned
// last, for an eighth of its lifetime.
func (s *Storage) locate(ctx context.Context, d digest.Digest, lifetime time.Duration) (string, error) {
	key := contentKey(d)
	found, writes := s.cache.look(locatedPrefix + key)
	now := time.Now()
	if found != nil && now.Sub(found.at) < lifetime/8 {
		return found.value.(string), nil
	}
	u, err := s.locator.Locate(ctx, key, http.MethodGet, lifetime)
	if err != nil {
		return "", err
	}
	located := u.String()
	s.cache.remember(&remembered{key: locatedPrefix + key, value: located, size: int64(len(located)) + rememberedSize, at: now}, writes)
	return located, nil
}

// locatedPrefix is what the keys of URLs begin with in the cache; no object's does.
const locatedPrefix = "GET "

// unknownIfMissing turns NotFound into ErrNameUnknown where the repository does not
// exist, and into unknown where it does.
func (s *Storage) unknownIfMissing(ctx context.Context, repo string, err, unknown error) error {
	if regcred.CodeOf(err) == regcred.NotFound {
		return s.unknown(ctx, repo, unknown)
	}
	return err
}

func parseJSON[T any](key string, data []byte) (v T, err error) {
	if err := json.Unmarshal(data, &v); err != nil {
		return v, regcred.Errorf(regcred.Corrupt, "the stored object %s is damaged: %w", key, err)
	}
	return v, nil
}

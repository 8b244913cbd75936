package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
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

// heldTag is what a tag points at.
type heldTag struct {
	digest digest.Digest // of valid form, or else ""
	link   string        // the key of the manifest's link
}

func parseTag(key string, data []byte) (*heldTag, error) {
	desc, err := parseJSON[ociregistry.Descriptor](key, data)
	if err != nil {
		return nil, err
	}
	if !isDigest(desc.Digest) {
		return new(heldTag), nil
	}
	repository := key[:strings.LastIndex(key, tagsDirectory)]
	return &heldTag{desc.Digest, repository + manifestsDirectory + digestPath(desc.Digest)}, nil
}

// heldManifest is what a repository has of a manifest.
type heldManifest struct {
	ociregistry.Descriptor
	content string      // its key
	header  http.Header // of answers that send it, but for the length: it is never changed
}

func parseManifestLink(key string, data []byte) (*heldManifest, error) {
	l, err := parseJSON[link](key, data)
	if err != nil {
		return nil, err
	}
	_, d, _ := parseLinkKey(key)
	m := &heldManifest{Descriptor: l.describe(d), content: contentKey(d), header: http.Header{}}
	describeContent(m.header, m.Descriptor)
	return m, nil
}

// manifestContent is the content of a manifest.
type manifestContent struct {
	data   []byte
	length []string // as the header of answers has it; it is never changed
	// mediaType is what it says itself, "" where it does not.
	mediaType string
}

// recallContent reads the content of a manifest by its key.
func (s *Storage) recallContent(ctx context.Context, repo string, d digest.Digest, key string) (*manifestContent, error) {
	verify := func(_ string, data []byte) (*manifestContent, error) {
		return &manifestContent{data, []string{strconv.Itoa(len(data))}, mediaTypeOf("", data)}, verifyManifest(repo, d, data)
	}
	c, err := recallFixed(ctx, s.cache, key, verify)
	if err != nil {
		return nil, lost(repo, d, err)
	}
	return c, nil
}

// recallManifest is GetManifest.
func (s *Storage) recallManifest(ctx context.Context, repo string, d digest.Digest) (*heldManifest, *manifestContent, error) {
	m, err := recall(ctx, s.cache, manifestKey(repo, d), parseManifestLink)
	if err != nil {
		return nil, nil, s.unknownIfMissing(ctx, repo, err, ociregistry.ErrManifestUnknown)
	}
	c, err := s.recallContent(ctx, repo, d, m.content)
	return m, c, err
}

// recallTag is ResolveTag.
func (s *Storage) recallTag(ctx context.Context, repo, tag string) (*heldTag, error) {
	t, err := recall(ctx, s.cache, tagsPrefix(repo)+tag, parseTag)
	if err != nil {
		return nil, s.unknownIfMissing(ctx, repo, err, ociregistry.ErrManifestUnknown)
	}
	if t.digest == "" {
		return nil, damagedTag(repo, tag)
	}
	return t, nil
}

// recallTagged is recallManifest for a tag that was just looked at. A tag that is there
// points at a manifest that is there, since deletions remove the tag first: a link that
// is remembered is not looked at again, where all that it says follows from the content.
func (s *Storage) recallTagged(ctx context.Context, repo string, t *heldTag) (*heldManifest, *manifestContent, error) {
	if found, _ := s.cache.look(t.link); found != nil {
		m := found.value.(*heldManifest)
		c, err := s.recallContent(ctx, repo, t.digest, m.content)
		if err == nil && c.mediaType == m.MediaType && int64(len(c.data)) == m.Size {
			return m, c, nil
		}
	}
	return s.recallManifest(ctx, repo, t.digest)
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

package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/semaphore"

	"regcred.dev"
)

var _ ociregistry.Interface = (*Storage)(nil)

// mediaTypeBlob is the media type of every blob: only the manifests that refer to
// it know better.
const mediaTypeBlob = "application/octet-stream"

// Storage is a registry over Blobs. It implements ociregistry.Interface, whose
// methods name their errors; besides, all may return regcred errors of the Blobs.
//
// It asks nobody for permission: Server does.
type Storage struct {
	*ociregistry.Funcs // for the interface's unexported method; every other one is here
	blobs              Blobs
	cache              *cache  // the same Blobs
	locator            Locator // nil where the Blobs are none
	policy             Policy
	hashes             hashes
	unfinished         *unfinished
	large              *semaphore.Weighted // bytes of large manifests that are pushed
	statistics         statistics
	repositoryMetrics  *repositoryMetrics
	patience, takeover time.Duration // the constants, but in tests
}

// StorageOptions configure a Storage. The zero value is useful.
type StorageOptions struct {
	// Policy says whose repositories are, and how they are kept.
	Policy Policy
	// CacheSize bounds the memory for manifests, tags and links that are pulled
	// often, in bytes. 0 means DefaultCacheSize; less than that is none.
	CacheSize int64
	// MaxAge is for how long a Server may go on with a tag or link as it was, after
	// another process changed or removed it. 0 means DefaultMaxAge; less than that is
	// not at all. A change by this process, or in Blobs that are a Stamper, is seen at
	// once in any case.
	MaxAge time.Duration
	// Uploads bounds the uploads that clients of a Server begin and do not end.
	Uploads UploadLimits
}

// The defaults of StorageOptions.
const (
	DefaultCacheSize = 32 << 20
	DefaultMaxAge    = 2 * time.Second
)

// NewStorage returns the registry that is kept in blobs.
func NewStorage(blobs Blobs, o StorageOptions) *Storage {
	c := newCache(blobs, cmp.Or(o.CacheSize, DefaultCacheSize), cmp.Or(o.MaxAge, DefaultMaxAge))
	s := &Storage{
		blobs: c, cache: c, policy: o.Policy, patience: patience, takeover: takeover,
		unfinished: newUnfinished(o.Uploads), large: semaphore.NewWeighted(largeAtOnce), repositoryMetrics: newRepositoryMetrics(),
	}
	s.locator, _ = blobs.(Locator)
	return s
}

// GetBlob implements ociregistry.Interface.
func (s *Storage) GetBlob(ctx context.Context, repo string, d digest.Digest) (ociregistry.BlobReader, error) {
	return s.GetBlobRange(ctx, repo, d, 0, -1)
}

// GetBlobRange implements ociregistry.Interface. A range that begins after the
// end is ErrRangeInvalid.
func (s *Storage) GetBlobRange(ctx context.Context, repo string, d digest.Digest, from, to int64) (ociregistry.BlobReader, error) {
	b, err := s.FindBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	object, err := s.openBlob(ctx, repo, b)
	if err != nil {
		return nil, err
	}
	if to < 0 || to > b.Size {
		to = b.Size
	}
	if from < 0 || from > to {
		_ = object.Close()
		return nil, ociregistry.ErrRangeInvalid
	}
	if _, err := object.Seek(from, io.SeekStart); err != nil {
		_ = object.Close()
		return nil, err
	}
	return &reader{Reader: io.LimitReader(object, to-from), Closer: object, desc: b.Descriptor}, nil
}

// openBlob opens a blob that the repository has. Errors: Corrupt where the content
// is lost or of another size; Unavailable where its owner hosts it.
func (s *Storage) openBlob(ctx context.Context, repo string, b Blob) (Object, error) {
	if b.URL != "" {
		return Object{}, regcred.Errorf(regcred.Unavailable, "the content of %s in %s is at its owner's: get it from %s", b.Digest, repo, b.URL)
	}
	object, err := s.blobs.Get(ctx, contentKey(b.Digest))
	if err != nil {
		return Object{}, lost(repo, b.Digest, err)
	}
	if object.Info.Size != b.Size {
		_ = object.Close()
		return Object{}, regcred.Errorf(regcred.Corrupt,
			"the stored content of %s in %s has %d bytes, not %d: push it again", b.Digest, repo, object.Info.Size, b.Size)
	}
	return object, nil
}

// GetManifest implements ociregistry.Interface. It checks the digest: a manifest
// that changed on its medium is Corrupt.
func (s *Storage) GetManifest(ctx context.Context, repo string, d digest.Digest) (ociregistry.BlobReader, error) {
	desc, err := s.ResolveManifest(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	data, _, err := s.blobs.Read(ctx, contentKey(d))
	if err != nil {
		return nil, lost(repo, d, err)
	}
	if err := verifyManifest(repo, d, data); err != nil {
		return nil, err
	}
	return &reader{Reader: bytes.NewReader(data), Closer: io.NopCloser(nil), desc: desc}, nil
}

func verifyManifest(repo string, d digest.Digest, data []byte) error {
	if d.Algorithm().FromBytes(data) != d {
		return regcred.Errorf(regcred.Corrupt, "the stored content of manifest %s of %s has another digest: push it again", d, repo)
	}
	return nil
}

// GetTag implements ociregistry.Interface.
func (s *Storage) GetTag(ctx context.Context, repo, tag string) (ociregistry.BlobReader, error) {
	desc, err := s.ResolveTag(ctx, repo, tag)
	if err != nil {
		return nil, err
	}
	return s.GetManifest(ctx, repo, desc.Digest)
}

// ResolveBlob implements ociregistry.Interface.
func (s *Storage) ResolveBlob(ctx context.Context, repo string, d digest.Digest) (ociregistry.Descriptor, error) {
	return s.resolve(ctx, repo, d, blobKey, ociregistry.ErrBlobUnknown)
}

// ResolveManifest implements ociregistry.Interface.
func (s *Storage) ResolveManifest(ctx context.Context, repo string, d digest.Digest) (ociregistry.Descriptor, error) {
	return s.resolve(ctx, repo, d, manifestKey, ociregistry.ErrManifestUnknown)
}

// ResolveTag implements ociregistry.Interface.
func (s *Storage) ResolveTag(ctx context.Context, repo, tag string) (ociregistry.Descriptor, error) {
	none := ociregistry.Descriptor{}
	if err := checkRepository(repo); err != nil {
		return none, err
	}
	if checkTag(tag) != nil { // there can be none
		return none, s.unknown(ctx, repo, ociregistry.ErrManifestUnknown)
	}
	var desc ociregistry.Descriptor
	_, err := s.readJSON(ctx, tagsPrefix(repo)+tag, &desc)
	if regcred.CodeOf(err) == regcred.NotFound {
		err = s.unknown(ctx, repo, ociregistry.ErrManifestUnknown)
	}
	if err != nil {
		return none, err
	}
	if err := checkDigest(desc.Digest); err != nil {
		return none, damagedTag(repo, tag)
	}
	return desc, nil
}

func damagedTag(repo, tag string) error {
	return regcred.Errorf(regcred.Corrupt, "the stored tag %s:%s is damaged: push it again", repo, tag)
}

// resolve describes what the repository has under a key, else returns unknown.
func (s *Storage) resolve(ctx context.Context, repo string, d digest.Digest, key func(string, digest.Digest) string, unknown error) (ociregistry.Descriptor, error) {
	l, err := s.readLink(ctx, repo, d, key, unknown)
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	return l.describe(d), nil
}

// readLink reads what the repository has under a key, else returns unknown.
func (s *Storage) readLink(ctx context.Context, repo string, d digest.Digest, key func(string, digest.Digest) string, unknown error) (l link, err error) {
	if err := checkRepository(repo); err != nil {
		return l, err
	}
	if err := checkDigest(d); err != nil {
		return l, err
	}
	_, err = s.readJSON(ctx, key(repo, d), &l)
	if regcred.CodeOf(err) == regcred.NotFound {
		err = s.unknown(ctx, repo, unknown)
	}
	return l, err
}

// unknown returns ErrNameUnknown where the repository does not exist, else the
// error that is given.
func (s *Storage) unknown(ctx context.Context, repo string, otherwise error) error {
	_, err := s.blobs.Stat(ctx, nameKey(repo))
	switch {
	case err == nil:
		return otherwise
	case regcred.CodeOf(err) == regcred.NotFound:
		return ociregistry.ErrNameUnknown
	}
	return err
}

// lost is the error where a link is there and the content it is for is not, or
// for a manifest is larger than any can be.
func lost(repo string, d digest.Digest, err error) error {
	switch regcred.CodeOf(err) {
	case regcred.NotFound:
		return regcred.Errorf(regcred.Corrupt, "the content of %s in %s is lost: push it again", d, repo)
	case regcred.TooLarge:
		return regcred.Errorf(regcred.Corrupt, "the stored content of %s in %s is too large: push it again", d, repo)
	}
	return err
}

func (s *Storage) readJSON(ctx context.Context, key string, v any) (version string, err error) {
	data, version, err := s.blobs.Read(ctx, key)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return "", regcred.Errorf(regcred.Corrupt, "the stored object %s is damaged: %w", key, err)
	}
	return version, nil
}

func (s *Storage) putJSON(ctx context.Context, key string, v any) error {
	data, err := encodeJSON(v)
	if err != nil {
		return fmt.Errorf("object %s: %w", key, err)
	}
	return s.blobs.Put(ctx, key, data, Condition{})
}

// putSame stores a small object that is the same whoever stores it. One that is
// there is left alone, unless it is damaged: then it is replaced.
func (s *Storage) putSame(ctx context.Context, key string, data []byte) error {
	err := s.blobs.Put(ctx, key, data, IfAbsent)
	if err == nil || regcred.CodeOf(err) != regcred.Exists {
		return err
	}
	found, _, err := s.blobs.Read(ctx, key)
	if err == nil && bytes.Equal(found, data) {
		return nil
	}
	if err != nil && regcred.CodeOf(err) != regcred.TooLarge && regcred.CodeOf(err) != regcred.NotFound {
		return err
	}
	return s.blobs.Put(ctx, key, data, Condition{})
}

// encodeJSON is json.Marshal without its escapes for HTML, which would make
// annotations up to six times as long.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// ignore turns an error with the code into none.
func ignore(code regcred.Code, err error) error {
	if err != nil && regcred.CodeOf(err) == code {
		return nil
	}
	return err
}

// reader is an ociregistry.BlobReader.
type reader struct {
	io.Reader
	io.Closer
	desc ociregistry.Descriptor
}

// Descriptor implements ociregistry.BlobReader.
func (r *reader) Descriptor() ociregistry.Descriptor { return r.desc }

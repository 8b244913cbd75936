package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// chunkSize is the least size in bytes of the chunks that clients are asked for
// (OCI-Chunk-Min-Length). Clients hold a whole chunk in memory, and may well send
// larger ones: so it is small.
const chunkSize = 64 << 10

// PushBlob implements ociregistry.Interface. A negative size means that it is not
// known.
func (s *Storage) PushBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, r io.Reader) (ociregistry.Descriptor, error) {
	if err := checkDigest(desc.Digest); err != nil {
		return ociregistry.Descriptor{}, err
	}
	w, err := s.createUpload(ctx, repo, desc.Digest.Algorithm())
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	defer func() { _ = w.Cancel() }() // nothing, once it is committed
	if desc.Size >= 0 {
		r = io.LimitReader(r, desc.Size+1) // one more is enough to know
	}
	if _, err := io.Copy(w, r); err != nil {
		return ociregistry.Descriptor{}, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	if desc.Size >= 0 && w.Size() != desc.Size {
		return ociregistry.Descriptor{}, ociregistry.ErrSizeInvalid
	}
	return w.Commit(desc.Digest)
}

// PushBlobChunked implements ociregistry.Interface.
func (s *Storage) PushBlobChunked(ctx context.Context, repo string, _ int) (ociregistry.BlobWriter, error) {
	return s.createUpload(ctx, repo, digest.SHA256)
}

// createUpload begins an upload of content whose digest will be of an algorithm.
// One of another has to be read again in the end.
func (s *Storage) createUpload(ctx context.Context, repo string, algorithm digest.Algorithm) (*blobWriter, error) {
	w := s.newUpload(ctx, repo, algorithm)
	if err := w.create(); err != nil {
		return nil, err
	}
	return w, nil
}

// newUpload returns an upload that is yet to be created.
func (s *Storage) newUpload(ctx context.Context, repo string, algorithm digest.Algorithm) *blobWriter {
	return &blobWriter{
		ctx: ctx, s: s, repo: repo, id: rand.Text(), most: s.most(repo),
		start: -1, hash: algorithm.Hash(), algorithm: algorithm,
	}
}

// create creates the upload in the Blobs.
func (w *blobWriter) create() (err error) {
	if err := checkRepository(w.repo); err != nil {
		return err
	}
	w.up, err = w.s.blobs.CreateUpload(w.ctx, w.key())
	return err
}

// PushBlobChunkedResume implements ociregistry.Interface. An upload is known in
// the repository alone that it was begun in; it outlives a restart.
// Errors: ErrBlobUploadUnknown; Stale where another request is writing to it.
// The first Write is ErrRangeInvalid where the offset is not what was written.
func (s *Storage) PushBlobChunkedResume(ctx context.Context, repo, id string, offset int64, _ int) (ociregistry.BlobWriter, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	if CheckUploadID(uploadID(repo, id)) != nil {
		return nil, ociregistry.ErrBlobUploadUnknown
	}
	up, err := s.blobs.OpenUpload(ctx, uploadID(repo, id))
	if regcred.CodeOf(err) == regcred.NotFound && err != nil {
		return nil, ociregistry.ErrBlobUploadUnknown
	}
	if err != nil {
		return nil, err
	}
	kept := s.hashes.take(id, up.Size())
	return &blobWriter{
		ctx: ctx, s: s, repo: repo, id: id, up: up, most: s.most(repo),
		start: offset, hash: kept.hash, algorithm: kept.algorithm,
	}, nil
}

// uploadID returns the id in the Blobs of an upload of a repository: its own id,
// and a hash of the repository's name, which has a fixed length.
func uploadID(repo, id string) string {
	sum := sha256.Sum256([]byte(repo))
	return id + "-" + hex.EncodeToString(sum[:8])
}

// blobWriter implements ociregistry.BlobWriter.
type blobWriter struct {
	ctx  context.Context // the interface says that it lives as long as the writer
	s    *Storage
	repo string
	id   string
	up   Upload
	// most is how many bytes the upload may have, by the repository's quotas.
	most int64
	// start is where the caller wants to go on, until the first Write; -1 is where
	// the upload ends.
	start int64
	// hash is that of what was written, by the algorithm, nil where it is not known.
	hash      hash.Hash
	algorithm digest.Algorithm
	done      bool
}

func (w *blobWriter) ID() string     { return w.id }
func (w *blobWriter) Size() int64    { return w.up.Size() }
func (w *blobWriter) ChunkSize() int { return chunkSize }

// key is the upload's id in the Blobs.
func (w *blobWriter) key() string { return uploadID(w.repo, w.id) }

func (w *blobWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if w.start >= 0 && w.start != w.up.Size() {
		return 0, ociregistry.NewError(
			fmt.Sprintf("the upload has %d bytes, go on there and not at %d", w.up.Size(), w.start),
			ociregistry.ErrRangeInvalid.Code(), nil)
	}
	w.start = -1
	if int64(len(p)) > w.most-w.up.Size() {
		return 0, errors.Join(w.s.overMost(w.repo), w.Cancel())
	}
	n, err := w.up.Write(p)
	if w.hash != nil {
		w.hash.Write(p[:n])
	}
	return n, err
}

// Commit implements ociregistry.BlobWriter. Content of another digest, or over the
// quota, is discarded with the upload.
func (w *blobWriter) Commit(d digest.Digest) (ociregistry.Descriptor, error) {
	if err := checkDigest(d); err != nil {
		return ociregistry.Descriptor{}, err
	}
	found, err := w.digest(d.Algorithm())
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	if found != d {
		err := ociregistry.NewError(fmt.Sprintf("the content has digest %s, not %s", found, d), ociregistry.ErrDigestInvalid.Code(), nil)
		return ociregistry.Descriptor{}, errors.Join(err, w.Cancel())
	}
	desc := ociregistry.Descriptor{MediaType: mediaTypeBlob, Digest: d, Size: w.Size()}
	if err := w.store(desc); err != nil {
		if regcred.CodeOf(err) == regcred.Denied { // nobody goes on with it
			err = errors.Join(err, w.Cancel())
		}
		return ociregistry.Descriptor{}, err
	}
	w.done = true
	w.s.unfinished.end(w.key())
	return desc, nil
}

// store puts the content into its place, where it is not there yet or of another
// size and so damaged, and links the repository to it.
func (w *blobWriter) store(desc ociregistry.Descriptor) error {
	if err := w.s.admitLink(w.ctx, w.repo, blobKey(w.repo, desc.Digest), link{Size: desc.Size}); err != nil {
		return err
	}
	if err := w.s.reprieve(w.ctx, desc.Digest); err != nil {
		return err
	}
	info, err := w.s.blobs.Stat(w.ctx, contentKey(desc.Digest))
	switch {
	case err == nil && info.Size == desc.Size:
		err = w.up.Cancel()
	case err == nil, regcred.CodeOf(err) == regcred.NotFound:
		err = w.up.Commit(w.ctx, contentKey(desc.Digest))
	}
	if err != nil {
		return err
	}
	return w.s.linkBlob(w.ctx, w.repo, desc)
}

// digest returns the digest of what was written.
func (w *blobWriter) digest(algorithm digest.Algorithm) (digest.Digest, error) {
	if algorithm == w.algorithm && w.hash != nil {
		return digest.NewDigest(algorithm, w.hash), nil
	}
	content, err := w.up.Content()
	if err != nil {
		return "", err
	}
	return algorithm.FromReader(content)
}

func (w *blobWriter) Cancel() error {
	w.done = true
	err := w.up.Cancel()
	if err == nil {
		w.s.unfinished.end(w.key())
	}
	return err
}

func (w *blobWriter) Close() error {
	if !w.done {
		w.s.unfinished.touch(w.key(), w.up.Size(), time.Now())
	}
	if !w.done && w.hash != nil {
		w.s.hashes.keep(w.id, keptHash{w.up.Size(), w.hash, w.algorithm})
	}
	w.done = true
	return w.up.Close()
}

// MountBlob implements ociregistry.Interface. Content that is lost or damaged is
// ErrBlobUnknown: the client then uploads it, which repairs it.
// Errors: ErrNameUnknown and ErrBlobUnknown, of fromRepo.
func (s *Storage) MountBlob(ctx context.Context, fromRepo, toRepo string, d digest.Digest) (ociregistry.Descriptor, error) {
	if err := checkRepository(toRepo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	b, err := s.FindBlob(ctx, fromRepo, d)
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	if b.URL != "" {
		return b.Descriptor, s.LinkBlob(ctx, toRepo, b.Descriptor, b.URL)
	}
	if err := s.reprieve(ctx, d); err != nil {
		return ociregistry.Descriptor{}, err
	}
	object, err := s.openBlob(ctx, fromRepo, b)
	if regcred.CodeOf(err) == regcred.Corrupt {
		return ociregistry.Descriptor{}, errors.Join(ociregistry.ErrBlobUnknown, err)
	}
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	_ = object.Close()
	return b.Descriptor, s.linkBlob(ctx, toRepo, b.Descriptor)
}

package registry

import (
	"context"
	"errors"
	"io"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// DirectPutter is implemented by Blobs that store a large object without an upload,
// where its digest is known before its content is read: each byte is then written
// once, to where it stays.
type DirectPutter interface {
	// PutStream stores the content of r, of size bytes, in place of any that is there,
	// if the condition holds. Content of another digest is never stored. r may be a
	// client, however slow: what is waited for is in memory of the call's own, so that
	// only some go on at once.
	//
	// Errors: Invalid where the content has another digest or size; TooLarge over what
	// the storage takes; Exists or Stale where the condition does not hold; ErrNoRoom,
	// before anything is read, where there is no memory for it now: an upload takes the
	// content then.
	PutStream(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c Condition) error
}

// ErrNoRoom is an error of DirectPutter.PutStream.
var ErrNoRoom = errors.New("no memory is left for another stream")

// pushStream sends what a client pushes straight to where it stays, and reports whether
// it did. Where that cannot be done, nothing is read and there is no error. Content that
// is there already is read and checked all the same: who does not have it gets no link
// to it.
func (s *Storage) pushStream(ctx context.Context, repo string, desc ociregistry.Descriptor, r io.Reader) (stored bool, err error) {
	putter, ok := s.cache.Blobs.(DirectPutter)
	if !ok || desc.Size < 0 {
		return false, nil
	}
	err = s.pushDirect(ctx, repo, desc, r, putter)
	if errors.Is(err, ErrNoRoom) {
		return false, nil
	}
	return err == nil, err
}

func (s *Storage) pushDirect(ctx context.Context, repo string, desc ociregistry.Descriptor, r io.Reader, to DirectPutter) error {
	if err := checkRepository(repo); err != nil {
		return err
	}
	if err := checkDigest(desc.Digest); err != nil {
		return err
	}
	if err := s.admitLink(ctx, repo, blobKey(repo, desc.Digest), link{Size: desc.Size}); err != nil {
		return err
	}
	if err := s.putContent(ctx, desc, r, to); err != nil {
		return err
	}
	return s.linkBlob(ctx, repo, ociregistry.Descriptor{MediaType: mediaTypeBlob, Digest: desc.Digest, Size: desc.Size})
}

// putContent stores content, where it is not there yet or of another size and so
// damaged.
func (s *Storage) putContent(ctx context.Context, desc ociregistry.Descriptor, r io.Reader, to DirectPutter) error {
	if err := s.reprieve(ctx, desc.Digest); err != nil {
		return err
	}
	condition := Condition{}
	info, err := s.blobs.Stat(ctx, contentKey(desc.Digest))
	switch {
	case err == nil && info.Size == desc.Size:
		return checkContent(desc, r)
	case regcred.CodeOf(err) == regcred.NotFound && err != nil:
		condition = IfAbsent
	case err != nil:
		return err
	}
	err = to.PutStream(ctx, contentKey(desc.Digest), desc.Digest, desc.Size, r, condition)
	if regcred.CodeOf(err) == regcred.Invalid && err != nil {
		return ociregistry.NewError(err.Error(), ociregistry.ErrDigestInvalid.Code(), nil)
	}
	return ignore(regcred.Exists, err) // somebody else was faster, with the same content
}

// checkContent returns ErrDigestInvalid or ErrSizeInvalid where content is not what it
// is said to be.
func checkContent(desc ociregistry.Descriptor, r io.Reader) error {
	sum := desc.Digest.Algorithm().Hash()
	n, err := io.Copy(sum, io.LimitReader(r, desc.Size+1))
	switch {
	case err != nil:
		return err
	case n != desc.Size:
		return ociregistry.ErrSizeInvalid
	case digest.NewDigest(desc.Digest.Algorithm(), sum) != desc.Digest:
		return ociregistry.ErrDigestInvalid
	}
	return nil
}

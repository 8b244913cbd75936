package registry

import (
	"context"
	"io"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// DirectPutter is implemented by Blobs that store a large object without an upload,
// where its digest is known before its content is read: each byte is then written
// once, to where it stays.
type DirectPutter interface {
	// PutDirect stores the content of r, of size bytes, in place of any that is
	// there, if the condition holds. Content of another digest is never stored. What a
	// call that failed has sent already, a later one for the same key may spare.
	//
	// Memory that is shared by all calls holds what was read and not sent yet: r has to
	// be fast, a file rather than a client. What comes over a network goes through an
	// upload.
	//
	// Errors: Invalid where the content has another digest or size; TooLarge over what
	// the storage takes; Exists or Stale where the condition does not hold.
	PutDirect(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c Condition) error
}

// Direct is a Storage whose PushBlob sends content straight to where it stays, where
// the Blobs are a DirectPutter and the size is known. It is for who publishes files of
// his own: see PutDirect.
type Direct struct{ *Storage }

// PushBlob implements ociregistry.Interface. Content that is there already is read and
// checked all the same: who does not have it gets no link to it.
func (d Direct) PushBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, r io.Reader) (ociregistry.Descriptor, error) {
	putter, ok := d.cache.Blobs.(DirectPutter)
	if !ok || desc.Size < 0 {
		return d.Storage.PushBlob(ctx, repo, desc, r)
	}
	if err := checkRepository(repo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := checkDigest(desc.Digest); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := d.admitLink(ctx, repo, blobKey(repo, desc.Digest), link{Size: desc.Size}); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := d.putContent(ctx, putter, desc, r); err != nil {
		return ociregistry.Descriptor{}, err
	}
	desc = ociregistry.Descriptor{MediaType: mediaTypeBlob, Digest: desc.Digest, Size: desc.Size}
	return desc, d.linkBlob(ctx, repo, desc)
}

// putContent stores content, where it is not there yet or of another size and so
// damaged.
func (d Direct) putContent(ctx context.Context, putter DirectPutter, desc ociregistry.Descriptor, r io.Reader) error {
	if err := d.reprieve(ctx, desc.Digest); err != nil {
		return err
	}
	condition := Condition{}
	info, err := d.blobs.Stat(ctx, contentKey(desc.Digest))
	switch {
	case err == nil && info.Size == desc.Size:
		return checkContent(desc, r)
	case regcred.CodeOf(err) == regcred.NotFound && err != nil:
		condition = IfAbsent
	case err != nil:
		return err
	}
	err = putter.PutDirect(ctx, contentKey(desc.Digest), desc.Digest, desc.Size, r, condition)
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

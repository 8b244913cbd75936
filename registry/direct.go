package registry

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
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

package static

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// Objects is where the files of a registry are: a [Directory], or a bucket as
// regcred.dev/registry/bucket.Site writes to it. Keys are paths with slashes. An object
// appears whole or not at all, and its answers have the headers Content-Type and
// Cache-Control that it was written with. All methods may be called concurrently, and by
// several processes, and may return Unavailable.
type Objects interface {
	// Size returns that of an object, in bytes. Errors: NotFound.
	Size(ctx context.Context, key string) (int64, error)

	// Read returns the content of an object of at most registry.MaxSmall bytes, and its
	// version for Put. Errors: NotFound, TooLarge.
	Read(ctx context.Context, key string) (data []byte, version string, err error)

	// Put stores an object of at most registry.MaxSmall bytes in place of any that is
	// there. Errors: TooLarge; Exists or Stale where the condition does not hold.
	Put(ctx context.Context, key, contentType, cacheControl string, data []byte, c registry.Condition) error

	// Store stores an object of any size in place of any that is there. Errors: Invalid
	// where the content has another digest or size, which is then not stored.
	Store(ctx context.Context, key, contentType, cacheControl string, d digest.Digest, size int64, r io.Reader) error

	// Copy stores an object under another key, without reading it. Where it fails the
	// content can be stored instead. Errors: NotFound.
	Copy(ctx context.Context, from, to string) error
}

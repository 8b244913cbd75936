package bucket

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// streamParts is how many parts PutStream waits for at once, all streams taken
// together: in memory of PartSize times that, beside that of the parts which are sent.
const streamParts = 2

// PutStream implements registry.DirectPutter. A part is read into memory of the stream's
// own, and gets a place among those that are sent once it is there.
func (b *Bucket) PutStream(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c registry.Condition) error {
	own := min(max(size, 0), b.o.PartSize)
	if size > maxParts*b.o.PartSize || !b.streams.TryAcquire(own) {
		return registry.ErrNoRoom
	}
	defer b.streams.Release(own)
	ahead := bufio.NewReaderSize(r, int(own))
	return b.putDirect(ctx, key, content{reader: ahead, ahead: ahead, size: size, digest: d}, c)
}

// await waits until the next n bytes of a stream can be read without waiting.
func (c content) await(n int64) error {
	if c.ahead == nil {
		return nil
	}
	_, err := c.ahead.Peek(int(n))
	if errors.Is(err, io.EOF) {
		return nil // who reads it is told again, and says what is missing
	}
	return err
}

// resumable reports whether the parts that one call has sent count for another one.
// They are compared by a checksum that anybody can make other content for: so never
// where a stranger sends them, who may say any digest.
func (c content) resumable() bool { return c.digest != "" && c.ahead == nil }

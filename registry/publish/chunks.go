package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

const (
	// chunkSize is how much of a compressed layer is sent in one request.
	chunkSize = 4 << 20
	// maxChunkSize is the largest minimum that a registry may ask for.
	maxChunkSize = 16 << 20
)

// chunks uploads content whose size and digest are not known beforehand. Content
// of less than a chunk is kept back until both are, so that it takes one request
// and none at all where the repository has it. One chunk is sent while the next
// one fills.
type chunks struct {
	ctx    context.Context
	w      *worker
	buf    []byte // fills
	other  []byte // is being sent, or waits for its turn; nil where memory allows one only
	hash   hash.Hash
	size   int64
	upload ociregistry.BlobWriter // nil until the first chunk is full
	sent   chan error             // the outcome of the chunk that is being sent, nil for none
}

func (c *chunks) reset(ctx context.Context, w *worker) {
	if c.buf == nil {
		c.buf, c.other = make([]byte, 0, chunkSize), make([]byte, 0, chunkSize)
	}
	*c = chunks{ctx: ctx, w: w, buf: c.buf[:0], other: c.other[:0], hash: sha256.New()}
}

// Write takes content and sends each full chunk.
func (c *chunks) Write(p []byte) (int, error) {
	c.hash.Write(p)
	c.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		n := min(len(rest), cap(c.buf)-len(c.buf))
		c.buf = append(c.buf, rest[:n]...)
		rest = rest[n:]
		if len(c.buf) == cap(c.buf) {
			if err := c.full(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// full makes room in the buffer.
func (c *chunks) full() error {
	if c.upload == nil {
		if err := c.start(); err != nil || len(c.buf) < cap(c.buf) {
			return err
		}
	}
	return c.flush()
}

// flush starts to send what there is, after what is still being sent.
func (c *chunks) flush() error {
	if err := c.wait(); err != nil {
		return err
	}
	if c.other == nil {
		_, err := c.upload.Write(c.buf)
		c.buf = c.buf[:0]
		return err
	}
	c.buf, c.other = c.other[:0], c.buf
	upload, chunk, sent := c.upload, c.other, make(chan error, 1)
	c.sent = sent
	go func() {
		_, err := upload.Write(chunk)
		sent <- err
	}()
	return nil
}

// wait returns the outcome of the chunk that is being sent.
func (c *chunks) wait() error {
	if c.sent == nil {
		return context.Cause(c.ctx)
	}
	err := <-c.sent
	c.sent = nil
	return err
}

// start starts the upload. It asks for no chunk size: a client keeps back writes
// up to that size in a buffer of its own, and lets larger ones straight through.
// Ours are larger, also than the least that the registry takes.
func (c *chunks) start() error {
	u, err := c.w.dst.PushBlobChunked(c.ctx, c.w.repo, 0)
	if err != nil {
		return err
	}
	c.upload = u
	n := u.ChunkSize()
	if n > maxChunkSize {
		return regcred.Errorf(regcred.Invalid, "the registry asks for chunks of at least %d bytes; at most %d are supported", n, maxChunkSize)
	}
	if n >= cap(c.buf) {
		c.buf, c.other = append(make([]byte, 0, n+1), c.buf...), nil
	}
	return nil
}

// commit ends the upload and describes the content. present says that the
// repository had it already.
func (c *chunks) commit() (desc ocispec.Descriptor, present bool, err error) {
	desc = ocispec.Descriptor{Digest: digest.NewDigest(digest.SHA256, c.hash), Size: c.size}
	if c.upload == nil {
		if present, err := c.w.has(c.ctx, desc.Digest); present || err != nil {
			return desc, present, err
		}
		return desc, false, c.w.push(c.ctx, desc, bytes.NewReader(c.buf))
	}
	if len(c.buf) > 0 {
		if err := c.flush(); err != nil {
			return desc, false, err
		}
	}
	if err := c.wait(); err != nil {
		return desc, false, err
	}
	if _, ok := c.upload.(Spooler); ok {
		if present, err := c.w.has(c.ctx, desc.Digest); present || err != nil {
			_ = c.upload.Cancel() // what it held is there
			return desc, present, err
		}
	}
	_, err = c.upload.Commit(desc.Digest)
	return desc, false, err
}

// abandon ends an upload that failed. Its buffers are left alone, since an HTTP
// client may still be reading one.
func (c *chunks) abandon() {
	_ = c.wait() // the failure is known already
	if c.upload != nil {
		_ = c.upload.Cancel() // else the registry forgets it after a while
	}
	c.buf, c.other = nil, nil
}

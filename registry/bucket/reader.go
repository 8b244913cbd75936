package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
	"regcred.dev/registry"
)

// headSize is how many bytes Get asks for at once: it needs an answer anyway, and
// many an object is whole in that.
const headSize = 64 << 10

// Get implements registry.Blobs. The reader has the first 64 KiB; beyond that it asks
// S3 again, from where it is read, and after a connection broke off from where that
// was. It never mixes two objects, and never ends early: where the object was replaced
// or deleted meanwhile and its connection breaks off or it is read elsewhere, it
// fails. It reads as long as ctx goes on.
func (b *Bucket) Get(ctx context.Context, key string) (registry.Object, error) {
	path, err := b.path(key)
	if err != nil {
		return registry.Object{}, err
	}
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.o.Bucket, Key: &path, Range: aws.String("bytes=0-" + strconv.Itoa(headSize-1)),
	})
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return b.getEmpty(ctx, key)
	}
	if err != nil {
		return registry.Object{}, b.fail(ctx, "GetObject", key, err)
	}
	defer out.Body.Close()
	if _, gone := buried(out.Metadata); gone {
		return registry.Object{}, noObject(key)
	}
	start, size, err := contentRange(out)
	if err != nil || start != 0 {
		return registry.Object{}, registry.Operational(regcred.Errorf(regcred.Unavailable, "bucket %s%s: the answer with %s is not the range that was asked for", b.o.Bucket, b.at, key))
	}
	// What does not arrive now is asked for when it is read.
	head, _ := io.ReadAll(io.LimitReader(out.Body, min(size, headSize)))
	return registry.Object{
		ReadSeekCloser: &reader{b: b, ctx: ctx, path: path, etag: aws.ToString(out.ETag), size: size, head: head},
		Info:           registry.Info{Key: key, Size: size, ModifiedAt: aws.ToTime(out.LastModified)},
	}, nil
}

// getEmpty opens an object that has no first byte.
func (b *Bucket) getEmpty(ctx context.Context, key string) (registry.Object, error) {
	info, err := b.Stat(ctx, key)
	if err != nil {
		return registry.Object{}, err
	}
	if info.Size > 0 {
		return registry.Object{}, regcred.Errorf(regcred.Unavailable, "object %s was replaced while it was opened: try again", key)
	}
	return registry.Object{ReadSeekCloser: &reader{b: b, ctx: ctx}, Info: info}, nil
}

// contentRange returns where an answer begins in its object, and the size of that,
// in bytes.
func contentRange(out *s3.GetObjectOutput) (start, size int64, err error) {
	header := aws.ToString(out.ContentRange)
	if header == "" { // the whole object
		if out.ContentLength == nil {
			return 0, 0, errors.New("the answer has no length")
		}
		return 0, *out.ContentLength, nil
	}
	span, ok := strings.CutPrefix(header, "bytes ")
	span, total, ok2 := strings.Cut(span, "/")
	from, _, ok3 := strings.Cut(span, "-")
	start, err = strconv.ParseInt(from, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil || start < 0 || size < start {
		return 0, 0, fmt.Errorf("the answer has Content-Range %q", header)
	}
	return start, size, nil
}

// reader reads an object from where it stands.
type reader struct {
	b      *Bucket
	ctx    context.Context // of Get, for what is asked for later
	path   string
	etag   string
	size   int64
	head   []byte // the object's first bytes
	pos    int64
	body   io.ReadCloser // the rest of an answer, nil where there is none
	bodyAt int64         // the offset of what body reads next
	failed int           // how often in a row nothing was read
	closed bool
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, fs.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.pos >= r.size {
		return 0, io.EOF
	}
	if r.pos < int64(len(r.head)) {
		n := copy(p, r.head[r.pos:])
		r.pos += int64(n)
		return n, nil
	}
	for {
		if err := r.open(); err != nil {
			return 0, err
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.pos)])
		r.pos += int64(n)
		r.bodyAt = r.pos
		if err != nil {
			r.drop()
		}
		if n > 0 {
			r.failed = 0
			return n, nil
		}
		if err != nil {
			if err := r.again(err); err != nil {
				return 0, err
			}
		}
	}
}

// open asks for what is read next, where that is not under way.
func (r *reader) open() error {
	if r.body != nil && r.bodyAt == r.pos {
		return nil
	}
	r.drop()
	out, err := r.b.client.GetObject(r.ctx, &s3.GetObjectInput{
		Bucket: &r.b.o.Bucket, Key: &r.path, IfMatch: optional(r.etag),
		Range: aws.String("bytes=" + strconv.FormatInt(r.pos, 10) + "-"),
	})
	if refused(err) {
		return regcred.Errorf(regcred.Unavailable, "object %s was replaced or deleted while it was read: read it again", r.path)
	}
	if err != nil {
		return r.b.fail(r.ctx, "GetObject", r.path, err)
	}
	if start, size, err := contentRange(out); err != nil || start != r.pos || size != r.size {
		_ = out.Body.Close()
		return registry.Operational(regcred.Errorf(regcred.Unavailable, "bucket %s%s: the answer with %s is not the range that was asked for", r.b.o.Bucket, r.b.at, r.path))
	}
	r.body, r.bodyAt = out.Body, r.pos
	return nil
}

// again waits before the next attempt, after one that read nothing.
func (r *reader) again(err error) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.failed++
	if r.failed >= attempts {
		return registry.Operational(regcred.Errorf(regcred.Unavailable, "object %s broke off at byte %d of %d, %d times: %w", r.path, r.pos, r.size, r.failed, err))
	}
	return r.b.wait(r.ctx, r.failed)
}

// drop closes the answer that is read.
func (r *reader) drop() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	if r.closed {
		return 0, fs.ErrClosed
	}
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, regcred.Errorf(regcred.Invalid, "object %s has no offset %d", r.path, offset)
	}
	r.pos = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.drop()
	r.closed = true
	return nil
}

// wait waits before an attempt, the first being 1.
func (b *Bucket) wait(ctx context.Context, attempt int) error {
	select {
	case <-time.After(backoff(b.o.Backoff, attempt, false)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

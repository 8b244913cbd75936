package bucket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"regcred.dev"
	"regcred.dev/registry"
)

// PutDirect is PutStream for a reader that is fast, such as a file: memory that all calls
// share holds what was read and not sent yet. An object of more than one part is sent
// in several requests at once, each with the CRC-32C of its part, which the server
// checks. Parts that an earlier call for the same content has sent are not sent again
// where the server tells their CRC-32C.
func (b *Bucket) PutDirect(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c registry.Condition) error {
	return b.putDirect(ctx, key, content{reader: r, size: size, digest: d}, c)
}

func (b *Bucket) putDirect(ctx context.Context, key string, from content, c registry.Condition) error {
	if err := from.digest.Validate(); err != nil {
		return regcred.Errorf(regcred.Invalid, "%q is no digest: %w", from.digest, err)
	}
	path, err := b.path(key)
	if err != nil {
		return err
	}
	return b.store(ctx, path, from, c)
}

// content is what an object is made of.
type content struct {
	reader io.Reader
	size   int64
	digest digest.Digest // "" where somebody has checked it
	// ahead is the reader of a stream: see PutStream.
	ahead *bufio.Reader
}

// store stores content, in one request or in several, by its key in S3.
func (b *Bucket) store(ctx context.Context, path string, from content, c registry.Condition) error {
	if from.size < 0 {
		return regcred.Errorf(regcred.Invalid, "object %s cannot have %d bytes", path, from.size)
	}
	part, err := partition(from.size, b.o.PartSize)
	if err != nil {
		return err
	}
	sum := sum(from.digest)
	if from.size <= part {
		return b.storeWhole(ctx, path, from, sum, c)
	}
	m := &multipart{b: b, path: path, part: part, size: from.size, condition: c}
	if from.resumable() {
		m.write = from.digest.String()
	}
	return m.store(ctx, from, sum)
}

// sum returns the hash of a digest's algorithm, nil where there is nothing to check.
func sum(d digest.Digest) hash.Hash {
	if d == "" {
		return nil
	}
	return d.Algorithm().Hash()
}

// storeWhole stores content that fits into one request.
func (b *Bucket) storeWhole(ctx context.Context, path string, from content, sum hash.Hash, c registry.Condition) error {
	if err := from.await(from.size); err != nil {
		return err
	}
	buf, free, err := b.buffers.get(ctx, from.size)
	if err != nil {
		return err
	}
	defer free()
	if err := fill(path, buf, from.reader, sum); err != nil {
		return err
	}
	if err := from.check(path, sum); err != nil {
		return err
	}
	return b.put(ctx, path, buf, c)
}

// fill reads the next bytes of content. Errors: Invalid where it ends before.
func fill(path string, buf []byte, r io.Reader, sum hash.Hash) error {
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return regcred.Errorf(regcred.Invalid, "the content for %s ended %d bytes before its size", path, len(buf)-n)
	}
	if err == nil && sum != nil {
		sum.Write(buf)
	}
	return err
}

// check returns an Invalid error where the content goes on after its size, or has
// another digest.
func (c content) check(path string, sum hash.Hash) error {
	var one [1]byte
	switch n, err := io.ReadFull(c.reader, one[:]); {
	case n > 0:
		return regcred.Errorf(regcred.Invalid, "the content for %s has more than its %d bytes", path, c.size)
	case !errors.Is(err, io.EOF):
		return err
	}
	if sum == nil {
		return nil
	}
	if found := digest.NewDigest(c.digest.Algorithm(), sum); found != c.digest {
		return regcred.Errorf(regcred.Invalid, "the content for %s has digest %s, not %s", path, found, c.digest)
	}
	return nil
}

// multipart is an upload of S3 in parts.
type multipart struct {
	b         *Bucket
	path      string
	part      int64 // bytes
	size      int64 // bytes
	condition registry.Condition

	id    string
	write string // the name of the write: the content's digest, where it can be gone on with
	mu    sync.Mutex
	sent  map[int32]types.CompletedPart
}

// store stores content. What a call that ended half-way has sent stays for the next one
// where that can go on with it; all else is discarded.
func (m *multipart) store(ctx context.Context, from content, sum hash.Hash) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	err := m.send(ctx, from, sum)
	if err == nil {
		err = m.complete(ctx)
	}
	if errors.Is(err, errGone) {
		return m.gone(ctx)
	}
	if err != nil && (!from.resumable() || final(err)) {
		m.abort(ctx)
	}
	return err
}

// final reports whether an error stays the same however often the write is tried.
func final(err error) bool {
	switch regcred.CodeOf(err) {
	case regcred.Invalid, regcred.Exists, regcred.Stale, regcred.TooLarge:
		return true
	}
	return false
}

// begin goes on with an upload that an earlier call left, or creates one.
func (m *multipart) begin(ctx context.Context) error {
	m.sent = map[int32]types.CompletedPart{}
	if m.write == "" {
		m.write = rand.Text()
	} else if found, err := m.resume(ctx); found || err != nil {
		return err
	}
	out, err := m.b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &m.b.o.Bucket, Key: &m.path,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeComposite,
		Metadata:             map[string]string{metaWrite: m.write},
		ServerSideEncryption: types.ServerSideEncryption(m.b.o.SSE), SSEKMSKeyId: optional(m.b.o.KMSKeyID),
		StorageClass: types.StorageClass(m.b.o.StorageClass),
		ContentType:  optional(m.b.served.contentType), CacheControl: optional(m.b.served.cacheControl),
	})
	if err != nil {
		return m.b.fail(ctx, "CreateMultipartUpload", m.path, err)
	}
	m.id = aws.ToString(out.UploadId)
	return nil
}

// send reads the content and sends its parts, as many at once as memory has room for.
// In the end it checks the content.
func (m *multipart) send(ctx context.Context, from content, sum hash.Hash) error {
	group, groupCtx := errgroup.WithContext(ctx)
	err := m.sendParts(groupCtx, group, from, sum)
	if groupErr := group.Wait(); groupErr != nil {
		return groupErr // which ended the reading too
	}
	if err != nil {
		return err
	}
	return from.check(m.path, sum)
}

func (m *multipart) sendParts(ctx context.Context, group *errgroup.Group, from content, sum hash.Hash) error {
	for number := int32(1); m.offset(number) < m.size; number++ {
		size := min(m.part, m.size-m.offset(number))
		if err := from.await(size); err != nil {
			return err
		}
		buf, free, err := m.b.buffers.get(ctx, size)
		if err != nil {
			return err
		}
		if err := fill(m.path, buf, from.reader, sum); err != nil {
			free()
			return err
		}
		group.Go(func() error {
			defer free()
			return m.sendPart(ctx, number, buf)
		})
	}
	return nil
}

// offset returns where a part begins. The first one has the number 1.
func (m *multipart) offset(number int32) int64 { return int64(number-1) * m.part }

// sendPart sends a part, unless the server has it.
func (m *multipart) sendPart(ctx context.Context, number int32, data []byte) error {
	checksum := crc32c(data)
	if m.has(number, checksum) {
		return nil
	}
	out, err := m.b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &m.b.o.Bucket, Key: &m.path, UploadId: &m.id, PartNumber: &number,
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))), ChecksumCRC32C: &checksum,
	}, withPayloadHash(unsigned))
	if errorCode(err) == "NoSuchUpload" {
		return errGone
	}
	if err != nil {
		return m.b.fail(ctx, "UploadPart", m.path, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[number] = types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: out.ChecksumCRC32C}
	return nil
}

// crc32c returns a checksum as S3 writes it: big-endian, in base64.
func crc32c(data []byte) string {
	sum := crc32.Checksum(data, castagnoli)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *multipart) has(number int32, checksum string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	part, ok := m.sent[number]
	return ok && aws.ToString(part.ChecksumCRC32C) == checksum
}

// complete makes the parts an object.
func (m *multipart) complete(ctx context.Context) error {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &m.b.o.Bucket, Key: &m.path, UploadId: &m.id,
		ChecksumType:    types.ChecksumTypeComposite,
		MpuObjectSize:   &m.size,
		MultipartUpload: &types.CompletedMultipartUpload{},
	}
	for number := int32(1); m.offset(number) < m.size; number++ {
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, m.sent[number])
	}
	in.IfNoneMatch, in.IfMatch = headers(m.condition)
	counted, unclear := countUnclear(ctx)
	_, err := m.b.client.CompleteMultipartUpload(counted, in)
	// versitygw says InvalidRequest where another call is completing it just now.
	if code := errorCode(err); code == "NoSuchUpload" || code == "InvalidRequest" {
		return errGone
	}
	return m.b.settle(ctx, "CompleteMultipartUpload", m.path, m.write, m.condition, *unclear, err)
}

// abortTimeout bounds how long a call that failed goes on to clean up.
const abortTimeout = 30 * time.Second

// abort discards the parts. Where that fails CleanUploads does it later.
func (m *multipart) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if err := m.b.abort(ctx, m.path, m.id); err != nil {
		m.b.o.Log.Warn("parts of an object that was not stored are left in the bucket for CleanUploads", "key", m.path, "err", err)
	}
}

// abort discards an upload in parts. One that is gone is no error.
func (b *Bucket) abort(ctx context.Context, path, id string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.o.Bucket, Key: &path, UploadId: &id})
	if errorCode(err) == "NoSuchUpload" {
		return nil
	}
	return b.fail(ctx, "AbortMultipartUpload", path, err)
}

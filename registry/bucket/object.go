package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"regcred.dev"
	"regcred.dev/registry"
)

// Names of the metadata of objects.
const (
	metaSHA256 = "regcred-sha256"
	metaWrite  = "regcred-write"
)

// Stat implements registry.Blobs.
func (b *Bucket) Stat(ctx context.Context, key string) (registry.Info, error) {
	path, err := b.path(key)
	if err != nil {
		return registry.Info{}, err
	}
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.Bucket, Key: &path})
	if err != nil {
		return registry.Info{}, b.fail(ctx, "HeadObject", key, err)
	}
	if _, gone := buried(out.Metadata); gone {
		return registry.Info{}, noObject(key)
	}
	return registry.Info{Key: key, Size: aws.ToInt64(out.ContentLength), ModifiedAt: aws.ToTime(out.LastModified)}, nil
}

// Read implements registry.Blobs. The version is the ETag. Content that was changed on
// its way or on its medium is Corrupt.
func (b *Bucket) Read(ctx context.Context, key string) ([]byte, string, error) {
	path, err := b.path(key)
	if err != nil {
		return nil, "", err
	}
	return b.read(ctx, path)
}

// read reads a small object, by its key in S3.
func (b *Bucket) read(ctx context.Context, path string) ([]byte, string, error) {
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			if err := b.wait(ctx, attempt); err != nil {
				return nil, "", err
			}
		}
		var out *s3.GetObjectOutput
		out, err = b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.o.Bucket, Key: &path})
		if err != nil {
			return nil, "", b.fail(ctx, "GetObject", path, err)
		}
		if since, gone := buried(out.Metadata); gone {
			_ = out.Body.Close()
			_ = b.clear(ctx, path, aws.ToString(out.ETag), since) // else the next one who comes to it does
			return nil, "", noObject(path)
		}
		if aws.ToInt64(out.ContentLength) > registry.MaxSmall {
			_ = out.Body.Close()
			return nil, "", regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", path, *out.ContentLength, registry.MaxSmall)
		}
		var data []byte
		if data, err = readSmall(path, out); err == nil {
			return data, aws.ToString(out.ETag), nil
		}
	}
	return nil, "", err
}

// readSmall reads an answer and checks it. Errors: Unavailable, Corrupt.
func readSmall(path string, out *s3.GetObjectOutput) ([]byte, error) {
	defer out.Body.Close()
	data, err := io.ReadAll(io.LimitReader(out.Body, registry.MaxSmall+1))
	if err != nil {
		return nil, registry.Operational(regcred.Errorf(regcred.Unavailable, "the answer with object %s broke off: %w", path, err))
	}
	if want := out.Metadata[metaSHA256]; want != "" && want != hexSHA256(data) {
		return nil, regcred.Errorf(regcred.Corrupt, "the content of object %s is not what was stored", path)
	}
	if out.ContentLength != nil && int64(len(data)) != *out.ContentLength {
		return nil, regcred.Errorf(regcred.Unavailable, "the answer with object %s has %d bytes, not %d", path, len(data), *out.ContentLength)
	}
	return data, nil
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Put implements registry.Blobs.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	path, err := b.path(key)
	if err != nil {
		return err
	}
	if len(data) > registry.MaxSmall {
		return regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", key, len(data), registry.MaxSmall)
	}
	if !b.conditionalDelete {
		return b.putBesideGraves(ctx, path, data, c)
	}
	return b.put(ctx, path, data, c)
}

// put stores an object in one request, by its key in S3.
func (b *Bucket) put(ctx context.Context, path string, data []byte, c registry.Condition) error {
	return b.putWith(ctx, path, data, nil, c)
}

// putWith is put with more metadata.
func (b *Bucket) putWith(ctx context.Context, path string, data []byte, meta map[string]string, c registry.Condition) error {
	write := rand.Text()
	in := &s3.PutObjectInput{
		Bucket: &b.o.Bucket, Key: &path,
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))),
		Metadata:             map[string]string{metaSHA256: hexSHA256(data), metaWrite: write},
		ServerSideEncryption: types.ServerSideEncryption(b.o.SSE), SSEKMSKeyId: optional(b.o.KMSKeyID),
		StorageClass: types.StorageClass(b.o.StorageClass),
		ContentType:  optional(b.served.contentType), CacheControl: optional(b.served.cacheControl),
	}
	maps.Copy(in.Metadata, meta)
	in.IfNoneMatch, in.IfMatch = headers(c)
	counted, unclear := countUnclear(ctx)
	_, err := b.client.PutObject(counted, in, withPayloadHash(in.Metadata[metaSHA256]))
	return b.settle(ctx, "PutObject", path, write, c, *unclear, err)
}

// settle returns the error of a write under a condition. One that was sent again, as
// its answer was lost, may be refused for what it did itself: then it was done. Where
// another write came after it, that is not seen: it is refused, and was done and
// replaced.
func (b *Bucket) settle(ctx context.Context, operation, path, write string, c registry.Condition, unclear int, err error) error {
	conditional := c != registry.Condition{}
	if err == nil || !conditional || !refused(err) {
		return b.fail(ctx, operation, path, err)
	}
	if unclear > 0 {
		if ours, err := b.wroteLast(ctx, path, write); ours || err != nil {
			return err
		}
	}
	return conflict(path, c.Absent())
}

// wroteLast reports whether an object is there and is that of a write.
func (b *Bucket) wroteLast(ctx context.Context, path, write string) (bool, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.Bucket, Key: &path})
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, b.fail(ctx, "HeadObject", path, err)
	}
	return out.Metadata[metaWrite] == write, nil
}

// headers returns a condition as the headers If-None-Match and If-Match.
func headers(c registry.Condition) (ifNoneMatch, ifMatch *string) {
	if c.Absent() {
		return aws.String("*"), nil
	}
	return nil, optional(c.Version())
}

// optional returns nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Delete implements registry.Blobs.
func (b *Bucket) Delete(ctx context.Context, key string, c registry.Condition) error {
	path, err := b.path(key)
	if err != nil {
		return err
	}
	switch {
	case c.Absent():
		if _, err := b.Stat(ctx, key); regcred.CodeOf(err) != regcred.NotFound || err == nil {
			return errorOr(err, conflict(key, true))
		}
		return nil
	case c.Version() == "":
		return b.remove(ctx, path, "")
	}
	// S3 has nothing against deleting what is not there, whatever the condition.
	if err := b.hasVersion(ctx, path, c.Version()); err != nil {
		return err
	}
	if !b.conditionalDelete {
		return b.bury(ctx, path, c.Version())
	}
	return b.remove(ctx, path, c.Version())
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// hasVersion returns a Stale error where an object has another version, or is gone.
func (b *Bucket) hasVersion(ctx context.Context, path, version string) error {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.Bucket, Key: &path})
	if err != nil && !absent(err) {
		return b.fail(ctx, "HeadObject", path, err)
	}
	if err != nil || aws.ToString(out.ETag) != version {
		return conflict(path, false)
	}
	return nil
}

// remove deletes an object, of a version where one is given, by its key in S3.
func (b *Bucket) remove(ctx context.Context, path, version string) error {
	counted, unclear := countUnclear(ctx)
	_, err := b.client.DeleteObject(counted, &s3.DeleteObjectInput{Bucket: &b.o.Bucket, Key: &path, IfMatch: optional(version)})
	switch {
	case err == nil, version == "" && absent(err):
		return nil
	case version == "" || !refused(err):
		return b.fail(ctx, "DeleteObject", path, err)
	case *unclear == 0:
		return conflict(path, false)
	}
	// An earlier one, whose answer was lost, may have done it.
	_, err = b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.Bucket, Key: &path})
	switch {
	case absent(err):
		return nil
	case err != nil:
		return b.fail(ctx, "HeadObject", path, err)
	}
	return conflict(path, false)
}

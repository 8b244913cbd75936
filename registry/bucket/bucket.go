package bucket

import (
	"context"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/semaphore"

	"regcred.dev/registry"
)

var (
	_ registry.Blobs        = (*Bucket)(nil)
	_ registry.Locator      = (*Bucket)(nil)
	_ registry.DirectPutter = (*Bucket)(nil)
)

// Bucket keeps objects in a bucket of S3:
//
//	PREFIX/KEY        an object
//	PREFIX/.regcred   {"format":"regcred blobs 1","conditionalDelete":true}: see Open
//
// Objects of other keys may be in the bucket too; they are left alone. The version of
// an object is its ETag. Small objects have the SHA-256 of their content as metadata
// ("regcred-sha256"), which Read checks; objects that others wrote need not have it.
// The content of Get is not checked: its readers know its digest. A random name of the
// write ("regcred-write") tells a write whose answer was lost from another's.
//
// Put with a condition relies on If-None-Match and If-Match, which the server has to
// know. Where it has no If-Match for DELETE, Delete with a condition first looks and
// then deletes: a write in between is lost. Setup tells.
//
// Uploads are in the spool, a directory of this machine, until they are committed: S3
// wants an object's key before its first byte, and here the key is a digest, known
// after the last. Each byte is then sent once, to where it stays; the copy within S3
// that other registries do instead takes longer than the upload itself. So the
// requests of one upload have to reach the same machine, or machines that share the
// spool's file system. What comes in one request that names the digest goes straight to
// its key, where memory has room for it.
type Bucket struct {
	o       Options
	client  *s3.Client
	presign *s3.PresignClient
	at      string // " at ENDPOINT", for messages
	// format is that of the marker: who else keeps something there is kept out.
	format string
	// served are headers of answers with the objects that are written.
	served served
	// buffers are for the parts of all writes together, streams is the memory in which
	// those of PutStream wait for clients.
	buffers *buffers
	streams *semaphore.Weighted
	// conditionalDelete says that the server knows If-Match for DELETE.
	conditionalDelete bool
}

// Open opens the storage in a bucket. Where it has not been used as such before, it
// checks that the server refuses writes whose condition does not hold, and notes that
// in the bucket.
// Errors: Invalid for options; Unavailable where the bucket is not there, cannot be
// used, or ignores conditions: each says what to do.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	b, err := newBucket(ctx, o)
	if err != nil {
		return nil, err
	}
	return b, b.readMarker(ctx)
}

// newBucket returns a Bucket that has asked the server nothing yet.
func newBucket(ctx context.Context, o Options) (*Bucket, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	b := &Bucket{o: o, format: blobsFormat, buffers: newBuffers(o.PartSize, o.Concurrency), streams: semaphore.NewWeighted(streamParts * o.PartSize)}
	if o.Endpoint != "" {
		b.at = " at " + o.Endpoint
	}
	b.client, b.presign, err = newClients(ctx, o)
	return b, err
}

// path returns the key in S3 of an object. Errors: Invalid.
func (b *Bucket) path(key string) (string, error) {
	if err := registry.CheckKey(key); err != nil {
		return "", err
	}
	return b.prefix() + key, nil
}

// prefix is what the keys of all objects begin with in S3.
func (b *Bucket) prefix() string {
	if b.o.Prefix == "" {
		return ""
	}
	return b.o.Prefix + "/"
}

// List implements registry.Blobs. It asks for 1,000 objects at a time.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(registry.Info{}, err)
			return
		}
		in := &s3.ListObjectsV2Input{Bucket: &b.o.Bucket, Prefix: aws.String(b.prefix() + prefix)}
		if after != "" {
			in.StartAfter = aws.String(b.prefix() + after)
		}
		for object, err := range b.objects(ctx, in) {
			if err != nil {
				yield(registry.Info{}, b.fail(ctx, "ListObjectsV2", prefix, err))
				return
			}
			key, ours := strings.CutPrefix(aws.ToString(object.Key), b.prefix())
			if !ours || registry.CheckKey(key) != nil {
				continue // somebody else's
			}
			if !yield(registry.Info{Key: key, Size: aws.ToInt64(object.Size), ModifiedAt: aws.ToTime(object.LastModified)}, nil) {
				return
			}
		}
	}
}

// objects yields what S3 lists. After an error it ends.
func (b *Bucket) objects(ctx context.Context, in *s3.ListObjectsV2Input) iter.Seq2[types.Object, error] {
	return func(yield func(types.Object, error) bool) {
		for pages := s3.NewListObjectsV2Paginator(b.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(types.Object{}, err)
				return
			}
			for _, object := range page.Contents {
				if !yield(object, nil) {
					return
				}
			}
		}
	}
}

// checkPrefix returns an Invalid error where no key can begin with a prefix.
func checkPrefix(prefix string) error {
	dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if dir == "" {
		return nil
	}
	return registry.CheckKey(strings.TrimSuffix(dir, "/"))
}

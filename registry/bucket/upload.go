package bucket

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"regcred.dev"
	"regcred.dev/registry"
)

// Spool keeps uploads until they are committed. Its methods are those of
// registry.Blobs.
type Spool interface {
	CreateUpload(ctx context.Context, id string) (registry.Upload, error)
	OpenUpload(ctx context.Context, id string) (registry.Upload, error)
	CleanUploads(ctx context.Context, before time.Time) (int, error)
}

// errNoSpool says what uploads need.
var errNoSpool = regcred.Errorf(regcred.Invalid, "uploads to a bucket need a spool directory: configure one")

// CreateUpload implements registry.Blobs.
func (b *Bucket) CreateUpload(ctx context.Context, id string) (registry.Upload, error) {
	if b.o.Spool == nil {
		return nil, errNoSpool
	}
	return b.wrap(b.o.Spool.CreateUpload(ctx, id))
}

// OpenUpload implements registry.Blobs. It knows the uploads of this spool alone.
func (b *Bucket) OpenUpload(ctx context.Context, id string) (registry.Upload, error) {
	if b.o.Spool == nil {
		return nil, errNoSpool
	}
	return b.wrap(b.o.Spool.OpenUpload(ctx, id))
}

func (b *Bucket) wrap(up registry.Upload, err error) (registry.Upload, error) {
	if err != nil {
		return nil, err
	}
	return &upload{Upload: up, b: b}, nil
}

// upload is one of the spool's that is sent to S3 in the end.
type upload struct {
	registry.Upload
	b    *Bucket
	over bool
}

// Commit implements registry.Upload. Where it fails the upload is left for another
// try.
func (u *upload) Commit(ctx context.Context, key string) error {
	if u.over {
		return fs.ErrClosed
	}
	path, err := u.b.path(key)
	if err != nil {
		return err
	}
	reader, err := u.Content()
	if err != nil {
		return err
	}
	if err := u.b.store(ctx, path, content{reader: reader, size: u.Size()}, registry.Condition{}); err != nil {
		return err
	}
	if err := u.Cancel(); err != nil {
		u.b.o.Log.Warn("an upload that was stored is left in the spool for CleanUploads", "key", key, "err", err)
	}
	return nil
}

// Cancel implements registry.Upload.
func (u *upload) Cancel() error {
	u.over = true
	return u.Upload.Cancel()
}

// Close implements registry.Upload.
func (u *upload) Close() error {
	u.over = true
	return u.Upload.Close()
}

// CleanUploads implements registry.Blobs. It also aborts what was begun in parts
// before the time and never completed, by anybody, and counts that too.
func (b *Bucket) CleanUploads(ctx context.Context, before time.Time) (int, error) {
	var removed int
	var spoolErr error
	if b.o.Spool != nil {
		removed, spoolErr = b.o.Spool.CleanUploads(ctx, before)
	}
	aborted, err := b.cleanMultiparts(ctx, before)
	return removed + aborted, errors.Join(spoolErr, err)
}

func (b *Bucket) cleanMultiparts(ctx context.Context, before time.Time) (int, error) {
	aborted := 0
	for upload, err := range b.multiparts(ctx, b.prefix()) {
		if err != nil {
			return aborted, err
		}
		if !aws.ToTime(upload.Initiated).Before(before) {
			continue
		}
		if err := b.abort(ctx, aws.ToString(upload.Key), aws.ToString(upload.UploadId)); err != nil {
			return aborted, err
		}
		aborted++
	}
	return aborted, nil
}

// multiparts yields the uploads in parts of keys with a prefix, in S3. After an error
// it ends.
func (b *Bucket) multiparts(ctx context.Context, prefix string) iter.Seq2[types.MultipartUpload, error] {
	return func(yield func(types.MultipartUpload, error) bool) {
		pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.o.Bucket, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(types.MultipartUpload{}, b.fail(ctx, "ListMultipartUploads", prefix, err))
				return
			}
			for _, upload := range page.Uploads {
				if !yield(upload, nil) {
					return
				}
			}
		}
	}
}

package bucket

import (
	"context"
	"io"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// Site writes objects that others read straight from the bucket, or through a web server
// or CDN in front of it, with no regcred between. Its keys are any of S3, below the
// prefix; its objects have the headers that their readers need.
type Site struct{ b *Bucket }

// served are headers of the answers with an object. The zero value leaves them to the
// server.
type served struct{ contentType, cacheControl string }

// NewSite returns a site, and asks the server nothing yet. Uploads need no Spool.
// Errors: Invalid for options.
func NewSite(ctx context.Context, o Options) (*Site, error) {
	b, err := newBucket(ctx, o)
	if err != nil {
		return nil, err
	}
	b.format = siteFormat
	return &Site{b}, nil
}

// CreateBucket makes the bucket where it is not there, and reports whether it did.
// Errors: Exists where it is somebody else's; Unavailable.
func (s *Site) CreateBucket(ctx context.Context) (bool, error) {
	made := &setup{b: s.b, report: Report{Region: s.b.client.Options().Region}}
	err := made.bucket(ctx, true)
	return made.report.Created, err
}

// Claim checks that the server refuses writes whose condition does not hold, and notes
// below the prefix whose it is, so that no registry keeps its storage there too. It is
// needed once before Put with a condition.
// Errors: Invalid where it is a registry's storage; Unavailable where the bucket is not
// there, cannot be used, or ignores conditions.
func (s *Site) Claim(ctx context.Context) error { return s.b.readMarker(ctx) }

// Size returns that of an object, in bytes. Errors: NotFound, Unavailable.
func (s *Site) Size(ctx context.Context, key string) (int64, error) {
	path := s.b.prefix() + key
	out, err := s.b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.b.o.Bucket, Key: &path})
	if err != nil {
		return 0, s.b.fail(ctx, "HeadObject", key, err)
	}
	return aws.ToInt64(out.ContentLength), nil
}

// Read returns the content of an object of at most registry.MaxSmall bytes, and its
// version for Put. Errors: NotFound, TooLarge, Corrupt, Unavailable.
func (s *Site) Read(ctx context.Context, key string) (data []byte, version string, err error) {
	return s.b.read(ctx, s.b.prefix()+key)
}

// Put stores an object of at most registry.MaxSmall bytes, whose answers have a
// Content-Type and a Cache-Control; "" leaves one out.
// Errors: TooLarge; Exists or Stale where the condition does not hold; Unavailable.
func (s *Site) Put(ctx context.Context, key, contentType, cacheControl string, data []byte, c registry.Condition) error {
	if len(data) > registry.MaxSmall {
		return regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", key, len(data), registry.MaxSmall)
	}
	return s.serving(contentType, cacheControl).put(ctx, s.b.prefix()+key, data, c)
}

// Store stores an object of any size in place of any that is there, as PutDirect does.
// With "" for the digest the content is not checked, and nothing of it is spared when it
// is sent again. Errors: those of PutDirect.
func (s *Site) Store(ctx context.Context, key, contentType, cacheControl string, d digest.Digest, size int64, r io.Reader) error {
	if d != "" {
		if err := d.Validate(); err != nil {
			return regcred.Errorf(regcred.Invalid, "%q is no digest: %w", d, err)
		}
	}
	from := content{reader: r, size: size, digest: d}
	return s.serving(contentType, cacheControl).store(ctx, s.b.prefix()+key, from, registry.Condition{})
}

func (s *Site) serving(contentType, cacheControl string) *Bucket {
	b := *s.b
	b.served = served{contentType, cacheControl}
	return &b
}

// Copy stores an object again under another key, within the server. S3 copies up to
// 5 GiB so. Errors: NotFound; Unavailable, for larger ones too.
func (s *Site) Copy(ctx context.Context, from, to string) error {
	source := url.URL{Path: s.b.o.Bucket + "/" + s.b.prefix() + from}
	path := s.b.prefix() + to
	_, err := s.b.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &s.b.o.Bucket, Key: &path, CopySource: aws.String(source.EscapedPath()),
		ServerSideEncryption: types.ServerSideEncryption(s.b.o.SSE), SSEKMSKeyId: optional(s.b.o.KMSKeyID),
		StorageClass: types.StorageClass(s.b.o.StorageClass),
	})
	return s.b.fail(ctx, "CopyObject", from, err)
}

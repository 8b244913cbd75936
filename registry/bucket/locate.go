package bucket

import (
	"context"
	"net/http"
	"net/url"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
)

// MaxLifetime is the longest that S3 lets a presigned URL live. One that was signed
// with keys that expire ends with those.
const MaxLifetime = 7 * 24 * time.Hour

// Locate implements registry.Locator. The URL is at the public endpoint. Errors:
// Invalid for another method, and for a lifetime that is not between a second and
// MaxLifetime.
func (b *Bucket) Locate(ctx context.Context, key, method string, lifetime time.Duration) (*url.URL, error) {
	path, err := b.path(key)
	if err != nil {
		return nil, err
	}
	return b.locate(ctx, path, method, lifetime)
}

// locate presigns a URL, by an object's key in S3.
func (b *Bucket) locate(ctx context.Context, path, method string, lifetime time.Duration) (*url.URL, error) {
	if lifetime < time.Second || lifetime > MaxLifetime {
		return nil, regcred.Errorf(regcred.Invalid, "a presigned URL lives a second to %s, not %s", MaxLifetime, lifetime)
	}
	var signed string
	var err error
	expires := s3.WithPresignExpires(lifetime.Truncate(time.Second))
	switch method {
	case http.MethodGet:
		signed, err = signedURL(b.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.o.Bucket, Key: &path}, expires))
	case http.MethodHead:
		signed, err = signedURL(b.presign.PresignHeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.Bucket, Key: &path}, expires))
	default:
		return nil, regcred.Errorf(regcred.Invalid, "a presigned URL is for GET or HEAD, not %s", method)
	}
	if err != nil {
		return nil, b.fail(ctx, "GetObject", path, err)
	}
	return url.Parse(signed)
}

func signedURL(r *v4.PresignedHTTPRequest, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return r.URL, nil
}

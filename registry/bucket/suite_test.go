//go:build integration

package bucket_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// options are those of a new bucket of a server, by way of an endpoint.
func options(t *testing.T, s *s3test.Server, endpoint string) bucket.Options {
	t.Helper()
	return bucket.Options{
		Bucket: s.Bucket(t), Region: s.Region, Endpoint: endpoint, PathStyle: true,
		AccessKeyID: s.AccessKey, SecretAccessKey: regcred.NewSecret(s.SecretKey),
		Spool: openSpool(t), Backoff: time.Millisecond,
	}
}

func TestBucket(t *testing.T) {
	s := s3test.Start(t)
	regcredtest.TestBlobs(t, func(t *testing.T) registry.Blobs { return open(t, options(t, s, s.Endpoint)) })
}

// TestPrefix runs the suite below a prefix of a bucket that has other objects too.
func TestPrefix(t *testing.T) {
	s := s3test.Start(t)
	regcredtest.TestBlobs(t, func(t *testing.T) registry.Blobs {
		o := options(t, s, s.Endpoint)
		putForeign(t, s, o.Bucket, "a", "images-2/b/c", "images/not ours", "zzz")
		o.Prefix = "images/production"
		return open(t, o)
	})
}

// putForeign stores objects that are none of the registry's.
func putForeign(t *testing.T, s *s3test.Server, bucket string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("foreign")}
		if _, err := s.Client(s.Endpoint).PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWithoutConditionalDelete runs the suite as for a server that does not know If-Match
// of DELETE: an earlier Open found that out.
func TestWithoutConditionalDelete(t *testing.T) {
	s := s3test.Start(t)
	regcredtest.TestBlobs(t, func(t *testing.T) registry.Blobs {
		o := options(t, s, s.Endpoint)
		in := &s3.PutObjectInput{
			Bucket: &o.Bucket, Key: aws.String(".regcred"), Body: strings.NewReader(`{"format":"regcred blobs 1","conditionalDelete":false}`),
		}
		if _, err := s.Client(s.Endpoint).PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		return open(t, o)
	})
}

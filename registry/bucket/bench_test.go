//go:build integration

package bucket_test

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

const benchSize = 256 << 20

// BenchmarkPutDirect stores 256 MiB with a known digest, in turns with the SDK alone:
// parts of the same size, as many at once, from memory. It reports the ratio of the
// times, and of what this process spends of its processors.
func BenchmarkPutDirect(b *testing.B) {
	s := s3test.Start(b)
	data := random(1, benchSize)
	d := digest.FromBytes(data)
	store, err := bucket.Open(b.Context(), bucket.Options{
		Bucket: s.Bucket(b), Region: s.Region, Endpoint: s.Endpoint, PathStyle: true,
		AccessKeyID: s.AccessKey, SecretAccessKey: regcred.NewSecret(s.SecretKey),
	})
	if err != nil {
		b.Fatal(err)
	}
	c, name := s.Client(s.Endpoint), s.Bucket(b)
	b.SetBytes(benchSize)
	var direct, plain spent
	for b.Loop() {
		direct.add(b, func() error {
			return store.PutDirect(b.Context(), "k", d, benchSize, io.LimitReader(bytes.NewReader(data), benchSize), registry.Condition{})
		})
		b.StopTimer()
		plain.add(b, func() error { return plainUpload(b.Context(), c, name, data) })
		b.StartTimer()
	}
	b.ReportMetric(float64(direct.wall)/float64(plain.wall), "times-plain")
	b.ReportMetric(float64(direct.cpu)/float64(plain.cpu), "times-plain-cpu")
}

// spent is the time that some calls took.
type spent struct{ wall, cpu time.Duration }

func (s *spent) add(b *testing.B, do func() error) {
	b.Helper()
	began, cpu := time.Now(), processorTime(b)
	if err := do(); err != nil {
		b.Fatal(err)
	}
	s.wall += time.Since(began)
	s.cpu += processorTime(b) - cpu
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// plainUpload is what the SDK's examples do.
func plainUpload(ctx context.Context, c *s3.Client, bucket string, data []byte) error {
	key := "k"
	upload, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	const size, workers = 8 << 20, 3
	parts := make([]types.CompletedPart, len(data)/size)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range parts {
		group.Go(func() error {
			number := aws.Int32(int32(i + 1))
			out, err := c.UploadPart(groupCtx, &s3.UploadPartInput{
				Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: number,
				Body: bytes.NewReader(data[i*size : (i+1)*size]),
			})
			if err == nil {
				parts[i] = types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

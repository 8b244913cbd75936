//go:build integration

package bucket_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

const benchSize = 256 << 20

// BenchmarkPutDirect stores 256 MiB with a known digest. Compare it with
// BenchmarkPlainUpload.
func BenchmarkPutDirect(b *testing.B) {
	s := s3test.Start(b)
	data := random(1, benchSize)
	d := digest.FromBytes(data)
	o := bucket.Options{
		Bucket: s.Bucket(b), Region: s.Region, Endpoint: s.Endpoint, PathStyle: true,
		AccessKeyID: s.AccessKey, SecretAccessKey: regcred.NewSecret(s.SecretKey),
	}
	store, err := bucket.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := store.PutDirect(b.Context(), "k", d, benchSize, io.LimitReader(bytes.NewReader(data), benchSize), registry.Condition{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainUpload stores the same with the SDK alone: parts of the same size, as
// many at once, from memory.
func BenchmarkPlainUpload(b *testing.B) {
	s := s3test.Start(b)
	c, name, key := s.Client(s.Endpoint), s.Bucket(b), "k"
	data := random(1, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		upload, err := c.CreateMultipartUpload(b.Context(), &s3.CreateMultipartUploadInput{Bucket: &name, Key: &key})
		if err != nil {
			b.Fatal(err)
		}
		const part, workers = 8 << 20, 4
		parts := make([]types.CompletedPart, benchSize/part)
		numbers := make(chan int32)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for i := range numbers {
					out, err := c.UploadPart(b.Context(), &s3.UploadPartInput{
						Bucket: &name, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(i + 1),
						Body: bytes.NewReader(data[int(i)*part : int(i+1)*part]),
					})
					if err != nil {
						b.Error(err)
						continue
					}
					parts[i] = types.CompletedPart{PartNumber: aws.Int32(i + 1), ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
				}
			})
		}
		for i := range parts {
			numbers <- int32(i)
		}
		close(numbers)
		wg.Wait()
		if _, err := c.CompleteMultipartUpload(b.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: &name, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		}); err != nil {
			b.Fatal(err)
		}
	}
}

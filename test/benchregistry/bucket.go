package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"regcred.dev/regcredtest/s3test"
)

// openBucket starts an S3 server with a bucket. Close ends it.
func openBucket(ctx context.Context) (store, error) {
	s, err := s3test.Open("")
	if err != nil {
		return store{}, err
	}
	name := "bench-" + strings.ToLower(rand.Text())
	if _, err := s.Client(s.Endpoint).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		s.Close()
		return store{}, err
	}
	return store{s, name}, nil
}

// redirects measures how fast clients are sent to a bucket for a blob.
func (b *bench) redirects(ctx context.Context) error {
	in, err := openBucket(ctx)
	if err != nil {
		return err
	}
	defer in.s3.Close()
	ours, err := b.startRegcred(ctx, in)
	if err != nil {
		return err
	}
	defer ours.kill()
	theirs, err := b.startDistribution(ctx, in, false)
	if err != nil {
		return err
	}
	defer theirs.kill()
	cached, err := b.startDistribution(ctx, in, true)
	if err != nil {
		return err
	}
	defer cached.kill()
	s := newSample()
	if err := errors.Join(s.push(ctx, ours), s.push(ctx, theirs)); err != nil {
		return err
	}
	of := func(addr string) target {
		return target{addr: addr, path: blobsPath + s.layer.String(), status: http.StatusTemporaryRedirect, size: -1}
	}
	rates, ratios, err := b.contest(ctx, of(ours.addr), of(theirs.addr), of(cached.addr))
	if err != nil {
		return err
	}
	b.report.Figure("registry/redirect", rates[0], "req/s")
	b.report.NoisyAtMost(redirectByDistribution, "registry/redirect/distribution", ratios[1], "times")
	b.report.Figure("registry/redirect/distribution-with-cache", ratios[2], "times")
	return nil
}

// publishingToBucket measures regcred's publish of a layer whose digest is known to a
// bucket, straight and through a server, by an upload of the same bytes by the SDK in
// parts, as many at once as regcred sends.
func (b *bench) publishingToBucket(ctx context.Context) error {
	in, err := openBucket(ctx)
	if err != nil {
		return err
	}
	defer in.s3.Close()
	image, err := b.newImage([]int64{b.layer})
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(image) }()
	var straight, through, straightBySDK, throughBySDK, client, server []float64
	for range b.publish {
		floor, err := in.upload(ctx, image)
		if err != nil {
			return err
		}
		alone, err := b.publishStraight(ctx, image, in)
		if err != nil {
			return err
		}
		with, served, err := b.publishWith(ctx, image, in)
		if err != nil {
			return err
		}
		straight, through = append(straight, alone.wall.Seconds()), append(through, with.wall.Seconds())
		straightBySDK = append(straightBySDK, alone.wall.Seconds()/floor.Seconds())
		throughBySDK = append(throughBySDK, with.wall.Seconds()/floor.Seconds())
		client, server = append(client, alone.heap), append(server, served.heap)
		if err := in.empty(ctx); err != nil {
			return err
		}
	}
	const toBucket, throughServer = "registry/publish-to-bucket", "registry/publish-to-bucket-through-server"
	b.report.Figure(toBucket, median(straight), "s")
	b.report.NoisyAtMost(publishBySDK, toBucket+"/sdk", median(straightBySDK), "times")
	b.report.NoisyAtMost(publishMemory, toBucket+"/client-heap", median(client), "MiB")
	b.report.Figure(throughServer, median(through), "s")
	b.report.Figure(throughServer+"/sdk", median(throughBySDK), "times")
	b.report.NoisyAtMost(publishMemory, throughServer+"/server-heap", median(server), "MiB")
	return nil
}

// publishStraight publishes an image to the bucket, where any HTTP server can serve it
// from.
func (b *bench) publishStraight(ctx context.Context, image string, in store) (ran, error) {
	env := []string{"AWS_ACCESS_KEY_ID=" + in.s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + in.s3.SecretKey, "AWS_REGION=" + in.s3.Region}
	return command(ctx, env, b.regcred, "publish", image, repository+":"+tag,
		"--to", "s3://"+in.bucket+"/static", "--s3-endpoint", in.s3.Endpoint, "--s3-path-style")
}

// The parts of a plain upload.
const (
	partSize    = 16 << 20
	partsAtOnce = 4
)

// upload sends the largest blob of an image to the bucket.
func (s store) upload(ctx context.Context, image string) (time.Duration, error) {
	name, err := largest(filepath.Join(image, "blobs", "sha256"))
	if err != nil {
		return 0, err
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	client, key := s.s3.Client(s.s3.Endpoint), "floor"
	up, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	parts := make([]types.CompletedPart, (info.Size()+partSize-1)/partSize)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(partsAtOnce)
	for i := range parts {
		group.Go(func() error {
			number, from := int32(i+1), int64(i)*partSize
			body := io.NewSectionReader(f, from, min(partSize, info.Size()-from))
			out, err := client.UploadPart(groupCtx, &s3.UploadPartInput{Bucket: &s.bucket, Key: &key, UploadId: up.UploadId, PartNumber: &number, Body: body})
			if err == nil {
				parts[i] = types.CompletedPart{ETag: out.ETag, PartNumber: &number, ChecksumCRC32: out.ChecksumCRC32}
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return time.Since(began), err
}

// largest returns the largest file of a directory.
func largest(dir string) (name string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	size := int64(-1)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		if info.Size() > size {
			name, size = filepath.Join(dir, e.Name()), info.Size()
		}
	}
	return name, nil
}

// empty removes all objects.
func (s store) empty(ctx context.Context) error {
	client := s.s3.Client(s.s3.Endpoint)
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &s.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: o.Key}); err != nil {
				return err
			}
		}
	}
	return nil
}

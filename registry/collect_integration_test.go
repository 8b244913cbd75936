//go:build integration

package registry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// TestCollectS3 pushes, tags and deletes in a bucket while two others collect, each
// with a client of its own. What was acknowledged is complete, and in the end no garbage
// is left.
func TestCollectS3(t *testing.T) {
	server := s3test.Start(t)
	name := server.Bucket(t)
	connect := func(policy registry.Rule) *registry.Storage {
		b, err := bucket.Open(t.Context(), bucket.Options{
			Bucket: name, Region: server.Region, Endpoint: server.Endpoint, PathStyle: true,
			AccessKeyID: server.AccessKey, SecretAccessKey: regcred.NewSecret(server.SecretKey),
			Spool: openDir(t, t.TempDir()),
		})
		if err != nil {
			t.Fatal(err)
		}
		policy.Pattern = "*"
		return registry.NewStorage(b, registry.StorageOptions{Policy: registry.Policy{policy}})
	}
	untagged := registry.Rule{Keep: &registry.Retention{Untagged: 1}, Quota: 1 << 20}
	var pushers, collectors sync.WaitGroup
	var done atomic.Bool
	for range 2 {
		s := connect(untagged)
		s.SetTiming(time.Minute, time.Minute)
		collectors.Go(func() {
			for !done.Load() {
				if _, err := s.Collect(t.Context(), registry.CollectOptions{Grace: 10 * time.Second}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const images = 5
	for worker := range 3 {
		s := connect(untagged)
		pushers.Go(func() {
			for i := range images {
				pushImageOf(t, s, "a", fmt.Sprintf("w%d-%d", worker, i), "config", fmt.Sprint("layer ", i))
				pushImageOf(t, s, "a", fmt.Sprint("drop-", worker), "config", fmt.Sprintf("dropped %d %d", worker, i))
			}
			if err := s.DeleteTag(t.Context(), "a", fmt.Sprint("drop-", worker)); err != nil {
				t.Error(err)
			}
		})
	}
	pushers.Wait()
	done.Store(true)
	collectors.Wait()

	s := connect(untagged)
	s.SetTiming(1, 1)
	for range 4 {
		if _, err := s.Collect(t.Context(), registry.CollectOptions{Grace: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for worker := range 3 {
		for i := range images {
			checkImage(t, s, "a", fmt.Sprintf("w%d-%d", worker, i))
		}
	}
	if left := problems(t, s, true); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
	info, err := s.DescribeRepository(t.Context(), "a")
	if err != nil || info.Manifests != images || info.Blobs != images+1 || info.Tags != 3*images {
		t.Errorf("%+v, %v", info, err)
	}
}

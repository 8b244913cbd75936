package registry_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/registry"
)

// watchedBlobs note what a meter says at their first Get.
type watchedBlobs struct {
	registry.Blobs
	meter  *registry.Meter
	once   sync.Once
	during registry.Progress
}

// Get implements registry.Blobs.
func (b *watchedBlobs) Get(ctx context.Context, key string) (registry.Object, error) {
	b.once.Do(func() { b.during = b.meter.Now() })
	return b.Blobs.Get(ctx, key)
}

// TestMeter looks at a collection and checks from within them and after them.
func TestMeter(t *testing.T) {
	ctx := t.Context()
	blobs := newMemBlobs()
	s := registry.NewStorage(blobs, registry.StorageOptions{})
	pushImageOf(t, s, "acme/app", "1", "config", "layer")

	var meter registry.Meter
	watched := &watchedBlobs{Blobs: blobs, meter: &meter}
	s = registry.NewStorage(watched, registry.StorageOptions{})
	for problem, err := range s.Check(ctx, registry.CheckOptions{Deep: true, Meter: &meter}) {
		t.Errorf("%v, %v", problem, err)
	}
	size := int64(len("config") + len("layer") + len(imageManifest("config", "layer")))
	want := registry.Progress{Step: "reading all content", Number: 6, Steps: 6, Objects: 3, Bytes: size, Total: size}
	if diff := cmp.Diff(want, meter.Now()); diff != "" {
		t.Error(diff)
	}
	if now := watched.during; now.Number != 6 || now.Total != size || now.Bytes > 0 {
		t.Errorf("when the first content is opened: %+v", now)
	}
	if _, err := s.Collect(ctx, registry.CollectOptions{Meter: &meter}); err != nil {
		t.Fatal(err)
	}
	if now := meter.Now(); now.Number != now.Steps || now.Number == 0 || now.Total != 0 {
		t.Errorf("after a collection: %+v", now)
	}
}

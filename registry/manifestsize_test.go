package registry_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry"
)

// TestManifestsOfManyParts pushes manifests that are small as text and huge as data:
// they are refused before they take memory.
func TestManifestsOfManyParts(t *testing.T) {
	storage := openStorage(t, t.TempDir())
	descriptor := `{"mediaType":"application/octet-stream","digest":"sha256:` + strings.Repeat("0", 64) + `","size":3}`
	var fields strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&fields, `,"f%d":0`, i)
	}
	for name, test := range map[string]struct{ mediaType, data, want string }{
		"layers": {
			ocispec.MediaTypeImageManifest,
			`{"schemaVersion":2,"config":` + descriptor + `,"layers":[{}` + strings.Repeat(",{}", 1_300_000) + `]}`,
			`the list "layers" has more than 10000 elements`,
		},
		"manifests": {
			ocispec.MediaTypeImageIndex,
			`{"schemaVersion":2,"manifests":[{}` + strings.Repeat(",{}", 1_300_000) + `]}`,
			`the list "manifests" has more than 10000 elements`,
		},
		"fields": {
			ocispec.MediaTypeImageIndex,
			`{"schemaVersion":2,"manifests":[]` + fields.String() + `}`,
			"it has more than 100 fields",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := storage.PushManifest(t.Context(), "acme/app", "t", []byte(test.data), test.mediaType)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			// The document as bytes, its fields as raw JSON, and what reading takes.
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
				t.Errorf("%d MiB were allocated for a document of %d MiB", took>>20, len(test.data)>>20)
			}
		})
	}
	if _, err := storage.GetTag(t.Context(), "acme/app", "t"); err == nil {
		t.Error("a tag is there")
	}
}

// slowLinks is Blobs that take a second to read a link, and count who does so at once.
type slowLinks struct {
	registry.Blobs
	now, most atomic.Int64
}

func (b *slowLinks) Read(ctx context.Context, key string) ([]byte, string, error) {
	if strings.HasPrefix(key, "repositories/a/blobs/") {
		b.most.Store(max(b.most.Load(), b.now.Add(1)))
		time.Sleep(time.Second)
		b.now.Add(-1)
	}
	return b.Blobs.Read(ctx, key)
}

// TestLargeManifestsAtOnce pushes many large manifests at once: they wait for each
// other, since each takes much memory while it is stored, and others do not wait.
func TestLargeManifestsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemBlobs()
		pushBlob(t, registry.NewStorage(m, registry.StorageOptions{}), "a", "config")
		slow := &slowLinks{Blobs: m}
		s := registry.NewStorage(slow, registry.StorageOptions{})
		push := func(annotation string) {
			manifest := strings.TrimSuffix(imageManifest("config"), "}") + `,"annotations":{"a":"` + annotation + `"}}`
			if _, err := s.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage); err != nil {
				t.Error(err)
			}
		}
		var pushes sync.WaitGroup
		for i := range 12 {
			pushes.Go(func() { push(strings.Repeat(string(rune('a'+i)), registry.MaxSmall-1000)) })
		}
		synctest.Wait()
		if most := slow.most.Load(); most != 4 {
			t.Errorf("%d are stored at once", most)
		}
		began := time.Now()
		push("small")
		if took := time.Since(began); took != time.Second {
			t.Errorf("a small one took %v", took)
		}
		pushes.Wait()
	})
}

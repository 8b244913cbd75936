package registry_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
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

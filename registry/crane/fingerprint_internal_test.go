package crane

import (
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestFingerprints: what is remembered is found again, and bounded.
func TestFingerprints(t *testing.T) {
	var f fingerprints
	manifest := digest.FromString("manifest")
	for i := range maxFingerprints + 10 {
		id := strconv.Itoa(i)
		f.keep(manifest, id, fingerprint{byte(i)})
		if fp, ok := f.find(manifest, id); !ok || fp != (fingerprint{byte(i)}) {
			t.Fatalf("%s: %v, %v", id, fp, ok)
		}
	}
	if len(f.m) != maxFingerprints {
		t.Errorf("%d are remembered", len(f.m))
	}
	if _, ok := f.find(digest.FromString("another"), "0"); ok {
		t.Error("another manifest's is found")
	}
}

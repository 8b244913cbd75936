package crane

import (
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// fingerprint tells images of v1 apart that have the same id: by their document, their
// layer, and what lies below.
type fingerprint [sha256.Size]byte

func (s source) fingerprint() fingerprint {
	return sha256.Sum256([]byte(s.image.JSON.Digest.String() + " " + s.image.Layer.Digest.String() + " " + strings.Join(s.ancestry, " ")))
}

// maxFingerprints bounds how many are remembered.
const maxFingerprints = 20_000

// fingerprints remembers those of the images in manifests, which never change: many
// repositories have the same base. The zero fingerprints are empty.
type fingerprints struct {
	mu sync.Mutex
	m  map[imageOf]fingerprint
}

// imageOf is an image in the chain of a companion, by that one's manifest.
type imageOf struct {
	manifest digest.Digest
	id       string
}

func (f *fingerprints) find(manifest digest.Digest, id string) (fingerprint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fp, ok := f.m[imageOf{manifest, id}]
	return fp, ok
}

func (f *fingerprints) keep(manifest digest.Digest, id string, fp fingerprint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = map[imageOf]fingerprint{}
	}
	for other := range f.m { // any one will do
		if len(f.m) < maxFingerprints {
			break
		}
		delete(f.m, other)
	}
	f.m[imageOf{manifest, id}] = fp
}

package registry

import (
	"hash"
	"sync"

	"github.com/opencontainers/go-digest"
)

// maxHashes bounds how many uploads the registry remembers the hash of.
const maxHashes = 1000

// hashes keeps the hash of uploads between their requests, so that most need not
// be read again when they are committed. Losing one costs no more than that. The
// zero hashes are ready for use.
type hashes struct {
	mu sync.Mutex
	m  map[string]keptHash
}

type keptHash struct {
	size      int64 // bytes that went into the hash
	hash      hash.Hash
	algorithm digest.Algorithm
}

// keep remembers the hash of an upload.
func (h *hashes) keep(id string, kept keptHash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m == nil {
		h.m = make(map[string]keptHash)
	}
	for other := range h.m { // any one will do
		if len(h.m) < maxHashes {
			break
		}
		delete(h.m, other)
	}
	h.m[id] = kept
}

// take returns and forgets the hash of an upload, a zero keptHash where that of its
// first size bytes is not known.
func (h *hashes) take(id string, size int64) keptHash {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept, ok := h.m[id]
	delete(h.m, id)
	if !ok || kept.size != size {
		return keptHash{}
	}
	return kept
}

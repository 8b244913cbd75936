package registry

import (
	"hash"
	"sync"
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
	size int64 // bytes that went into the hash
	hash hash.Hash
}

// keep remembers the hash of the first size bytes of an upload.
func (h *hashes) keep(id string, size int64, sum hash.Hash) {
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
	h.m[id] = keptHash{size, sum}
}

// take returns and forgets the hash of an upload, nil where that of its first
// size bytes is not known.
func (h *hashes) take(id string, size int64) hash.Hash {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept, ok := h.m[id]
	delete(h.m, id)
	if !ok || kept.size != size {
		return nil
	}
	return kept.hash
}

package registry

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

func TestHashes(t *testing.T) {
	var h hashes
	if h.take("none", 0) != nil {
		t.Error("the hash of an unknown upload is known")
	}
	sum := sha256.New()
	h.keep("a", 3, sum)
	if h.take("a", 3) != sum {
		t.Error("the hash of an upload is forgotten")
	}
	if h.take("a", 3) != nil {
		t.Error("one hash is given away twice")
	}
	h.keep("a", 3, sum)
	if h.take("a", 4) != nil {
		t.Error("the hash of fewer bytes than the upload has is given away")
	}
	for i := range 2 * maxHashes {
		h.keep(fmt.Sprint(i), 0, sum)
	}
	if len(h.m) > maxHashes || h.take(fmt.Sprint(2*maxHashes-1), 0) == nil {
		t.Errorf("%d hashes are kept, or not the newest", len(h.m))
	}
}

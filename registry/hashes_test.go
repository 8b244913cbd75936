package registry

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestHashes(t *testing.T) {
	var h hashes
	if h.take("none", 0).hash != nil {
		t.Error("the hash of an unknown upload is known")
	}
	kept := keptHash{size: 3, hash: sha256.New(), algorithm: digest.SHA256}
	h.keep("a", kept)
	if h.take("a", 3) != kept {
		t.Error("the hash of an upload is forgotten")
	}
	if h.take("a", 3).hash != nil {
		t.Error("one hash is given away twice")
	}
	h.keep("a", kept)
	if h.take("a", 4).hash != nil {
		t.Error("the hash of fewer bytes than the upload has is given away")
	}
	for i := range 2 * maxHashes {
		h.keep(fmt.Sprint(i), kept)
	}
	if len(h.m) > maxHashes || h.take(fmt.Sprint(2*maxHashes-1), 3) != kept {
		t.Errorf("%d hashes are kept, or not the newest", len(h.m))
	}
}

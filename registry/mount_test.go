package registry_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// TestMountOfDeleted: what a repository no longer has is not mounted from it, though the
// content is there, other repositories have it, and it was pulled from there just now.
func TestMountOfDeleted(t *testing.T) {
	h := newHarness(t)
	d := h.pushBlob(t, "from", "content")
	h.pushBlob(t, "other", "content")
	admin := h.admin(t)
	blob := "/blobs/" + d.String()
	for range 2 {
		if a := h.do(t, admin, call{method: "GET", path: "/v2/from" + blob}); a.status != 200 {
			t.Fatal(a)
		}
	}
	mount := call{method: "POST", path: "/v2/to/blobs/uploads/?from=from&mount=" + d.String()}
	if a := h.do(t, admin, call{method: "DELETE", path: "/v2/from" + blob}); a.status != 202 {
		t.Fatal(a)
	}
	if a := h.do(t, admin, mount); a.status != 202 {
		t.Errorf("mount: %d %s", a.status, a.body)
	}
	if a := h.do(t, admin, call{method: "GET", path: "/v2/to" + blob}); a.status != 404 {
		t.Errorf("after the mount: %d", a.status)
	}
}

// deletingBlobs delete an object when its content is looked for.
type deletingBlobs struct {
	registry.Blobs
	once sync.Once
	key  string
}

// Get implements registry.Blobs.
func (b *deletingBlobs) Get(ctx context.Context, key string) (registry.Object, error) {
	if strings.HasPrefix(key, "blobs/") {
		b.once.Do(func() { _ = b.Blobs.Delete(ctx, b.key, registry.Condition{}) })
	}
	return b.Blobs.Get(ctx, key)
}

// TestMountBesideDeletion: a mount that began while the repository had the blob succeeds,
// as if it had come before the deletion. The caller could as well have pulled it.
func TestMountBesideDeletion(t *testing.T) {
	m := newMemBlobs()
	d := digest.FromString("content")
	blobs := &deletingBlobs{Blobs: m, key: "repositories/from/blobs/sha256/" + d.Encoded()}
	s := registry.NewStorage(blobs, registry.StorageOptions{})
	pushBlob(t, s, "from", "content")
	if _, err := s.MountBlob(t.Context(), "from", "to", d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResolveBlob(t.Context(), "from", d); !unknown(err) {
		t.Errorf("it was not deleted meanwhile: %v", err)
	}
	if _, err := s.ResolveBlob(t.Context(), "to", d); err != nil {
		t.Error(err)
	}
	if _, err := s.MountBlob(t.Context(), "from", "again", d); !unknown(err) {
		t.Errorf("after the deletion: %v", err)
	}
}

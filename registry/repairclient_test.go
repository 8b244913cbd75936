package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestClientRepairs damages all content, and lets a client push it again that asks
// for each part first.
func TestClientRepairs(t *testing.T) {
	h := newHarness(t)
	auth := remote.WithAuth(authFor(h.admin(t)))
	image, ref := randomImage(t), h.ref(t, "a:t")
	if err := remote.Write(ref, image, auth); err != nil {
		t.Fatal(err)
	}
	for _, name := range fileNames(t, filepath.Join(h.dir, "objects", "blobs")) {
		if err := os.Truncate(name, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.Write(ref, image, auth); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.log.String(), "push it again") {
		t.Error("the damage was not logged")
	}
	pulled, err := remote.Image(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Error(err)
	}
}

//go:build integration

package bucket_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
)

// TestStorage keeps a registry in a bucket that fails now and then.
func TestStorage(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Proxy(t, s3test.Faults{Rate: 0.1, Seed: 3}).Endpoint)
	o.Prefix = "images"
	storage := registry.NewStorage(open(t, o), registry.StorageOptions{})
	layer := string(random(1, 12<<20))
	config := "{}"
	for _, content := range []string{layer, config} {
		desc := ociregistry.Descriptor{Digest: digest.FromString(content), Size: int64(len(content))}
		if _, err := storage.PushBlob(t.Context(), "acme/app", desc, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, digest.FromString(config),
		ocispec.MediaTypeImageLayer, digest.FromString(layer), len(layer))
	for _, tag := range []string{"latest", "v1"} {
		if _, err := storage.PushManifest(t.Context(), "acme/app", tag, []byte(manifest), ocispec.MediaTypeImageManifest); err != nil {
			t.Fatal(err)
		}
	}
	if err := storage.DeleteTag(t.Context(), "acme/app", "v1"); err != nil {
		t.Fatal(err)
	}
	var tags []string
	for tag, err := range storage.Tags(t.Context(), "acme/app", "") {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if len(tags) != 1 || tags[0] != "latest" {
		t.Errorf("tags %q", tags)
	}
	found, err := storage.GetTag(t.Context(), "acme/app", "latest")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	if got, err := io.ReadAll(found); err != nil || string(got) != manifest {
		t.Errorf("the manifest is %q, %v", got, err)
	}
	blob, err := storage.GetBlob(t.Context(), "acme/app", digest.FromString(layer))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if got, err := io.ReadAll(blob); err != nil || string(got) != layer {
		t.Errorf("the layer has %d bytes, %v", len(got), err)
	}
}

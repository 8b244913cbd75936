package registry_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
)

// descriptor describes a blob.
func descriptor(content string) ociregistry.Descriptor {
	return ociregistry.Descriptor{
		MediaType: "application/octet-stream", Digest: digest.FromString(content), Size: int64(len(content)),
	}
}

func descriptorJSON(content string) string {
	return fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":%d}`, digest.FromString(content), len(content))
}

// imageManifest returns an OCI image manifest of blobs, the first one being the
// config.
func imageManifest(contents ...string) string {
	var layers []string
	for _, content := range contents[1:] {
		layers = append(layers, descriptorJSON(content))
	}
	return imageOf(contents[0], layers...)
}

func imageOf(config string, layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, descriptorJSON(config), strings.Join(layers, ","))
}

// listed returns the tags or repositories of an answer.
func listed(t *testing.T, body string) []string {
	t.Helper()
	var list struct{ Tags, Repositories []string }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	return append(list.Tags, list.Repositories...)
}

// referrers returns the digests of an index.
func referrers(t *testing.T, body string) []string {
	t.Helper()
	var index struct{ Manifests []ociregistry.Descriptor }
	if err := json.Unmarshal([]byte(body), &index); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range index.Manifests {
		list = append(list, d.Digest.String())
	}
	return list
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

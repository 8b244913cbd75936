package dockerv1_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/dockerv1"
)

// id returns the id of 64 times the same digit.
func id(digit string) string { return strings.Repeat(digit, 64) }

func describe(mediaType, content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
}

// companion is one of three layers, two of which are the same blob.
func companion() dockerv1.Companion {
	image := func(id, layer string) dockerv1.Image {
		return dockerv1.Image{ID: id, JSON: describe(dockerv1.MediaTypeJSON, `{"id":"`+id+`"}`), Layer: describe(dockerv1.MediaTypeLayer, layer)}
	}
	return dockerv1.Companion{
		Subject: describe("application/vnd.docker.distribution.manifest.v2+json", "manifest"),
		Images:  []dockerv1.Image{image(id("c"), "empty"), image(id("b"), "empty"), image(id("a"), "base")},
	}
}

func TestCompanion(t *testing.T) {
	want := companion()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/companion.json")
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), indented.String()+"\n"); diff != "" {
		t.Error(diff)
	}
	got, err := dockerv1.ParseCompanion(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.ID() != id("c") {
		t.Errorf("the image is %s", got.ID())
	}
	if diff := cmp.Diff([]string{id("b"), id("a")}, got.Ancestry(id("b"))); diff != "" {
		t.Error(diff)
	}
	if got.Ancestry(id("d")) != nil {
		t.Error("there is an ancestry of an image that it does not have")
	}
	if img, ok := got.Image(id("a")); !ok || img.Layer.Digest != digest.FromString("base") {
		t.Errorf("image %v, %v", img, ok)
	}
	if _, ok := got.Image(id("d")); ok {
		t.Error("it has an image that it does not have")
	}
	if c := dockerv1.Config(); c.Digest != digest.FromBytes(c.Data) || c.Size != int64(len(c.Data)) {
		t.Errorf("config %v", c)
	}
}

// TestCompanionRefused changes one thing at a time.
func TestCompanionRefused(t *testing.T) {
	for _, test := range []struct {
		name, old, text string
		want            string
	}{
		{"type", dockerv1.ArtifactType, "application/vnd.example", "artifactType"},
		{"no manifest", `"schemaVersion":2`, `"schemaVersion":1`, "no OCI image manifest"},
		{"config", `"config":{"mediaType":"application/vnd.oci.empty.v1+json"`, `"config":{"mediaType":"text/plain"`, "config"},
		{"subject", `"subject":`, `"object":`, "no subject"},
		{"pair", dockerv1.MediaTypeJSON, "text/plain", "no pair"},
		{"ids of a pair", `"` + id("b") + `"`, `"` + id("d") + `"`, "no pair"},
		{"not hexadecimal", id("b"), strings.Repeat("B", 64), "64 lower-case"},
		{"twice", id("b"), id("a"), "twice"},
		{"digest", digest.FromString("base").String(), "sha256:1", "no digest"},
		{"weak digest", digest.FromString("base").String(), "sha384:" + strings.Repeat("1", 96), "only sha256"},
		{"size", `"size":4`, `"size":-4`, "size -4"},
		{"cut", `]`, ``, "invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data, err := companion().Encode()
			if err != nil {
				t.Fatal(err)
			}
			n := -1
			if test.name == "ids of a pair" {
				n = 1
			}
			bad := strings.Replace(string(data), test.old, test.text, n)
			if bad == string(data) {
				t.Fatal("nothing was changed")
			}
			_, err = dockerv1.ParseCompanion([]byte(bad))
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestCompanionLimits(t *testing.T) {
	c := companion()
	c.Images[1].JSON.Size = dockerv1.MaxDocument + 1
	if _, err := c.Encode(); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("a large document: %v", err)
	}
	c = companion()
	for len(c.Images) <= dockerv1.MaxDepth {
		c.Images = append(c.Images, c.Images[0])
	}
	if _, err := c.Encode(); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("a deep image: %v", err)
	}
	if _, err := (dockerv1.Companion{}).Encode(); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("an empty companion: %v", err)
	}
	if _, err := dockerv1.ParseCompanion(bytes.Repeat([]byte(" "), dockerv1.MaxCompanion+1)); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("a large manifest: %v", err)
	}
}

func TestAncestry(t *testing.T) {
	list := func(ids ...string) []byte {
		data, err := json.Marshal(ids)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var deep []string
	for range dockerv1.MaxDepth + 1 {
		deep = append(deep, id("a"))
	}
	for _, test := range []struct {
		name string
		data []byte
		code regcred.Code
	}{
		{"another's", list(id("b"), id("a")), regcred.Invalid},
		{"empty", list(), regcred.Invalid},
		{"a circle", list(id("a"), id("b"), id("a")), regcred.Invalid},
		{"no id", list(id("a"), "../../etc/passwd"), regcred.Invalid},
		{"no list", []byte(`{"a":1}`), regcred.Invalid},
		{"followed by more", append(list(id("a")), '['), regcred.Invalid},
		{"deep", list(deep...), regcred.TooLarge},
		{"large", bytes.Repeat([]byte(" "), dockerv1.MaxDocument+1), regcred.TooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := dockerv1.ParseAncestry(id("a"), test.data); regcred.CodeOf(err) != test.code {
				t.Errorf("error %v", err)
			}
		})
	}
	got, err := dockerv1.ParseAncestry(id("a"), list(id("a"), id("b")))
	if err != nil || !cmp.Equal(got, []string{id("a"), id("b")}) {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzCompanion reads manifests of any bytes. What is accepted is written back to
// what reads the same.
func FuzzCompanion(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := dockerv1.ParseCompanion(data)
		if err != nil {
			if regcred.CodeOf(err) == regcred.Internal {
				t.Errorf("error without a code: %v", err)
			}
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		same, err := dockerv1.ParseCompanion(again)
		if err != nil || !cmp.Equal(c, same) {
			t.Errorf("read again: %v, %s", err, cmp.Diff(c, same))
		}
	})
}

package imagebuild_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/tools/image/imagebuild"
)

var created = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// work is a directory for all tests of this package.
var work string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "regcred-image-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(work) }()
	return m.Run()
}

// source is a copy of regcred's source without a revision.
var source = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(work, "source")
	return dir, copySource("../../..", dir)
})

// image is the image for this machine alone, built once.
var image = sync.OnceValues(func() (imagebuild.Result, error) {
	dir, err := source()
	if err != nil {
		return imagebuild.Result{}, err
	}
	return imagebuild.Build(context.Background(), imagebuild.Options{
		Source: dir, Out: filepath.Join(work, "dist"), Architectures: []string{runtime.GOARCH}, Created: created,
	})
})

func build(t *testing.T) imagebuild.Result {
	t.Helper()
	built, err := image()
	must(t, err)
	return built
}

// copySource copies what regcred is built from.
func copySource(from, to string) error {
	skipped := []string{".git", "bin", "dist", "test", "testdata", "tools", "regcred-data"}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, name); {
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		default:
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(target, data, 0o644))
		}
	})
}

// contents is what is in an image.
type contents struct {
	config ocispec.Image
	layers []map[string]entry // by name
}

// entry is a file of a layer.
type entry struct {
	header tar.Header
	body   []byte
}

// read reads the image for an architecture out of a layout, and checks every digest on
// the way.
func read(t *testing.T, layout, arch string) contents {
	t.Helper()
	var root, index ocispec.Index
	data, err := os.ReadFile(filepath.Join(layout, ocispec.ImageIndexFile))
	must(t, err)
	must(t, json.Unmarshal(data, &root))
	if len(root.Manifests) != 1 {
		t.Fatalf("the layout has %d images", len(root.Manifests))
	}
	must(t, json.Unmarshal(blob(t, layout, root.Manifests[0]), &index))
	i := slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return d.Platform.OS == "linux" && d.Platform.Architecture == arch
	})
	if i < 0 {
		t.Fatalf("there is no image for %s: %+v", arch, index.Manifests)
	}
	var manifest ocispec.Manifest
	must(t, json.Unmarshal(blob(t, layout, index.Manifests[i]), &manifest))
	var c contents
	must(t, json.Unmarshal(blob(t, layout, manifest.Config), &c.config))
	for i, d := range manifest.Layers {
		plain := gunzip(t, blob(t, layout, d))
		if got := digest.FromBytes(plain); got != c.config.RootFS.DiffIDs[i] {
			t.Errorf("layer %d is %s, the config says %s", i, got, c.config.RootFS.DiffIDs[i])
		}
		c.layers = append(c.layers, untar(t, plain))
	}
	return c
}

func blob(t *testing.T, layout string, d ocispec.Descriptor) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(layout, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
	must(t, err)
	if digest.FromBytes(data) != d.Digest || int64(len(data)) != d.Size {
		t.Fatalf("blob %s is not what it is named after", d.Digest)
	}
	return data
}

func gunzip(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	must(t, err)
	if !z.ModTime.IsZero() {
		t.Errorf("gzip has the time %s", z.ModTime)
	}
	plain, err := io.ReadAll(z)
	must(t, err)
	return plain
}

func untar(t *testing.T, data []byte) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	last := ""
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		if strings.Compare(last, h.Name) >= 0 {
			t.Errorf("%s comes after %s", h.Name, last)
		}
		last = h.Name
		body, err := io.ReadAll(r)
		must(t, err)
		files[h.Name] = entry{*h, body}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

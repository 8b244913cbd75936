package static_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
	"regcred.dev/registry/static"
)

// serve serves a handler and returns the host of its images.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func openDirectory(t *testing.T, dir string) *static.Directory {
	t.Helper()
	d, err := static.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func newRegistry(t *testing.T, objects static.Objects) *static.Registry {
	t.Helper()
	r, err := static.New(t.Context(), objects, static.Options{SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// openArchive opens a tar of files.
func openArchive(t *testing.T, list []at.File) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.Context(), archive.Stdin, archive.Options{Stdin: bytes.NewReader(at.Tar(list...)), SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// publishTo publishes the first image of an archive.
func publishTo(ctx context.Context, r *static.Registry, a *archive.Archive, repo, tag string) (publish.Result, error) {
	return publish.Publish(ctx, r, a.Images()[0], repo, tag, publish.Options{})
}

func mustPublish(t *testing.T, r *static.Registry, a *archive.Archive, repo, tag string) publish.Result {
	t.Helper()
	result, err := publishTo(t.Context(), r, a, repo, tag)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// signed is a layout of an image for two platforms, with an artifact about one, another
// about that, and a signature as cosign tags it.
func signed() signedLayout {
	var l at.Layout
	child := l.Manifest(at.New("amd64", "one"), ocispec.MediaTypeImageLayerGzip)
	other := l.Manifest(at.New("arm64", "two"), ocispec.MediaTypeImageLayerGzip)
	index := l.IndexOf(onPlatform(child, "amd64"), onPlatform(other, "arm64"))
	sbom := l.Artifact(child, "sbom")
	l.Add(l.Artifact(sbom, "note"), "", "")
	l.Add(l.Manifest(at.New("amd64", "signature"), ocispec.MediaTypeImageLayerGzip), "sha256-"+index.Digest.Encoded()+".sig", "")
	l.Add(sbom, "", "")
	l.Add(index, "acme/app:1", "1")
	return signedLayout{l.Files(), index, child, sbom}
}

// onPlatform says what an image is for, as its index does.
func onPlatform(d ocispec.Descriptor, arch string) ocispec.Descriptor {
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	return d
}

type signedLayout struct {
	files              []at.File
	index, child, sbom ocispec.Descriptor
}

// large is a `docker save` whose layer is sent in several chunks.
func large() []at.File {
	noise := make([]byte, 9<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	return at.DockerSave([]string{"x"}, at.New("amd64", "small", string(noise)))
}

// small is a `docker save` of little.
func small(content string) []at.File {
	return at.DockerSave([]string{"x"}, at.New("amd64", content))
}

func reference(t *testing.T, host, image string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(host+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pull pulls an image or index, checks all of it and returns its digest.
func pull(t *testing.T, host, image string) digest.Digest {
	t.Helper()
	d, err := remote.Get(reference(t, host, image))
	if err != nil {
		t.Fatalf("%s: %v", image, err)
	}
	if d.MediaType.IsIndex() {
		index, err := d.ImageIndex()
		if err == nil {
			err = validate.Index(index)
		}
		if err != nil {
			t.Errorf("%s: %v", image, err)
		}
		return digest.Digest(d.Digest.String())
	}
	img, err := d.Image()
	if err == nil {
		err = validate.Image(img)
	}
	if err != nil {
		t.Errorf("%s: %v", image, err)
	}
	return digest.Digest(d.Digest.String())
}

// recorder counts what is written, calls a hook after each write, and fails from some
// write on, as where the publisher is killed.
type recorder struct {
	static.Objects
	after func()

	mu     sync.Mutex
	writes []string // keys
	limit  int      // of writes, 0 for none
}

var errKilled = regcred.Errorf(regcred.Unavailable, "killed")

// write counts a write; it reports whether that is to be done.
func (r *recorder) write(key string, do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit > 0 && len(r.writes) == r.limit {
		return errKilled
	}
	r.writes = append(r.writes, key)
	err := do()
	if r.after != nil {
		r.after()
	}
	return err
}

func (r *recorder) Put(ctx context.Context, key, contentType, cacheControl string, data []byte, c registry.Condition) error {
	return r.write(key, func() error { return r.Objects.Put(ctx, key, contentType, cacheControl, data, c) })
}

func (r *recorder) Store(ctx context.Context, key, contentType, cacheControl string, d digest.Digest, size int64, content io.Reader) error {
	return r.write(key, func() error { return r.Objects.Store(ctx, key, contentType, cacheControl, d, size, content) })
}

func (r *recorder) Copy(ctx context.Context, from, to string) error {
	return r.write(to, func() error { return r.Objects.Copy(ctx, from, to) })
}

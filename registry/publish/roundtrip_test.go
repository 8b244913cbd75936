package publish_test

import (
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

// secret is a token that no server here looks at.
var secret = regcred.NewSecret("token")

// server starts a registry in memory and returns its URL.
func server(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(s.Close)
	return s.URL
}

// connect returns a destination at a server that asks for no login.
func connect(t *testing.T, url string) publish.Destination {
	t.Helper()
	dst, err := publish.Remote(url, regcred.Secret{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// open opens an archive for the length of the test.
func open(t *testing.T, path string, o archive.Options) *archive.Archive {
	t.Helper()
	o.SpoolDir = t.TempDir()
	a, err := archive.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// reference returns acme/app:1 at a server.
func reference(t *testing.T, url string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(url, "http://")+"/acme/app:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pulled is what a client has got of an image.
type pulled struct {
	Config string
	Layers []string // uncompressed
}

// pull reads an image in full with go-containerregistry, which verifies every
// digest on the way.
func pull(t *testing.T, img v1.Image, err error) pulled {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	p := pulled{Config: string(config)}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		p.Layers = append(p.Layers, string(data))
	}
	return p
}

// want is what a client should get of an image.
func want(img archivetest.Image) pulled {
	p := pulled{Config: string(img.Config)}
	for _, l := range img.Layers {
		p.Layers = append(p.Layers, string(l))
	}
	return p
}

// exports are the files of one image in each kind of export.
func exports(img archivetest.Image) map[string][]archivetest.File {
	kinds := map[string][]archivetest.File{"docker save": archivetest.DockerSave([]string{"acme/app:1"}, img)}
	for kind, layerType := range map[string]string{
		"layout, gzip": ocispec.MediaTypeImageLayerGzip,
		"layout, zstd": ocispec.MediaTypeImageLayerZstd,
	} {
		var l archivetest.Layout
		l.Add(l.Manifest(img, layerType), "docker.io/acme/app:1", "1")
		kinds[kind] = l.Files()
	}
	var l archivetest.Layout
	l.Add(l.Manifest(img, ocispec.MediaTypeImageLayer), "docker.io/acme/app:1", "1")
	kinds["docker save with layout"] = append(l.Files(),
		archivetest.File{Name: "manifest.json", Body: archivetest.DockerManifest("blobs/sha256/x", nil)})
	return kinds
}

// TestRoundTrip publishes each kind of export, in each form, and pulls it back.
func TestRoundTrip(t *testing.T) {
	// The third layer is the first again: a link in a classic docker save.
	img := archivetest.New("amd64", "one", strings.Repeat("two ", 1000), "three")
	img = archivetest.WithLayers("amd64", img.Layers[0], img.Layers[1], img.Layers[0])
	for kind, files := range exports(img) {
		tar := archivetest.Tar(files...)
		forms := map[string]func(t *testing.T) *archive.Archive{
			"file": func(t *testing.T) *archive.Archive { return open(t, write(t, tar), archive.Options{}) },
			"gzip": func(t *testing.T) *archive.Archive {
				return open(t, write(t, archivetest.Gzip(tar)), archive.Options{})
			},
			"zstd": func(t *testing.T) *archive.Archive {
				return open(t, write(t, archivetest.Zstd(tar)), archive.Options{})
			},
			"stdin": func(t *testing.T) *archive.Archive {
				return open(t, archive.Stdin, archive.Options{Stdin: bytes.NewReader(tar)})
			},
			"gzip on stdin": func(t *testing.T) *archive.Archive {
				return open(t, archive.Stdin, archive.Options{Stdin: bytes.NewReader(archivetest.Gzip(tar))})
			},
			"directory": func(t *testing.T) *archive.Archive {
				dir := t.TempDir()
				if err := archivetest.WriteDir(dir, files...); err != nil {
					t.Fatal(err)
				}
				return open(t, dir, archive.Options{})
			},
		}
		for form, open := range forms {
			t.Run(kind+"/"+form, func(t *testing.T) {
				url := server(t)
				res, err := publish.Publish(t.Context(), connect(t, url), open(t).Images()[0], "acme/app", "1", publish.Options{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := remote.Image(reference(t, url))
				if diff := cmp.Diff(want(img), pull(t, got, err)); diff != "" {
					t.Error(diff)
				}
				if d, err := got.Digest(); err != nil || d.String() != res.Root.Digest.String() {
					t.Errorf("pulled %s, %v; published %s", d, err, res.Root.Digest)
				}
				if res.Sent != 3 || res.Present != 0 {
					t.Errorf("sent %d, present %d, want 3 and 0: a config and two different layers", res.Sent, res.Present)
				}
			})
		}
	}
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestToolRoundTrip reads what go-containerregistry writes.
func TestToolRoundTrip(t *testing.T) {
	img, err := random.Image(100_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("registry.example.com/acme/app:1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tarball.WriteToFile(filepath.Join(dir, "save.tar"), tag, img); err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "registry.example.com/acme/app:1"})); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"save.tar", "layout"} {
		t.Run(kind, func(t *testing.T) {
			url := server(t)
			a := open(t, filepath.Join(dir, kind), archive.Options{})
			if diff := cmp.Diff([]string{"registry.example.com/acme/app:1"}, a.Images()[0].Names); diff != "" {
				t.Error(diff)
			}
			if _, err := publish.Publish(t.Context(), connect(t, url), a.Images()[0], "acme/app", "1", publish.Options{}); err != nil {
				t.Fatal(err)
			}
			got, err := remote.Image(reference(t, url))
			if diff := cmp.Diff(pull(t, img, nil), pull(t, got, err)); diff != "" {
				t.Error(diff)
			}
			// Its layers are compressed already, and stay byte for byte.
			if diff := cmp.Diff(digests(t, img), digests(t, got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func digests(t *testing.T, img v1.Image) []string {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	list := []string{m.Config.Digest.String()}
	for _, l := range m.Layers {
		list = append(list, l.Digest.String())
	}
	return list
}

// multiArch is a layout of two platforms with an attestation each.
func multiArch() (l *archivetest.Layout, amd64, arm64 archivetest.Image, children []ocispec.Descriptor) {
	l = new(archivetest.Layout)
	amd64, arm64 = archivetest.New("amd64", "shared", "amd64"), archivetest.New("arm64", "shared", "arm64")
	for _, img := range []archivetest.Image{amd64, arm64} {
		d := l.Manifest(img, ocispec.MediaTypeImageLayerGzip)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: map[bool]string{true: "amd64", false: "arm64"}[len(children) == 0]}
		children = append(children, d)
	}
	children = append(children, l.Attestation(children[0].Digest), l.Attestation(children[1].Digest))
	return l, amd64, arm64, children
}

// TestMultiArch passes an index on unchanged, attestations included.
func TestMultiArch(t *testing.T) {
	l, _, arm64, children := multiArch()
	root := l.IndexOf(children...)
	l.Add(root, "docker.io/acme/app:1", "1")
	a := open(t, write(t, archivetest.Tar(l.Files()...)), archive.Options{})
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, a.Images()[0].Platforms()); diff != "" {
		t.Error(diff)
	}
	url := server(t)
	res, err := publish.Publish(t.Context(), connect(t, url), a.Images()[0], "acme/app", "1", publish.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Root.Digest != root.Digest {
		t.Errorf("published %s, want the index %s unchanged", res.Root.Digest, root.Digest)
	}
	got, err := remote.Image(reference(t, url), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
	if diff := cmp.Diff(want(arm64), pull(t, got, err)); diff != "" {
		t.Error(diff)
	}
	idx, err := remote.Index(reference(t, url))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children[2:] {
		h, err := v1.NewHash(c.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		att, err := idx.Image(h)
		if p := pull(t, att, err); len(p.Layers) != 1 || !strings.Contains(p.Layers[0], "subject") {
			t.Errorf("attestation %s: %v", c.Digest, p)
		}
	}
}

// TestPartialIndex publishes those platforms of an index that were saved.
func TestPartialIndex(t *testing.T) {
	l, amd64, _, children := multiArch()
	l.Add(l.IndexOf(children...), "docker.io/acme/app:1", "1")
	delete(l.Blobs, children[1].Digest)
	a := open(t, write(t, archivetest.Tar(l.Files()...)), archive.Options{})
	if diff := cmp.Diff([]string{"linux/arm64"}, a.Images()[0].Absent); diff != "" {
		t.Error(diff)
	}
	url := server(t)
	if _, err := publish.Publish(t.Context(), connect(t, url), a.Images()[0], "acme/app", "1", publish.Options{}); err != nil {
		t.Fatal(err)
	}
	idx, err := remote.Index(reference(t, url))
	if err != nil {
		t.Fatal(err)
	}
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range m.Manifests {
		got = append(got, d.Digest.String())
	}
	if diff := cmp.Diff([]string{children[0].Digest.String(), children[2].Digest.String()}, got); diff != "" {
		t.Errorf("want amd64 and its attestation: %s", diff)
	}
	img, err := remote.Image(reference(t, url), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if diff := cmp.Diff(want(amd64), pull(t, img, err)); diff != "" {
		t.Error(diff)
	}
}

// TestAgain publishes twice: the second time sends nothing.
func TestAgain(t *testing.T) {
	img := archivetest.New("amd64", "one", "two")
	for kind, files := range exports(img) {
		t.Run(kind, func(t *testing.T) {
			dst := connect(t, server(t))
			a := open(t, write(t, archivetest.Tar(files...)), archive.Options{})
			first, err := publish.Publish(t.Context(), dst, a.Images()[0], "acme/app", "1", publish.Options{})
			if err != nil {
				t.Fatal(err)
			}
			second, err := publish.Publish(t.Context(), dst, a.Images()[0], "acme/app", "2", publish.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(publish.Result{Root: first.Root, Present: 3}, second); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDockerMediaTypes passes Docker's own manifests through.
func TestDockerMediaTypes(t *testing.T) {
	img, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	dir := filepath.Join(t.TempDir(), "layout")
	if _, err := layout.Write(dir, idx); err != nil {
		t.Fatal(err)
	}
	url := server(t)
	res, err := publish.Publish(t.Context(), connect(t, url), open(t, dir, archive.Options{}).Images()[0], "acme/app", "1", publish.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := img.Digest(); err != nil || d.String() != res.Root.Digest.String() || !strings.Contains(res.Root.MediaType, "docker") {
		t.Errorf("published %v, want %s, %v", res.Root, d, err)
	}
	got, err := remote.Image(reference(t, url))
	if diff := cmp.Diff(pull(t, img, nil), pull(t, got, err)); diff != "" {
		t.Error(diff)
	}
}

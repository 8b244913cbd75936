package server_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"regcred.dev"
	"regcred.dev/cmd/regcred/demo"
	"regcred.dev/config"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/publish"
)

// TestPublishSizes publishes layers of sizes around those at which uploads are cut
// into chunks, over HTTP with a token, and pulls them back.
func TestPublishSizes(t *testing.T) {
	r, _ := start(t, config.Default())
	token := r.adminToken()
	dst, err := publish.Remote(r.url, regcred.NewSecret(token), nil)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	for _, compression := range []publish.Compression{publish.Fast, publish.None} {
		for _, size := range []int64{0, 1, 64 << 10, 4<<20 - 2048, 4 << 20, 8<<20 + 1, 9 << 20, 30 << 20} {
			t.Run(fmt.Sprintf("compression %d, %d bytes", compression, size), func(t *testing.T) {
				content := make([]byte, size)
				_, _ = random.Read(content)
				tag := fmt.Sprintf("c%d-%d", compression, size)
				publishFile(t, dst, content, tag, compression)
				ref, err := name.NewTag(strings.TrimPrefix(r.url, "http://")+"/acme/app:"+tag, name.Insecure)
				if err != nil {
					t.Fatal(err)
				}
				img, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "any", Password: token}))
				if err != nil {
					t.Fatal(err)
				}
				if err := validate.Image(img); err != nil {
					t.Error(err)
				}
				files := mutate.Extract(img)
				defer files.Close()
				tarred, err := io.ReadAll(files)
				if err != nil || !bytes.Contains(tarred, content) {
					t.Errorf("the content is not what was published: %v", err)
				}
			})
		}
	}
	uploads, err := filepath.Glob(filepath.Join(r.dir, "registry", "uploads", "*"))
	if err != nil || len(uploads) > 0 {
		t.Errorf("left behind: %v, %v", uploads, err)
	}
}

func publishFile(t *testing.T, dst publish.Destination, content []byte, tag string, c publish.Compression) {
	t.Helper()
	dir := t.TempDir()
	file, packed := filepath.Join(dir, "file"), filepath.Join(dir, "image.tar")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := demo.PackImage(file, packed); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), packed, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := publish.Publish(t.Context(), dst, a.Images()[0], "acme/app", tag, publish.Options{Compression: c}); err != nil {
		t.Fatal(err)
	}
}

// TestRefusedPublishLeavesNothing publishes an archive whose layer is not what its
// config says, which comes out once most of it has been sent.
func TestRefusedPublishLeavesNothing(t *testing.T) {
	r, _ := start(t, config.Default())
	dst, err := publish.Remote(r.url, regcred.NewSecret(r.adminToken()), nil)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 30<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(content)
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	write(t, tw, "file", content)
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`)
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	tw = tar.NewWriter(f)
	write(t, tw, "config.json", config)
	write(t, tw, "layer.tar", layer.Bytes())
	write(t, tw, "manifest.json", []byte(`[{"Config":"config.json","RepoTags":["acme/app:1"],"Layers":["layer.tar"]}]`))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), path, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := publish.Publish(t.Context(), dst, a.Images()[0], "acme/app", "1", publish.Options{}); regcred.CodeOf(err) != regcred.Corrupt {
		t.Errorf("error %v", err)
	}
	r.eventually(func() error {
		uploads, err := filepath.Glob(filepath.Join(r.dir, "registry", "uploads", "*"))
		if err == nil && len(uploads) > 0 {
			err = fmt.Errorf("left behind: %v", uploads)
		}
		return err
	})
	if status, body := r.doAdmin(http.MethodGet, "/v2/acme/app/manifests/1", ""); status == http.StatusOK {
		t.Errorf("the tag is there: %s", body)
	}
}

func write(t *testing.T, tw *tar.Writer, name string, content []byte) {
	t.Helper()
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := tw.Flush(); err != nil {
		t.Fatal(err)
	}
}

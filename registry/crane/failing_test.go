package crane_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/crane"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// brokenBlobs are the blobs of a storage that fails.
type brokenBlobs struct {
	registry.Blobs
	err error
}

func (b brokenBlobs) Read(context.Context, string) ([]byte, string, error) { return nil, "", b.err }

func (b brokenBlobs) Stat(context.Context, string) (registry.Info, error) {
	return registry.Info{}, b.err
}

func (b brokenBlobs) List(context.Context, string, string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) { yield(registry.Info{}, b.err) }
}

// TestStorageFails: where our own storage cannot tell whether a name is its own, the
// answer is an error, and not what the metadata has.
func TestStorageFails(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{regcred.Errorf(regcred.Unavailable, "the bucket is gone"), http.StatusServiceUnavailable},
		{errors.New("canary"), http.StatusInternalServerError},
	} {
		store := memory.New()
		defer store.Close()
		tokens, err := token.New(t.Context(), store, token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		storage := registry.NewStorage(brokenBlobs{err: test.err}, registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", Public: true}}})
		server, err := registry.New(registry.Options{Storage: storage, Tokens: tokens})
		if err != nil {
			t.Fatal(err)
		}
		h := newHandler(t, crane.Options{Directory: openDirectory(t, metadata, crane.DirectoryOptions{}), Server: server, Storage: storage})
		for _, path := range []string{
			"/v1/repositories/acme/small/images", "/v1/repositories/acme/small/tags", "/v1/images/" + idOf("x") + "/layer",
			"/v1/search?q=small", "/v2/acme/two/manifests/latest",
		} {
			got := ask(t, h, "GET", path)
			if got.status != test.want || got.location() != "" || strings.Contains(got.body, "canary") {
				t.Errorf("%v: %s: %d %s", test.err, path, got.status, got.body)
			}
		}
	}
}

// TestStrangeFiles are no metadata, and hold nothing up.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"a.json": at("a", "a.test"), "large.json": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "large.json"), 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("self.json", filepath.Join(dir, "self.json")); err != nil {
		t.Fatal(err)
	}
	d, err := crane.OpenDirectory(crane.DirectoryOptions{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, b := range d.Status().Bad {
		reasons[filepath.Base(b.Path)] = b.Reason
	}
	for name, want := range map[string]string{"fifo.json": "no regular file", "large.json": "larger than", "self.json": "too many"} {
		if !strings.Contains(reasons[name], want) {
			t.Errorf("%s: %q", name, reasons[name])
		}
	}
	if got := served(t, d, "a")["a"]; got != "a.test" {
		t.Errorf("a is served from %q", got)
	}
}

package registry_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// TestOtherProcess serves a directory that another process writes to as well: every
// change is seen at once, those of files that are old too, which are remembered.
func TestOtherProcess(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	other := openStorage(t, h.dir)
	image := pushImage(t, other, "a", "v1")
	if _, err := other.PushManifest(t.Context(), "a", "v2", []byte(imageManifest("config")), ociImage); err != nil {
		t.Fatal(err)
	}
	blob := digest.FromString("config")
	get := func(path string) answer {
		t.Helper()
		return h.do(t, admin, call{method: "GET", path: "/v2/a/" + path})
	}
	wait := func() { // until what is there now is old enough to be remembered
		t.Helper()
		waitToSettle(t)
		for range 3 {
			get("manifests/v1")
			get("manifests/" + image.String())
			get("blobs/" + blob.String())
		}
	}
	wait()
	if a := get("manifests/v1"); a.body != imageManifest(secretLayers...) {
		t.Errorf("v1: %d %s", a.status, a.body)
	}
	if _, err := other.PushManifest(t.Context(), "a", "v1", []byte(imageManifest("config")), ociImage); err != nil {
		t.Fatal(err)
	}
	if a := get("manifests/v1"); a.body != imageManifest("config") {
		t.Errorf("v1 after a push by another process: %d %s", a.status, a.body)
	}
	wait()
	for path, remove := range map[string]func() error{
		"manifests/v1":                func() error { return other.DeleteTag(t.Context(), "a", "v1") },
		"blobs/" + blob.String():      func() error { return other.DeleteBlob(t.Context(), "a", blob) },
		"manifests/" + image.String(): func() error { return other.DeleteManifest(t.Context(), "a", image) },
	} {
		if a := get(path); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if a := get(path); a.status != 404 {
			t.Errorf("%s after a deletion by another process: %d", path, a.status)
		}
	}
}

// TestTagByAnotherProcess holds that a manifest which is remembered is not sent by its
// tag for longer than it is the repository's, nor as what it no longer is.
func TestTagByAnotherProcess(t *testing.T) {
	h := newHarness(t)
	admin, other := h.admin(t), openStorage(t, h.dir)
	push := func(repo, manifest, mediaType string, s *registry.Storage, tag string) {
		t.Helper()
		pushBlob(t, s, repo, "config")
		if _, err := s.PushManifest(t.Context(), repo, tag, []byte(manifest), mediaType); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(method, repo string) answer {
		t.Helper()
		return h.do(t, admin, call{method: method, path: "/v2/" + repo + "/manifests/v1"})
	}
	untyped := imageManifest("config")
	typed := typedManifest(untyped)
	for _, repo := range []string{"deleted", "lost"} {
		push(repo, typed, ociImage, other, "v1")
	}
	push("retyped", untyped, ociImage, other, "v1")
	waitToSettle(t)
	for _, repo := range []string{"deleted", "lost", "retyped"} {
		for range 2 {
			if a := ask("GET", repo); a.status != 200 || a.header.Get("Content-Type") != ociImage {
				t.Errorf("%s: %d %v", repo, a.status, a.header)
			}
		}
	}

	d := digest.FromString(typed)
	if err := other.DeleteManifest(t.Context(), "deleted", d); err != nil {
		t.Fatal(err)
	}
	if a := ask("GET", "deleted"); a.status != 404 {
		t.Errorf("the tag of a deleted manifest: %d", a.status)
	}
	// Whoever asks by HEAD whether to push is told to, which repairs it.
	if err := os.Remove(filepath.Join(h.dir, "objects/repositories/lost/manifests/sha256", d.Encoded())); err != nil {
		t.Fatal(err)
	}
	if a := ask("HEAD", "lost"); a.status != 404 {
		t.Errorf("the tag of a lost manifest: %d", a.status)
	}
	const docker = "application/vnd.docker.distribution.manifest.v2+json"
	push("retyped", untyped, docker, other, "")
	if a := ask("GET", "retyped"); a.status != 200 || a.header.Get("Content-Type") != docker {
		t.Errorf("a manifest of another type: %d %v", a.status, a.header)
	}
}

// typedManifest adds its media type to an OCI image manifest.
func typedManifest(manifest string) string {
	return fmt.Sprintf(`{"mediaType":%q,%s`, ociImage, strings.TrimPrefix(manifest, "{"))
}

// waitToSettle waits until files that were written now count as old: the time of a
// file's last change cannot be set.
func waitToSettle(t testing.TB) {
	t.Helper()
	select {
	case <-time.After(1100 * time.Millisecond):
	case <-t.Context().Done():
	}
}

// TestManifestConditions holds that the short way of a manifest gives way to
// conditions and ranges.
func TestManifestConditions(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	image := pushImage(t, h.storage, "a", "v1")
	all := imageManifest(secretLayers...)
	for _, test := range []struct {
		header, value string
		status        int
		body          string
	}{
		{"Accept", "*/*", 200, all},
		{"If-None-Match", `"` + image.String() + `"`, 304, ""},
		{"If-Match", `"other"`, 412, ""},
		{"Range", "bytes=0-3", 206, all[:4]},
		{"Range", "bytes=-3", 206, all[len(all)-3:]},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := h.do(t, admin, call{method: method, path: "/v2/a/manifests/v1", header: map[string]string{test.header: test.value}})
			if a.status != test.status || method == "GET" && a.body != test.body {
				t.Errorf("%s, %s: %s: %d %q", method, test.header, test.value, a.status, a.body)
			}
			if a.header.Get("Docker-Content-Digest") != image.String() || a.header.Get("Etag") != `"`+image.String()+`"` {
				t.Errorf("%s, %s: %s: %v", method, test.header, test.value, a.header)
			}
		}
	}
}

package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// TestSHA512 pushes and pulls an image whose every digest is a SHA-512.
func TestSHA512(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	for _, content := range []string{"config", "layer"} {
		a := h.do(t, admin, call{method: "POST", path: "/v2/a/blobs/uploads/?digest-algorithm=sha512"})
		if a.status != 202 || a.header["Oci-Chunk-Min-Length"] == nil {
			t.Fatalf("POST: %d %v", a.status, a.header)
		}
		h.do(t, admin, call{method: "PATCH", path: a.header.Get("Location"), body: content})
		put := call{method: "PUT", path: a.header.Get("Location") + "?digest=" + digest.SHA512.FromString(content).String()}
		if a := h.do(t, admin, put); a.status != 201 {
			t.Fatalf("PUT: %d %s", a.status, a.body)
		}
	}
	image := imageManifest("config", "layer")
	for _, content := range []string{"config", "layer"} {
		image = strings.ReplaceAll(image, digest.FromString(content).String(), digest.SHA512.FromString(content).String())
	}
	d := digest.SHA512.FromString(image)
	header := map[string]string{"Content-Type": ociImage}
	for _, path := range []string{"/v2/a/manifests/" + d.String(), "/v2/a/manifests/v1?digest=" + d.String()} {
		if a := h.do(t, admin, call{method: "PUT", path: path, body: image, header: header}); a.status != 201 || a.header.Get("Docker-Content-Digest") != d.String() {
			t.Errorf("PUT %s: %d %v %s", path, a.status, a.header, a.body)
		}
	}
	for _, name := range []string{d.String(), "v1"} {
		if a := h.do(t, admin, call{method: "GET", path: "/v2/a/manifests/" + name}); a.status != 200 || a.body != image || a.header.Get("Docker-Content-Digest") != d.String() {
			t.Errorf("GET %s: %d %v", name, a.status, a.header)
		}
	}
	// The same bytes are not there by their other digest, and deletion finds the tag.
	if a := h.do(t, admin, call{method: "GET", path: "/v2/a/manifests/" + digest.FromString(image).String()}); a.status != 404 {
		t.Errorf("GET by the SHA-256: %d", a.status)
	}
	if a := h.do(t, admin, call{method: "DELETE", path: "/v2/a/manifests/" + d.String()}); a.status != 202 {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	if a := h.do(t, admin, call{method: "GET", path: "/v2/a/manifests/v1"}); a.status != 404 {
		t.Errorf("GET of the tag of a deleted manifest: %d", a.status)
	}
}

func TestDigestsRefused(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	h.pushBlob(t, "a", "config")
	image, wrong := imageManifest("config"), digest.SHA512.FromString("wrong").String()
	for _, c := range []call{
		{method: "PUT", path: "/v2/a/manifests/" + wrong, body: image},
		{method: "PUT", path: "/v2/a/manifests/v1?digest=" + wrong, body: image},
		{method: "PUT", path: "/v2/a/manifests/v1?digest=sha384:00", body: image},
		{method: "PUT", path: "/v2/a/manifests/v1?digest=x", body: image},
		{method: "POST", path: "/v2/a/blobs/uploads/?digest-algorithm=md5"},
	} {
		c.header = map[string]string{"Content-Type": ociImage}
		if a := h.do(t, admin, c); a.status != 400 || a.code() != "DIGEST_INVALID" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
}

// TestTagsOfOnePush sets several tags by one request.
func TestTagsOfOnePush(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	h.pushBlob(t, "a", "config")
	image := imageManifest("config")
	path := "/v2/a/manifests/" + digest.FromString(image).String() + "?tag=1&tag=1.2&tag=latest"
	put := call{method: "PUT", path: path, body: image, header: map[string]string{"Content-Type": ociImage}}
	a := h.do(t, admin, put)
	if diff := cmp.Diff([]string{"1, 1.2, latest"}, a.header["Oci-Tag"]); a.status != 201 || diff != "" {
		t.Errorf("%d %s: OCI-Tag (-want +got): %s", a.status, a.body, diff)
	}
	for _, tag := range []string{"1", "1.2", "latest"} {
		if a := h.do(t, admin, call{method: "HEAD", path: "/v2/a/manifests/" + tag}); a.status != 200 {
			t.Errorf("tag %s: %d", tag, a.status)
		}
	}
	// One that is none spoils all.
	put.path += "2&tag=-x"
	if a := h.do(t, admin, put); a.status != 400 {
		t.Errorf("a bad tag: %d %s", a.status, a.body)
	}
	if a := h.do(t, admin, call{method: "HEAD", path: "/v2/a/manifests/latest2"}); a.status != 404 {
		t.Errorf("the tag beside a bad one: %d", a.status)
	}
	put.path = path + strings.Repeat("&tag=x", 100)
	if a := h.do(t, admin, put); a.status != 400 {
		t.Errorf("103 tags: %d", a.status)
	}
}

package registry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"regcred.dev"
	"regcred.dev/registry"
)

const (
	ociImage = "application/vnd.oci.image.manifest.v1+json"
	ociIndex = "application/vnd.oci.image.index.v1+json"
)

func TestBlobRanges(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	d := h.pushBlob(t, "a", "0123456789")
	for _, test := range []struct {
		header, value string
		status        int
		body          string
	}{
		{"Accept", "*/*", 200, "0123456789"},
		{"Range", "bytes=2-4", 206, "234"},
		{"Range", "bytes=8-", 206, "89"},
		{"Range", "bytes=-3", 206, "789"},
		{"Range", "bytes=5-100", 206, "56789"},
		{"Range", "bytes=10-", 416, ""},
		{"If-None-Match", `"` + d.String() + `"`, 304, ""},
	} {
		a := h.do(t, admin, call{method: "GET", path: "/v2/a/blobs/" + d.String(), header: map[string]string{test.header: test.value}})
		if a.status != test.status || a.status < 400 && a.body != test.body {
			t.Errorf("%s: %s: %d %q", test.header, test.value, a.status, a.body)
		}
	}
	a := h.do(t, admin, call{method: "HEAD", path: "/v2/a/blobs/" + d.String()})
	if a.status != 200 || a.header.Get("Content-Length") != "10" || a.header.Get("Docker-Content-Digest") != d.String() ||
		a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// TestOtherRepositoryIsInvisible holds that a repository shows only its own
// blobs and manifests, though all content is stored once.
func TestOtherRepositoryIsInvisible(t *testing.T) {
	h := newHarness(t)
	secret := pushImage(t, h.storage, "secret/app", "v1")
	blob := h.pushBlob(t, "secret/app", "secret content")
	h.pushBlob(t, "open/app", "x")
	login := h.login(t, time.Minute, grant("open/*", "pull", "push"))
	for _, c := range []call{
		{method: "HEAD", path: "/v2/open/app/blobs/" + blob.String()},
		{method: "GET", path: "/v2/open/app/blobs/" + blob.String()},
		{method: "GET", path: "/v2/open/app/manifests/" + secret.String()},
		{method: "HEAD", path: "/v2/open/app/manifests/v1"},
	} {
		if a := h.do(t, login, c); a.status != 404 {
			t.Errorf("%s %s: %d", c.method, c.path, a.status)
		}
	}
	mount := func(from string, d digest.Digest) answer {
		return h.do(t, login, call{method: "POST", path: "/v2/open/app/blobs/uploads/?mount=" + d.String() + "&from=" + from})
	}
	// The answer tells nothing: not whether the repository is there, nor the blob.
	for _, a := range []answer{
		mount("secret/app", blob), mount("secret/none", blob), mount("secret/app", digest.FromString("none")),
		mount("open/none", blob), mount("", blob), mount("../secret/app", blob),
	} {
		if a.status != 202 || !strings.HasPrefix(a.header.Get("Location"), "/v2/open/app/blobs/uploads/") {
			t.Errorf("mount: %d %s", a.status, a.body)
		}
	}
	if a := h.do(t, login, call{method: "GET", path: "/v2/open/app/blobs/" + blob.String()}); a.status != 404 {
		t.Errorf("after the mounts: %d", a.status)
	}
	if a := h.do(t, login, call{method: "PUT", path: "/v2/open/app/manifests/v1", body: imageManifest(secretLayers...), header: map[string]string{"Content-Type": ociImage}}); a.code() != "MANIFEST_BLOB_UNKNOWN" {
		t.Errorf("a manifest of another repository's blobs: %d %s", a.status, a.body)
	}
	// With rights on both sides it works.
	mine := h.pushBlob(t, "open/source", "mine")
	if a := mount("open/source", mine); a.status != 201 {
		t.Errorf("mount: %d %s", a.status, a.body)
	}
	if a := h.do(t, login, call{method: "GET", path: "/v2/open/app/blobs/" + mine.String()}); a.body != "mine" {
		t.Errorf("after the mount: %d", a.status)
	}
}

// secretLayers are the contents that pushImage makes an image of.
var secretLayers = []string{"config", "layer 1", "layer 2"}

// pushImage pushes an image of secretLayers, and returns its digest.
func pushImage(t testing.TB, s *registry.Storage, repo, tag string) digest.Digest {
	t.Helper()
	for _, content := range secretLayers {
		pushBlob(t, s, repo, content)
	}
	desc, err := s.PushManifest(t.Context(), repo, tag, []byte(imageManifest(secretLayers...)), ociImage)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest
}

func TestManifests(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	image := pushImage(t, h.storage, "a", "v0")
	child := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, ociImage, image, len(imageManifest(secretLayers...)))
	good, index := imageManifest(secretLayers...), `{"schemaVersion":2,"manifests":[`+child+`]}`
	tests := []struct {
		name, contentType, body string
		status                  int
		code                    string
	}{
		{"image", ociImage, good, 201, ""},
		{"image, parameters", ociImage + "; charset=utf-8", good, 201, ""},
		{"index", ociIndex, index, 201, ""},
		{"empty index", ociIndex, `{"schemaVersion":2,"manifests":[]}`, 201, ""},
		{"type in the manifest", "", `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[]}`, 201, ""},
		{"foreign layer", ociImage, imageOf(secretLayers[0], `{"mediaType":"x","digest":"`+digest.FromString("far").String()+`","size":3,"urls":["https://example.com/far"]}`), 201, ""},
		{"not JSON", ociImage, `hello`, 400, "MANIFEST_INVALID"},
		{"not an object", ociImage, `[]`, 400, "MANIFEST_INVALID"},
		{"truncated", ociImage, good[:len(good)-1], 400, "MANIFEST_INVALID"},
		{"more after it", ociImage, good + `{}`, 400, "MANIFEST_INVALID"},
		{"no type", "", good, 400, "MANIFEST_INVALID"},
		{"unknown type", "application/json", good, 400, "MANIFEST_INVALID"},
		{"another type", ociIndex, good, 400, "MANIFEST_INVALID"},
		{"its own type disagrees", ociIndex, `{"schemaVersion":2,"mediaType":"` + ociImage + `","manifests":[]}`, 400, "MANIFEST_INVALID"},
		{"image and index", ociImage, good[:len(good)-1] + `,"manifests":[]}`, 400, "MANIFEST_INVALID"},
		{"index and image", ociIndex, index[:len(index)-1] + `,"config":{}}`, 400, "MANIFEST_INVALID"},
		{"index with layers", ociIndex, index[:len(index)-1] + `,"layers":null}`, 400, "MANIFEST_INVALID"},
		{"schema 1 fields", ociImage, good[:len(good)-1] + `,"fsLayers":[]}`, 400, "MANIFEST_INVALID"},
		{"field twice", ociImage, good[:len(good)-1] + `,"layers":[]}`, 400, "MANIFEST_INVALID"},
		{"other case", ociImage, good[:len(good)-1] + `,"Layers":[]}`, 400, "MANIFEST_INVALID"},
		{"no schema version", ociIndex, `{"manifests":[]}`, 400, "MANIFEST_INVALID"},
		{"no layers", ociImage, `{"schemaVersion":2,"config":` + descriptorJSON(secretLayers[0]) + `}`, 400, "MANIFEST_INVALID"},
		{"bad digest", ociImage, strings.Replace(good, "sha256:", "sha256:../", 1), 400, "MANIFEST_INVALID"},
		{"missing layer", ociImage, imageManifest("config", "none"), 404, "MANIFEST_BLOB_UNKNOWN"},
		{"missing child", ociIndex, strings.Replace(index, image.String(), digest.FromString("none").String(), 1), 404, "MANIFEST_BLOB_UNKNOWN"},
		{"wrong size", ociImage, strings.Replace(good, `"size":6`, `"size":7`, 1), 400, "MANIFEST_INVALID"},
		{"child of another type", ociIndex, strings.Replace(index, ociImage, ociIndex, 1), 400, "MANIFEST_INVALID"},
		{"4 MiB", ociImage, good[:len(good)-1] + strings.Repeat(" ", registry.MaxSmall-len(good)) + `}`, 201, ""},
		{"over 4 MiB", ociImage, good[:len(good)-1] + strings.Repeat(" ", registry.MaxSmall+1-len(good)) + `}`, 413, "SIZE_INVALID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := h.do(t, admin, call{method: "PUT", path: "/v2/a/manifests/tested", body: test.body, header: map[string]string{"Content-Type": test.contentType}})
			if a.status != test.status || a.code() != test.code {
				t.Fatalf("%d %s, want %d %s", a.status, a.body, test.status, test.code)
			}
			got := h.do(t, admin, call{method: "GET", path: "/v2/a/manifests/tested"})
			if test.status != 201 {
				if got.status != 404 {
					t.Errorf("what was refused is there: %d", got.status)
				}
				return
			}
			d := digest.FromString(test.body)
			if got.body != test.body || got.header.Get("Docker-Content-Digest") != d.String() || a.header.Get("Docker-Content-Digest") != d.String() {
				t.Errorf("it reads back with %v", got.header)
			}
			a = h.do(t, admin, call{method: "DELETE", path: "/v2/a/manifests/tested"})
			if a.status != 202 {
				t.Errorf("delete: %d", a.status)
			}
		})
	}
	// By digest, it has to be that of the content.
	if a := h.do(t, admin, call{method: "PUT", path: "/v2/a/manifests/" + digest.FromString("x").String(), body: good, header: map[string]string{"Content-Type": ociImage}}); a.code() != "DIGEST_INVALID" {
		t.Errorf("wrong digest: %d %s", a.status, a.body)
	}
}

func TestPaths(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	zero := "sha256:" + strings.Repeat("0", 64)
	tests := []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v2", 200, ""},
		{"GET", "/v2/", 200, ""},
		{"POST", "/v2/", 405, "UNSUPPORTED"},
		{"GET", "/v1/", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/x", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/x/tags", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/x/tags/none", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/x/tags/list/", 404, "NAME_UNKNOWN"},
		{"GET", "/v2//tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/../tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/a/../b/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/a/%2e%2e/%2e%2e/b/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/a%2f..%2fb/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/A/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/a+b/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/a%00/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/" + strings.Repeat("a", 256) + "/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/" + strings.Repeat("a", 255) + "/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/blobs/" + zero, 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/blobs/sha256:..%2f..%2fx", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/blobs/sha256:x", 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/manifests/.hidden", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/a/manifests/" + strings.Repeat("a", 129), 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/a/manifests/sha256:x", 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/referrers/" + zero, 200, ""},
		{"GET", "/v2/a/referrers/x", 400, "DIGEST_INVALID"},
		{"PATCH", "/v2/a/manifests/v1", 405, "UNSUPPORTED"},
		{"PUT", "/v2/a/blobs/uploads/", 405, "UNSUPPORTED"},
		{"GET", "/v2/a/tags/list?n=x", 400, "UNSUPPORTED"},
	}
	for _, test := range tests {
		a := h.do(t, admin, call{method: test.method, path: test.path})
		if a.status != test.status || a.code() != test.code {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, a.status, a.body, test.status, test.code)
		}
		if a.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", test.method, test.path)
		}
	}
}

// TestPages follows the Link header through lists.
func TestPages(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	var tags []string
	for i := range 7 {
		tags = append(tags, fmt.Sprintf("t%d", i))
		pushImage(t, h.storage, "a/app", tags[i])
		pushImage(t, h.storage, fmt.Sprintf("repo%d", i), "v1")
	}
	follow := func(path string) (list []string, pages int) {
		for path != "" && pages < 20 {
			a := h.do(t, admin, call{method: "GET", path: path})
			if a.status != 200 {
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
			list = append(list, listed(t, a.body)...)
			path, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
			pages++
		}
		return list, pages
	}
	if got, pages := follow("/v2/a/app/tags/list?n=3"); !slices.Equal(got, tags) || pages != 3 {
		t.Errorf("%d pages: %q", pages, got)
	}
	if got, pages := follow("/v2/a/app/tags/list?n=7"); len(got) != 7 || pages != 1 {
		t.Errorf("%d pages: %q", pages, got)
	}
	if got, pages := follow("/v2/a/app/tags/list?n=0"); len(got) != 0 || pages != 1 {
		t.Errorf("%d pages: %q", pages, got)
	}
	if got, _ := follow("/v2/a/app/tags/list?last=t4"); !slices.Equal(got, tags[5:]) {
		t.Errorf("after t4: %q", got)
	}
	if got, pages := follow("/v2/_catalog?n=5"); len(got) != 8 || got[0] != "a/app" || pages != 2 {
		t.Errorf("%d pages: %q", pages, got)
	}
}

// TestPageLimit holds that no client gets more than 1,000 names in one answer.
func TestPageLimit(t *testing.T) {
	h := newHarness(t)
	pushImage(t, h.storage, "a", "first")
	// Tags as the storage keeps them; pushing each would take long.
	tag := readFile(t, h.dir+"/objects/repositories/a/tags/first")
	for i := range 1001 {
		writeFile(t, fmt.Sprintf("%s/objects/repositories/a/tags/t%04d", h.dir, i), tag)
	}
	for _, query := range []string{"", "?n=1000000"} {
		a := h.do(t, h.admin(t), call{method: "GET", path: "/v2/a/tags/list" + query})
		if got := len(listed(t, a.body)); got != 1000 || !strings.Contains(a.header.Get("Link"), "last=t0998") {
			t.Errorf("%d tags, link %s", got, a.header.Get("Link"))
		}
	}
}

func TestReferrers(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	subject := pushImage(t, h.storage, "a", "v1")
	get := func(query string) answer {
		return h.do(t, admin, call{method: "GET", path: "/v2/a/referrers/" + subject.String() + query})
	}
	subjectJSON := fmt.Sprintf(`"subject":{"mediaType":%q,"digest":%q,"size":%d}`, ociImage, subject, len(imageManifest(secretLayers...)))
	push := func(more string) digest.Digest {
		body := fmt.Sprintf(`{"schemaVersion":2,"manifests":[],%s,%s}`, more, subjectJSON)
		a := h.do(t, admin, call{method: "PUT", path: "/v2/a/manifests/" + digest.FromString(body).String(), body: body, header: map[string]string{"Content-Type": ociIndex}})
		if a.status != 201 || a.header.Get("OCI-Subject") != subject.String() {
			t.Fatalf("%d %s %v", a.status, a.body, a.header)
		}
		return digest.FromString(body)
	}
	signature := push(`"artifactType":"example/signature","annotations":{"k":"v"}`)
	sbom := push(`"artifactType":"example/sbom"`)
	both := []string{signature.String(), sbom.String()}
	slices.Sort(both)

	a := get("")
	if diff := cmp.Diff(both, referrers(t, a.body)); diff != "" || a.header.Get("Content-Type") != ociIndex {
		t.Error("referrers (-want +got):", diff)
	}
	if !strings.Contains(a.body, `"annotations":{"k":"v"}`) {
		t.Error("annotations are missing:", a.body)
	}
	a = get("?artifactType=example/sbom")
	if diff := cmp.Diff([]string{sbom.String()}, referrers(t, a.body)); diff != "" || a.header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Error("filtered (-want +got):", diff)
	}
	if got := referrers(t, get("?last="+both[0]).body); !slices.Equal(got, both[1:]) {
		t.Errorf("after the first: %q", got)
	}
	if a := h.do(t, admin, call{method: "DELETE", path: "/v2/a/manifests/" + sbom.String()}); a.status != 202 {
		t.Fatalf("delete: %d", a.status)
	}
	if diff := cmp.Diff([]string{signature.String()}, referrers(t, get("").body)); diff != "" {
		t.Error("after a deletion (-want +got):", diff)
	}
	// Large ones come in several pages.
	for i := range 3 {
		push(fmt.Sprintf(`"artifactType":"example/large","annotations":{"k":"%d%s"}`, i, strings.Repeat("x", 2<<20)))
	}
	a = get("?artifactType=example/large")
	if got := len(referrers(t, a.body)); got != 1 || a.header.Get("Link") == "" {
		t.Errorf("%d large referrers on one page, link %q", got, a.header.Get("Link"))
	}
}

func TestDeleteTakesTags(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	image := pushImage(t, h.storage, "a", "v1")
	pushImage(t, h.storage, "a", "v2")
	for _, path := range []string{"/v2/a/manifests/v1", "/v2/a/manifests/" + image.String()} {
		if a := h.do(t, admin, call{method: "DELETE", path: path}); a.status != 202 {
			t.Errorf("delete %s: %d %s", path, a.status, a.body)
		}
	}
	if a := h.do(t, admin, call{method: "GET", path: "/v2/a/tags/list"}); len(listed(t, a.body)) != 0 {
		t.Errorf("tags are left: %s", a.body)
	}
	config := digest.FromString(secretLayers[0]).String()
	for _, status := range []int{202, 404} {
		if a := h.do(t, admin, call{method: "DELETE", path: "/v2/a/blobs/" + config}); a.status != status {
			t.Errorf("delete blob: %d, want %d", a.status, status)
		}
	}
}

// TestDamage serves nothing that changed on its medium, and says so in the log.
func TestDamage(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	image := pushImage(t, h.storage, "a", "v1")
	content := h.dir + "/objects/blobs/sha256/" + image.Encoded()[:2] + "/" + image.Encoded()
	writeFile(t, content, strings.Replace(readFile(t, content), "layers", "lawyer", 1))
	a := h.do(t, admin, call{method: "GET", path: "/v2/a/manifests/v1"})
	if a.status != 500 || strings.Contains(a.body, "digest") || !strings.Contains(a.body, "internal error") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !strings.Contains(h.log.String(), image.String()) || !strings.Contains(h.log.String(), "level=ERROR") {
		t.Error("the log does not name it:", h.log)
	}
}

func TestMetrics(t *testing.T) {
	h := newHarness(t)
	pushImage(t, h.storage, "a", "v1")
	h.do(t, h.admin(t), call{method: "GET", path: "/v2/a/manifests/v1"})
	h.do(t, regcred.Secret{}, call{method: "GET", path: "/v2/a/manifests/v1"})
	h.do(t, regcred.Secret{}, call{method: "BREW", path: "/v2/"})
	got := metricsText(t, h)
	for _, want := range []string{
		`regcred_registry_requests_total{code="200",method="GET"} 1`,
		`regcred_registry_requests_total{code="401",method="GET"} 1`,
		`regcred_registry_requests_total{code="405",method="other"} 1`,
		`regcred_registry_pulls_total 1`,
		`regcred_registry_pushes_total 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func metricsText(t *testing.T, h *harness) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

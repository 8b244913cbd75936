package registry_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

const owned = "https://cdn.example.com/layers/one?v=1"

// linkPath is where a blob is linked that its owner hosts.
func linkPath(repo, content, owner, size string) string {
	query := url.Values{"mount": {digest.FromString(content).String()}, "url": {owner}, "size": {size}}
	return "/v2/" + repo + "/blobs/uploads/?" + query.Encode()
}

func TestLinkedBlob(t *testing.T) {
	h := newHarness(t)
	h.serve(t, registry.Options{Owners: []string{"cdn.example.com"}})
	admin := h.admin(t)
	d := digest.FromString("one")
	a := h.do(t, admin, call{method: "POST", path: linkPath("acme/app", "one", owned, "3")})
	if a.status != 201 || a.header.Get("Location") != "/v2/acme/app/blobs/"+d.String() || a.header.Get("Docker-Content-Digest") != d.String() {
		t.Fatalf("link: %d %v %s", a.status, a.header, a.body)
	}
	blob := call{method: "GET", path: "/v2/acme/app/blobs/" + d.String()}
	if a := h.do(t, admin, blob); a.status != 307 || a.header.Get("Location") != owned || a.body != "" {
		t.Errorf("GET: %d %v %q", a.status, a.header, a.body)
	}
	blob.method = "HEAD"
	if a := h.do(t, admin, blob); a.status != 200 || a.header.Get("Content-Length") != "3" || a.header.Get("Location") != "" || a.header.Get("Docker-Content-Digest") != d.String() {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	// Images may have it, with its size.
	h.pushBlob(t, "acme/app", "config")
	put := call{method: "PUT", path: "/v2/acme/app/manifests/v1", body: imageManifest("config", "one"), header: map[string]string{"Content-Type": ociImage}}
	if a := h.do(t, admin, put); a.status != 201 {
		t.Errorf("an image with a linked layer: %d %s", a.status, a.body)
	}
	put.body = strings.Replace(imageManifest("config", "one"), `"size":3`, `"size":4`, 1)
	if a := h.do(t, admin, put); a.code() != "MANIFEST_INVALID" {
		t.Errorf("an image with a linked layer of another size: %d %s", a.status, a.body)
	}
	// Mounted elsewhere it is still at its owner's.
	if a := h.do(t, admin, call{method: "POST", path: "/v2/other/blobs/uploads/?from=acme/app&mount=" + d.String()}); a.status != 201 {
		t.Errorf("mount: %d %s", a.status, a.body)
	}
	if a := h.do(t, admin, call{method: "GET", path: "/v2/other/blobs/" + d.String()}); a.header.Get("Location") != owned {
		t.Errorf("GET of the mounted one: %d %v", a.status, a.header)
	}
	if _, err := h.storage.GetBlob(t.Context(), "acme/app", d); regcred.CodeOf(err) != regcred.Unavailable {
		t.Errorf("its content was read: %v", err)
	}
	// An owner that the configuration no longer has is no longer sent clients.
	h.serve(t, registry.Options{})
	blob.method = "GET"
	if a := h.do(t, admin, blob); a.status != 403 || a.code() != "DENIED" {
		t.Errorf("GET without the owner: %d %s", a.status, a.body)
	}
}

func TestLinkRefused(t *testing.T) {
	h := newHarness(t)
	h.serve(t, registry.Options{Owners: []string{"cdn.example.com", "127.0.0.1:5000"}})
	admin := h.admin(t)
	puller := h.login(t, time.Minute, grant("a", token.Pull))
	for _, test := range []struct {
		name, owner, size string
		login             regcred.Secret
		status            int
	}{
		{"another host", "https://cdn.example.com.evil/x", "3", admin, 403},
		{"a subdomain", "https://a.cdn.example.com/x", "3", admin, 403},
		{"another port", "https://cdn.example.com:8443/x", "3", admin, 403},
		{"a host in the user", "https://cdn.example.com@evil.example/x", "3", admin, 400},
		{"a backslash", `https://evil.example\@cdn.example.com/x`, "3", admin, 400},
		{"a password", "https://u:p@cdn.example.com/x", "3", admin, 400},
		{"http", "http://cdn.example.com/x", "3", admin, 400},
		{"another scheme", "file://cdn.example.com/x", "3", admin, 400},
		{"no scheme", "//cdn.example.com/x", "3", admin, 400},
		{"a fragment", "https://cdn.example.com/x#y", "3", admin, 400},
		{"a line", "https://cdn.example.com/x\r\ny: z", "3", admin, 400},
		{"too long", "https://cdn.example.com/" + strings.Repeat("x", 5000), "3", admin, 400},
		{"no size", owned, "", admin, 400},
		{"a negative size", owned, "-1", admin, 400},
		{"a size that sums overflow with", owned, "9223372036854775807", admin, 400},
		{"no right", owned, "3", puller, 403},
		{"http on this machine", "http://127.0.0.1:5000/x", "3", admin, 201},
		{"another case", "https://CDN.example.com/x", "3", admin, 201},
	} {
		if a := h.do(t, test.login, call{method: "POST", path: linkPath("a", "one", test.owner, test.size)}); a.status != test.status {
			t.Errorf("%s: %d %s, want %d", test.name, a.status, a.body, test.status)
		}
	}
	if a := h.do(t, admin, call{method: "POST", path: "/v2/a/blobs/uploads/?mount=sha256:x&size=3&url=" + owned}); a.code() != "DIGEST_INVALID" {
		t.Errorf("no digest: %d %s", a.status, a.body)
	}
}

// TestLinkAndContent holds that what the repository has itself is never given up
// for a link, and takes the place of one.
func TestLinkAndContent(t *testing.T) {
	s := openStorage(t, t.TempDir())
	d := digest.FromString("one")
	link := func(owner string) error {
		t.Helper()
		return s.LinkBlob(t.Context(), "a", descriptor("one"), owner)
	}
	find := func() string {
		t.Helper()
		b, err := s.FindBlob(t.Context(), "a", d)
		if err != nil || b.Size != 3 {
			t.Fatalf("%v, %v", b, err)
		}
		return b.URL
	}
	for _, owner := range []string{owned, "https://other.example.com/one"} {
		if err := link(owner); err != nil || find() != owner {
			t.Errorf("linked at %s, want %s: %v", find(), owner, err)
		}
	}
	pushBlob(t, s, "a", "one")
	if got := find(); got != "" {
		t.Errorf("pushed, and still linked at %s", got)
	}
	if err := link(owned); err != nil || find() != "" {
		t.Errorf("the link took the place of the content: %q, %v", find(), err)
	}
	wrong := descriptor("one")
	wrong.Size++
	if err := s.LinkBlob(t.Context(), "a", wrong, owned); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("linked with another size: %v", err)
	}
	if got, err := readAll(s.GetBlob(t.Context(), "a", d)); err != nil || !strings.HasSuffix(got, "one") {
		t.Errorf("%s, %v", got, err)
	}
}

// located is a storage of which clients can fetch objects themselves.
type located struct {
	registry.Blobs
	asked *[]string
}

func (l located) Locate(_ context.Context, key, method string, lifetime time.Duration) (*url.URL, error) {
	*l.asked = append(*l.asked, method+" "+lifetime.String())
	return &url.URL{Scheme: "https", Host: "bucket.example.com", Path: "/" + key, RawQuery: "signature=x"}, nil
}

func TestRedirect(t *testing.T) {
	h := newHarness(t)
	var asked []string
	h.storage = registry.NewStorage(located{h.blobs, &asked}, registry.StorageOptions{})
	d := h.pushBlob(t, "a", "one")
	image := pushImage(t, h.storage, "a", "v1")
	h.serve(t, registry.Options{Redirect: registry.Redirect{Enabled: true, Lifetime: time.Minute}})
	admin := h.admin(t)
	want := "https://bucket.example.com/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "?signature=x"
	for _, header := range []map[string]string{nil, {"Range": "bytes=1-"}} {
		a := h.do(t, admin, call{method: "GET", path: "/v2/a/blobs/" + d.String(), header: header})
		if a.status != 307 || a.header.Get("Location") != want || a.body != "" {
			t.Errorf("GET: %d %v", a.status, a.header)
		}
	}
	for _, c := range []call{
		{method: "HEAD", path: "/v2/a/blobs/" + d.String()},
		{method: "GET", path: "/v2/a/manifests/v1"},
		{method: "GET", path: "/v2/a/manifests/" + image.String()},
	} {
		if a := h.do(t, admin, c); a.status != 200 {
			t.Errorf("%s %s: %d %v", c.method, c.path, a.status, a.header)
		}
	}
	if a := h.do(t, admin, call{method: "GET", path: "/v2/b/blobs/" + d.String()}); a.status != 404 {
		t.Errorf("of another repository: %d", a.status)
	}
	if diff := cmp.Diff([]string{"GET 1m0s"}, asked); diff != "" {
		t.Error("what was signed (-want +got):", diff)
	}
}

// TestFormerOwner: nobody is sent to a host that is no owner any more, and who asks
// whether to push what it hosted does so, which keeps the image whole.
func TestFormerOwner(t *testing.T) {
	h := newHarness(t)
	if err := h.storage.LinkBlob(t.Context(), "a", descriptor("one"), owned); err != nil {
		t.Fatal(err)
	}
	path := "/v2/a/blobs/" + digest.FromString("one").String()
	for method, want := range map[string]int{"GET": 403, "HEAD": 404} {
		if a := h.do(t, h.admin(t), call{method: method, path: path}); a.status != want || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
	h.pushBlob(t, "a", "one")
	for method, want := range map[string]string{"GET": "one", "HEAD": ""} {
		if a := h.do(t, h.admin(t), call{method: method, path: path}); a.status != 200 || a.body != want {
			t.Errorf("%s after a push: %d %q", method, a.status, a.body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	h := newHarness(t)
	for name, o := range map[string]registry.Options{
		"redirects to a directory": {Redirect: registry.Redirect{Enabled: true}},
		"a URL as an owner":        {Owners: []string{"https://cdn.example.com"}},
		"a path as an owner":       {Owners: []string{"cdn.example.com/x"}},
		"no owner":                 {Owners: []string{""}},
		"a user as an owner":       {Owners: []string{"user@cdn.example.com"}},
	} {
		o.Storage, o.Tokens = h.storage, h.tokens
		if _, err := registry.New(o); regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// serve has the harness serve with other options.
func (h *harness) serve(t testing.TB, o registry.Options) {
	t.Helper()
	o.Storage, o.Tokens = h.storage, h.tokens
	server, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(server)
	t.Cleanup(h.Close)
	h.host = strings.TrimPrefix(h.URL, "http://")
}

package registry_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/token"
)

// newLimited returns a server whose callers may have two uploads each, and five together.
func newLimited(t *testing.T, blobs func(*blob.Dir) registry.Blobs, o registry.StorageOptions, server registry.Options) *harness {
	t.Helper()
	h := newHarness(t)
	o.Uploads = registry.UploadLimits{PerCaller: 2, Total: 5}
	h.storage = registry.NewStorage(blobs(h.blobs), o)
	h.serve(t, server)
	return h
}

func itself(d *blob.Dir) registry.Blobs { return d }

// begin begins an upload, and wants a status.
func (h *harness) begin(t *testing.T, who regcred.Secret, header map[string]string, want int) (location string) {
	t.Helper()
	a := h.do(t, who, call{method: "POST", path: "/v2/a/blobs/uploads/", header: header})
	if a.status != want {
		t.Errorf("an upload is begun: %d %s, want %d", a.status, a.body, want)
	}
	return a.header.Get("Location")
}

// TestUploadLimits begins uploads until there are too many, and gets room by ending them
// in each way there is.
func TestUploadLimits(t *testing.T) {
	h := newLimited(t, itself, registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", Quota: 100}}}, registry.Options{})
	who := []regcred.Secret{h.admin(t), h.admin(t), h.admin(t)}
	mine := []string{h.begin(t, who[0], nil, 202), h.begin(t, who[0], nil, 202)}
	a := h.do(t, who[0], call{method: "POST", path: "/v2/b/blobs/uploads/"})
	if a.status != 429 || a.code() != "TOOMANYREQUESTS" || !strings.Contains(a.body, "you have begun 2 uploads") || !strings.Contains(a.body, "cancel some") {
		t.Errorf("a third upload, to another repository: %d %s", a.status, a.body)
	}
	for range 2 {
		h.begin(t, who[1], nil, 202)
	}
	h.begin(t, who[2], nil, 202)
	a = h.do(t, who[2], call{method: "POST", path: "/v2/a/blobs/uploads/"})
	if a.status != 429 || !strings.Contains(a.body, "5 uploads") {
		t.Errorf("a sixth upload of all: %d %s", a.status, a.body)
	}

	const content = "content"
	right, wrong := "?digest="+digest.FromString(content).String(), "?digest="+digest.FromString("other").String()
	for name, end := range map[string]call{
		"put":       {method: "PUT", path: right, body: content},
		"cancel":    {method: "DELETE"},
		"wrong":     {method: "PUT", path: wrong, body: content},
		"too large": {method: "PATCH", body: strings.Repeat("x", 101)},
	} {
		if a := h.do(t, who[0], call{method: "PATCH", path: mine[1], body: ""}); a.status != 202 {
			t.Errorf("%s: one that goes on: %d %s", name, a.status, a.body)
		}
		h.begin(t, who[0], nil, 429)
		end.path = mine[0] + end.path
		a := h.do(t, who[0], end)
		mine[0] = h.begin(t, who[0], nil, 202)
		if t.Failed() {
			t.Fatalf("%s: %d %s", name, a.status, a.body)
		}
	}
	// What comes whole takes no upload that could be left.
	if a := h.do(t, who[0], call{method: "POST", path: "/v2/a/blobs/uploads/" + right, body: content}); a.status != 201 {
		t.Errorf("a blob that comes whole: %d %s", a.status, a.body)
	}
}

// noUploads is a directory that uploads can be forbidden in.
type noUploads struct {
	*blob.Dir
	broken bool
}

func (n *noUploads) CreateUpload(ctx context.Context, id string) (registry.Upload, error) {
	if n.broken {
		return nil, errors.New("broken")
	}
	return n.Dir.CreateUpload(ctx, id)
}

// TestUploadLimitsFailures holds that an upload which could not be created is not counted.
func TestUploadLimitsFailures(t *testing.T) {
	n := &noUploads{broken: true}
	h := newLimited(t, func(d *blob.Dir) registry.Blobs { n.Dir = d; return n }, registry.StorageOptions{}, registry.Options{})
	admin := h.admin(t)
	for range 3 {
		h.begin(t, admin, nil, 500)
	}
	n.broken = false
	h.begin(t, admin, nil, 202)
}

// TestUploadLimitsByAddress tells callers without a login from each other.
func TestUploadLimitsByAddress(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	h := newLimited(t, itself, registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", PushFrom: networks}}},
		registry.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	from := func(address string) map[string]string { return map[string]string{"X-Forwarded-For": address} }
	for range 2 {
		h.begin(t, regcred.Secret{}, from("10.0.0.1"), 202)
	}
	h.begin(t, regcred.Secret{}, from("10.0.0.1"), 429)
	h.begin(t, regcred.Secret{}, from("10.0.0.2"), 202)
}

// TestUploadLimitsByLogin counts a credential's logins together, however they come.
func TestUploadLimitsByLogin(t *testing.T) {
	h := newLimited(t, itself, registry.StorageOptions{}, registry.Options{})
	bearer := sign(t, h.tokens, token.UseAccess, time.Minute, grant("a", token.Pull, token.Push))
	h.begin(t, h.login(t, time.Hour, grant("a", token.Pull, token.Push)), nil, 202)
	header := map[string]string{"Authorization": "Bearer " + bearer.Reveal()}
	h.begin(t, regcred.Secret{}, header, 202)
	h.begin(t, regcred.Secret{}, header, 429)
}

// TestCleanUploads removes uploads that nobody goes on with, and makes room by that: soon
// those that nothing came for, and later all.
func TestCleanUploads(t *testing.T) {
	h := newLimited(t, itself, registry.StorageOptions{}, registry.Options{})
	admin, other := h.admin(t), h.admin(t)
	empty, begun := h.begin(t, admin, nil, 202), h.begin(t, admin, nil, 202)
	used := h.begin(t, other, nil, 202)
	for _, location := range []string{begun, used} {
		if a := h.do(t, admin, call{method: "PATCH", path: location, body: "x"}); a.status != 202 {
			t.Fatal(a.status, a.body)
		}
	}
	clean := func(clean func(context.Context, time.Time) (int, error), before time.Time, want int) {
		t.Helper()
		if n, err := clean(t.Context(), before); n != want || err != nil {
			t.Errorf("%d uploads were removed, want %d, %v", n, want, err)
		}
	}
	clean(h.storage.CleanEmptyUploads, time.Now().Add(-time.Minute), 0)
	h.begin(t, admin, nil, 429)
	clean(h.storage.CleanEmptyUploads, time.Now().Add(time.Minute), 1)
	for location, want := range map[string]int{empty: 404, begun: 204, used: 204} {
		if a := h.do(t, admin, call{method: "GET", path: location}); a.status != want {
			t.Errorf("an upload afterwards: %d, want %d", a.status, want)
		}
	}
	h.begin(t, admin, nil, 202)
	h.begin(t, admin, nil, 429)
	clean(h.storage.CleanUploads, time.Now().Add(time.Minute), 3)
	h.begin(t, admin, nil, 202)
	h.begin(t, admin, nil, 202)
	h.begin(t, admin, nil, 429)
}

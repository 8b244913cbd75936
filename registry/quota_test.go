package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// hundred returns a content of 100 bytes.
func hundred(name string) string { return fmt.Sprintf("%-100s", name) }

func tryPush(t *testing.T, s *registry.Storage, repo, content string) error {
	t.Helper()
	_, err := s.PushBlob(t.Context(), repo, descriptor(content), strings.NewReader(content))
	return err
}

// usage returns what is counted of repository "a".
func usage(t *testing.T, m *memBlobs) int64 {
	t.Helper()
	var u struct{ Bytes int64 }
	data, _, err := m.Read(t.Context(), "usage/repositories/a")
	if err == nil {
		err = json.Unmarshal(data, &u)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u.Bytes
}

func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	if regcred.CodeOf(err) != regcred.Denied {
		t.Errorf("not refused: %v", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestQuota(t *testing.T) {
	inBubble(t, registry.Rule{Quota: 250}, func(t *testing.T, m *memBlobs, s *registry.Storage) {
		one, two := pushBlob(t, s, "a", hundred("one")), pushBlob(t, s, "a", hundred("two"))
		pushBlob(t, s, "a", hundred("two")) // once, however often
		refused(t, tryPush(t, s, "a", hundred("three")), "repository a", "250", "200", "100")
		if _, err := m.Stat(t.Context(), contentOf(digest.FromString(hundred("three")))); regcred.CodeOf(err) != regcred.NotFound {
			t.Errorf("refused content is stored: %v", err)
		}
		pushBlob(t, s, "b", hundred("three"))
		_, err := s.MountBlob(t.Context(), "b", "a", digest.FromString(hundred("three")))
		refused(t, err)
		_, err = s.PushManifest(t.Context(), "a", "t", []byte(imageManifest(hundred("one"))), ociImage)
		refused(t, err)
		if _, err := s.ResolveTag(t.Context(), "a", "t"); !unknown(err) {
			t.Errorf("the refused manifest has a tag: %v", err)
		}
		if err := s.LinkBlob(t.Context(), "a", descriptor(hundred("four")), "https://example.com/four"); err != nil {
			t.Errorf("a blob at its owner's: %v", err)
		}
		if err := s.DeleteBlob(t.Context(), "a", two); err != nil {
			t.Fatal(err)
		}
		if _, err := s.MountBlob(t.Context(), "b", "a", digest.FromString(hundred("three"))); err != nil {
			t.Errorf("after a deletion: %v", err)
		}
		if got := usage(t, m); got != 200 {
			t.Errorf("%d bytes are counted", got)
		}
		if err := s.DeleteBlob(t.Context(), "a", one); err != nil {
			t.Fatal(err)
		}
	})
}

// TestScopeQuota holds the repositories of a scope to a quota together, whichever rule
// is theirs.
func TestScopeQuota(t *testing.T) {
	acme := regcred.OrgScope("acme")
	s := registry.NewStorage(newMemBlobs(), registry.StorageOptions{Policy: registry.Policy{
		{Pattern: "acme/*", Scope: acme, ScopeQuota: 250, Quota: 150},
		{Pattern: "also/*", Scope: acme},
		{Pattern: "more/*", Scope: acme, ScopeQuota: 900},
	}})
	pushBlob(t, s, "acme/a", hundred("one"))
	refused(t, tryPush(t, s, "acme/a", hundred("two")), "the quota of repository acme/a is 150 bytes, of which 100 are used, and 100 more do not fit", "quota)")
	pushBlob(t, s, "acme/b", hundred("one"))
	for _, repo := range []string{"acme/c", "also/c", "more/c"} {
		refused(t, tryPush(t, s, repo, hundred("one")), "the quota that all repositories of organization acme share is 250 bytes, of which 200 are used", "scope_quota)")
	}
	pushBlob(t, s, "other", hundred("one"))
	pushBlob(t, s, "also/c", "fifty bytes at most")

	// An upload of unknown size is refused by the least quota.
	for repo, words := range map[string]string{
		"acme/a": "the quota of repository acme/a is 150 bytes, and the upload alone has more: have it raised (registry.repositories, quota)",
		"also/c": "the quota that all repositories of organization acme share is 250 bytes, and the upload alone has more: have it raised (registry.repositories, scope_quota)",
	} {
		up, err := s.PushBlobChunked(t.Context(), repo, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = up.Write([]byte(strings.Repeat("x", 251)))
		refused(t, err, words)
	}
}

// TestQuotaAtOnce pushes from many sides, through two storages as two processes would:
// as many succeed as fit. Then all is deleted at once, twice.
func TestQuotaAtOnce(t *testing.T) {
	const fit = 7
	m := newMemBlobs()
	policy := registry.Policy{{Pattern: "*", Quota: fit*100 + 50, ScopeQuota: fit*100 + 50}}
	storages := []*registry.Storage{
		registry.NewStorage(m, registry.StorageOptions{Policy: policy}),
		registry.NewStorage(m, registry.StorageOptions{Policy: policy}),
	}
	var pushed atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := tryPush(t, storages[i%2], "a", hundred(fmt.Sprint(i))); err == nil {
				pushed.Add(1)
			} else {
				refused(t, err)
			}
		})
	}
	wg.Wait()
	if pushed.Load() != fit {
		t.Errorf("%d pushes were accepted, want %d", pushed.Load(), fit)
	}
	if got := usage(t, m); got != fit*100 {
		t.Errorf("%d bytes are counted", got)
	}
	for i := range 40 {
		wg.Go(func() {
			if err := storages[i%2].DeleteBlob(t.Context(), "a", digest.FromString(hundred(fmt.Sprint(i%20)))); err != nil && !unknown(err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := usage(t, m); got != 0 {
		t.Errorf("%d bytes are counted of nothing", got)
	}
}

// TestRecount corrects counts: of what was there before the quota, of a process that was
// killed, and of a quota that is no more.
func TestRecount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemBlobs()
		free := registry.NewStorage(m, registry.StorageOptions{})
		pushBlob(t, free, "a", hundred("before"))
		s := registry.NewStorage(m, registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", Quota: 250}}})
		pushBlob(t, s, "a", hundred("one"))
		refused(t, tryPush(t, s, "a", hundred("two")), "200")

		for _, lost := range []string{`{"bytes":9999}`, `{"bytes":0}`, `{`} {
			if err := m.Put(t.Context(), "usage/repositories/a", []byte(lost), registry.Condition{}); err != nil {
				t.Fatal(err)
			}
			collect(t, s, registry.CollectOptions{})
			if got := usage(t, m); got != 200 {
				t.Errorf("%s was corrected to %d", lost, got)
			}
		}
		time.Sleep(day)
		collect(t, free, registry.CollectOptions{})
		for key := range m.snapshot().objects {
			if strings.HasPrefix(key, "usage/") {
				t.Errorf("%s is left without a quota", key)
			}
		}
	})
}

// TestQuotaAnswer refuses over HTTP in words.
func TestQuotaAnswer(t *testing.T) {
	h := newPolicyHarness(t, registry.Policy{{Pattern: "*", Quota: 50}})
	content := hundred("x")
	got := h.do(t, h.admin(t), call{method: "POST", path: "/v2/a/blobs/uploads/?digest=" + digest.FromString(content).String(), body: content})
	if got.status != http.StatusForbidden || got.code() != "DENIED" || !strings.Contains(got.body, "the quota of repository a is 50 bytes, and the upload alone has more: have it raised") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestQuotaOfUploads: what the quota refuses takes no room as an upload either.
func TestQuotaOfUploads(t *testing.T) {
	h := newPolicyHarness(t, registry.Policy{{Pattern: "*", Quota: 150}})
	admin := h.admin(t)
	pushBlob(t, h.storage, "a", hundred("one"))
	for _, content := range []string{hundred("two"), strings.Repeat("x", 200)} { // over what is left, over the quota itself
		begun := h.do(t, admin, call{method: "POST", path: "/v2/a/blobs/uploads/"})
		at := begun.header.Get("Location")
		got := h.do(t, admin, call{method: "PUT", path: at + "?digest=" + digest.FromString(content).String(), body: content})
		if begun.status != http.StatusAccepted || got.status != http.StatusForbidden || !strings.Contains(got.body, "quota of") {
			t.Errorf("%d bytes: %d, %d %s", len(content), begun.status, got.status, got.body)
		}
		if got := h.do(t, admin, call{method: "GET", path: at}); got.code() != "BLOB_UPLOAD_UNKNOWN" {
			t.Errorf("%d bytes: the upload is there still: %d %s", len(content), got.status, got.body)
		}
	}
}

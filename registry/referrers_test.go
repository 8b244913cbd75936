package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// readBlobs note which objects are read.
type readBlobs struct {
	registry.Blobs
	mu   sync.Mutex
	read []string
}

// Read implements registry.Blobs.
func (b *readBlobs) Read(ctx context.Context, key string) ([]byte, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = append(b.read, key)
	return b.Blobs.Read(ctx, key)
}

// TestReferrersAfter lists what refers to an image from any of it on, by type or not, and
// reads neither manifests nor entries of earlier pages.
func TestReferrersAfter(t *testing.T) {
	ctx := t.Context()
	m := newMemBlobs()
	pushed := registry.NewStorage(m, registry.StorageOptions{})
	pushImageOf(t, pushed, "a", "1", "config")
	subject := digest.FromString(imageManifest("config"))
	var all, odd []string
	for i := range 20 {
		kind := []string{"application/even", "application/odd"}[i%2]
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"manifests":[],"annotations":{"n":"%d"},
			"subject":{"mediaType":%q,"digest":%q,"size":%d}}`, ociIndex, kind, i, ociImage, subject, len(imageManifest("config")))
		d := pushManifest(t, pushed, "a", "", manifest, ociIndex).String()
		all = append(all, d)
		if i%2 == 1 {
			odd = append(odd, d)
		}
	}
	slices.Sort(all)
	slices.Sort(odd)
	for name, test := range map[string]struct {
		kind, after string
		want        []string
	}{
		"all":                   {"", "", all},
		"the rest":              {"", all[11], all[12:]},
		"of a type":             {"application/odd", "", odd},
		"the rest of a type":    {"application/odd", odd[4], odd[5:]},
		"none of a type":        {"application/other", "", nil},
		"after the last":        {"", all[19], nil},
		"after what is no such": {"", "sha256:", all},
	} {
		blobs := &readBlobs{Blobs: m}
		s := registry.NewStorage(blobs, registry.StorageOptions{})
		for round := range 2 {
			var got []string
			for desc, err := range s.ReferrersAfter(ctx, "a", subject, test.kind, digest.Digest(test.after)) {
				if err != nil || desc.Annotations["n"] == "" {
					t.Fatalf("%s: %+v, %v", name, desc, err)
				}
				got = append(got, desc.Digest.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s, round %d: %s", name, round, diff)
			}
		}
		for _, key := range blobs.read {
			_, referrer, ok := strings.Cut(key, subject.Encoded()+"/sha256/")
			if !ok || "sha256:"+referrer <= test.after {
				t.Errorf("%s: read %s", name, key)
			}
		}
		if len(blobs.read) > len(all) {
			t.Errorf("%s: %d reads for %d entries, twice", name, len(blobs.read), len(all))
		}
	}
}

// TestReferrersBroken: what cannot be read is an error, and the end.
func TestReferrersBroken(t *testing.T) {
	m := newMemBlobs()
	s := registry.NewStorage(m, registry.StorageOptions{})
	subject := digest.FromString("subject")
	key := "repositories/a/referrers/sha256/" + subject.Encoded() + "/sha256/" + digest.FromString("x").Encoded()
	if err := m.Put(t.Context(), key, []byte("{"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, err := range s.Referrers(t.Context(), "a", subject, "") {
		errs = append(errs, err)
	}
	if len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), "damaged") {
		t.Errorf("%v", errs)
	}
}

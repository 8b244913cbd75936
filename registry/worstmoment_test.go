package registry_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// intruder is Blobs where somebody does something once, just before a certain write.
type intruder struct {
	registry.Blobs
	before func(method, key string) bool

	mu sync.Mutex
	do func() // nil: it was done
}

func (i *intruder) intrude(method, key string) {
	if do := i.take(method, key); do != nil {
		do()
	}
}

// take returns what is to be done before a write, once.
func (i *intruder) take(method, key string) func() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.before(method, key) {
		return nil
	}
	do := i.do
	i.do = nil
	return do
}

func (i *intruder) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	i.intrude("put", key)
	return i.Blobs.Put(ctx, key, data, c)
}

func (i *intruder) Delete(ctx context.Context, key string, c registry.Condition) error {
	i.intrude("delete", key)
	return i.Blobs.Delete(ctx, key, c)
}

// TestWorstMoments lets clients push at the last moment before a collector removes
// something that they rely on: what they were told is stored is complete afterwards.
func TestWorstMoments(t *testing.T) {
	image := imageManifest("config", "layer")
	imageLink := "repositories/a/manifests/sha256/" + digest.FromString(image).Encoded()
	layerLink := "repositories/a/blobs/sha256/" + digest.FromString("layer").Encoded()
	layerMark := "condemned/sha256/" + digest.FromString("layer").Encoded()
	pushIndex := func(t *testing.T, s *registry.Storage) { pushManifest(t, s, "a", "t", indexOf(image), ociIndex) }
	pushImage := func(t *testing.T, s *registry.Storage) { pushManifest(t, s, "a", "t", image, ociImage) }
	pushLayer := func(t *testing.T, s *registry.Storage) {
		pushBlob(t, s, "a", "layer")
		pushImage(t, s)
	}
	tests := []struct {
		name   string
		before string // a method and a key
		unlink bool   // the layer loses its link, and is condemned
		push   func(*testing.T, *registry.Storage)
	}{
		{"an index of an untagged image", "delete " + imageLink, false, pushIndex},
		{"a tag of an untagged image", "delete " + imageLink, false, pushImage},
		{"an image of an unused layer", "delete " + layerLink, false, func(t *testing.T, s *registry.Storage) {
			pushManifest(t, s, "a", "t", imageManifest("layer"), ociImage)
		}},
		{"a condemned layer", "put " + layerMark, true, pushLayer},
		{"a condemned layer, linked elsewhere", "put " + layerMark, true, func(t *testing.T, s *registry.Storage) {
			pushBlob(t, s, "b", "layer")
			pushLayer(t, s)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				policy := registry.Policy{{Pattern: "*", Keep: &registry.Retention{Untagged: day}}}
				m := newMemBlobs()
				s := registry.NewStorage(m, registry.StorageOptions{Policy: policy})
				pushImageOf(t, s, "a", "", "config", "layer")
				if test.unlink {
					if err := s.DeleteBlob(t.Context(), "a", digest.FromString("layer")); err != nil {
						t.Fatal(err)
					}
					time.Sleep(day)
					pushManifest(t, s, "a", "keep", imageManifest("config"), ociImage)
					if got := collect(t, s, registry.CollectOptions{}); got.Condemned.Count != 1 {
						t.Fatalf("%+v", got)
					}
				}
				time.Sleep(2 * day)
				pushed := false
				method, key, _ := strings.Cut(test.before, " ")
				i := &intruder{Blobs: m, before: func(m, k string) bool { return m == method && k == key }}
				i.do = func() {
					test.push(t, s)
					pushed = true
				}
				collect(t, registry.NewStorage(i, registry.StorageOptions{Policy: policy}), registry.CollectOptions{})
				if !pushed {
					t.Fatal("the moment did not come")
				}
				for range 3 {
					desc, err := s.ResolveTag(t.Context(), "a", "t")
					if err == nil {
						err = complete(t.Context(), s, "a", desc.Digest)
					}
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(2 * day)
					collect(t, s, registry.CollectOptions{})
				}
			})
		})
	}
}

// TestImmutableWhileDeleted pushes an immutable tag at a manifest while that is deleted:
// the tag stays, and all that it needs.
func TestImmutableWhileDeleted(t *testing.T) {
	for _, before := range []string{"delete tags/latest", "delete manifests"} {
		t.Run(before, func(t *testing.T) {
			m := newMemBlobs()
			policy := registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", Immutable: []string{"v*"}}}}
			pusher := registry.NewStorage(m, policy)
			subject := pushImageOf(t, pusher, "a", "base", "config of the base")
			referrer := strings.TrimSuffix(imageManifest("config"), "}") + `,"subject":` + descriptorJSON(imageManifest("config of the base")) + `}`
			pushBlob(t, pusher, "a", "config")
			d := pushManifest(t, pusher, "a", "latest", referrer, ociImage)
			method, key, _ := strings.Cut(before, " ")
			i := &intruder{Blobs: m, before: func(m, k string) bool { return m == method && strings.HasPrefix(k, "repositories/a/"+key) }}
			i.do = func() { pushManifest(t, pusher, "a", "v1", referrer, ociImage) }
			err := registry.NewStorage(i, policy).DeleteManifest(t.Context(), "a", d)
			if i.do != nil || regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), "v1") {
				t.Errorf("the deletion: %v", err)
			}
			if got, err := readAll(pusher.GetTag(t.Context(), "a", "v1")); err != nil || !strings.HasSuffix(got, referrer) {
				t.Errorf("v1 is %q, %v", got, err)
			}
			var referrers []digest.Digest
			for desc, err := range pusher.Referrers(t.Context(), "a", subject, "") {
				if err != nil {
					t.Fatal(err)
				}
				referrers = append(referrers, desc.Digest)
			}
			if !slices.Equal(referrers, []digest.Digest{d}) {
				t.Errorf("the referrers are %v", referrers)
			}
		})
	}
}

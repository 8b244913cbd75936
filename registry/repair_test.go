package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
)

// TestPushWhileDeleting pushes and deletes the same manifest at once, through two
// storages of one directory as two processes would. Whichever comes last, the
// manifest, its tag and its place among the referrers are all there or none is.
func TestPushWhileDeleting(t *testing.T) {
	dir := t.TempDir()
	pusher, deleter := openStorage(t, dir), openStorage(t, dir)
	pushBlob(t, pusher, "a", "config")
	manifest := withSubject(imageManifest("config"), "subject")
	d := digest.FromString(manifest)
	push := func(tag string) error {
		_, err := pusher.PushManifest(t.Context(), "a", tag, []byte(manifest), ociImage)
		return err
	}
	for round := range 60 {
		if err := push(""); err != nil {
			t.Fatal(err)
		}
		var pushed, deleted error
		var both sync.WaitGroup
		both.Go(func() { pushed = push("t") })
		both.Go(func() { deleted = deleter.DeleteManifest(t.Context(), "a", d) })
		both.Wait()
		if pushed != nil || deleted != nil {
			t.Fatalf("round %d: push %v, delete %v", round, pushed, deleted)
		}
		tags, err := ociregistry.All(pusher.Tags(t.Context(), "a", ""))
		if err != nil {
			t.Fatal(err)
		}
		list, err := ociregistry.All(pusher.Referrers(t.Context(), "a", digest.FromString("subject"), ""))
		if err != nil {
			t.Fatal(err)
		}
		_, err = pusher.ResolveManifest(t.Context(), "a", d)
		if err != nil && !unknown(err) {
			t.Fatal(err)
		}
		if there := err == nil; (len(tags) == 1) != there || (len(list) == 1) != there {
			t.Fatalf("round %d: the manifest is there: %v, tags %q, referrers %v", round, there, tags, list)
		}
	}
}

// deleting is Blobs where somebody deletes the links of manifests as soon as a tag
// is written.
type deleting struct {
	registry.Blobs
	link string
}

func (d deleting) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	if err := d.Blobs.Put(ctx, key, data, c); err != nil || !strings.Contains(key, "/tags/") {
		return err
	}
	return d.Delete(ctx, d.link, registry.Condition{})
}

func TestPushGivesUp(t *testing.T) {
	dir, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	manifest := imageManifest("config")
	s := registry.NewStorage(deleting{dir, "repositories/a/manifests/sha256/" + digest.FromString(manifest).Encoded()}, registry.StorageOptions{})
	pushBlob(t, s, "a", "config")
	if _, err := s.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage); regcred.CodeOf(err) != regcred.Unavailable {
		t.Errorf("a push that is undone again and again: %v", err)
	}
	if tags, err := ociregistry.All(s.Tags(t.Context(), "a", "")); err != nil || len(tags) > 0 {
		t.Errorf("it leaves the tags %q, %v", tags, err)
	}
}

// pushing is Blobs where somebody pushes just before a link is deleted.
type pushing struct {
	registry.Blobs
	link string
	push func()
}

func (p pushing) Delete(ctx context.Context, key string, c registry.Condition) error {
	if key == p.link {
		p.push()
	}
	return p.Blobs.Delete(ctx, key, c)
}

// TestDeleteAfterPush acknowledges a push while a deletion is at its last step
// before the manifest's link goes: what it wrote goes too.
func TestDeleteAfterPush(t *testing.T) {
	dir, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	manifest := withSubject(imageManifest("config"), "subject")
	s := registry.NewStorage(dir, registry.StorageOptions{})
	pushBlob(t, s, "a", "config")
	push := func() {
		if _, err := s.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage); err != nil {
			t.Error(err)
		}
	}
	push()
	d := digest.FromString(manifest)
	deleter := registry.NewStorage(pushing{dir, "repositories/a/manifests/sha256/" + d.Encoded(), push}, registry.StorageOptions{})
	if err := deleter.DeleteManifest(t.Context(), "a", d); err != nil {
		t.Fatal(err)
	}
	if tags, err := ociregistry.All(s.Tags(t.Context(), "a", "")); err != nil || len(tags) > 0 {
		t.Errorf("it leaves the tags %q, %v", tags, err)
	}
	if list, err := ociregistry.All(s.Referrers(t.Context(), "a", digest.FromString("subject"), "")); err != nil || len(list) > 0 {
		t.Errorf("it leaves the referrers %v, %v", list, err)
	}
}

// TestLongAnnotations pushes referrers whose annotations JSON may write longer than
// the manifest has them.
func TestLongAnnotations(t *testing.T) {
	for name, test := range map[string]struct {
		annotation string
		code       regcred.Code // Internal: none, it is accepted
	}{
		"HTML": {strings.Repeat("<", 1_000_000), regcred.Internal},
		// U+2028 has 3 bytes in the manifest, and always 6 in what encoding/json writes.
		"line separators": {strings.Repeat("\u2028", 1_000_000), regcred.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStorage(t, dir)
			pushBlob(t, s, "a", "config")
			before := len(fileNames(t, filepath.Join(dir, "objects")))
			manifest := withSubject(imageManifest("config"), "subject")
			manifest = fmt.Sprintf(`%s,"annotations":{"x":"%s"}}`, manifest[:len(manifest)-1], test.annotation)
			_, err := s.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage)
			if test.code != regcred.Internal {
				if regcred.CodeOf(err) != test.code {
					t.Errorf("push: %v", err)
				}
				if after := len(fileNames(t, filepath.Join(dir, "objects"))); after != before {
					t.Errorf("the refused push left %d objects", after-before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			list, err := ociregistry.All(s.Referrers(t.Context(), "a", digest.FromString("subject"), ""))
			if err != nil || len(list) != 1 || list[0].Annotations["x"] != test.annotation {
				t.Errorf("%d referrers, %v", len(list), err)
			}
		})
	}
}

// TestPushRepairs damages what is stored, in ways of a medium, and pushes again.
func TestPushRepairs(t *testing.T) {
	manifest := imageManifest("config", "a layer")
	objects := map[string]string{ // what is damaged, by the path that serves it
		"/v2/a/blobs/" + digest.FromString("a layer").String(): contentFile("a layer"),
		"/v2/a/manifests/t": contentFile(manifest),
	}
	damages := map[string]func(content string) string{
		"truncated": func(content string) string { return content[:len(content)-1] },
		"empty":     func(string) string { return "" },
		"appended":  func(content string) string { return content + "x" },
		"too large": func(content string) string { return content + strings.Repeat("x", registry.MaxSmall) },
	}
	for path, object := range objects {
		for name, damage := range damages {
			t.Run(path[:8]+" "+name, func(t *testing.T) {
				h := newHarness(t)
				admin := h.admin(t)
				push := func() {
					h.pushBlob(t, "a", "config")
					h.pushBlob(t, "a", "a layer")
					if _, err := h.storage.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage); err != nil {
						t.Fatal(err)
					}
				}
				push()
				file := filepath.Join(h.dir, "objects", object)
				want := readFile(t, file)
				writeFile(t, file, damage(want))
				if got := h.do(t, admin, call{method: "GET", path: path}); got.status != http.StatusInternalServerError {
					t.Errorf("damaged, it is answered with %d", got.status)
				}
				if !strings.Contains(h.log.String(), "push it again") {
					t.Error("the damage was not logged")
				}
				push()
				if got := h.do(t, admin, call{method: "GET", path: path}); got.status != http.StatusOK || got.body != want {
					t.Errorf("pushed again, it is answered with %d, %d bytes", got.status, len(got.body))
				}
			})
		}
	}
}

// TestPushRepairsLinks damages the link of a blob and a tag.
func TestPushRepairsLinks(t *testing.T) {
	dir := t.TempDir()
	s := openStorage(t, dir)
	manifest := imageManifest("config")
	push := func() error {
		if _, err := s.PushBlob(t.Context(), "a", descriptor("config"), strings.NewReader("config")); err != nil {
			return err
		}
		_, err := s.PushManifest(t.Context(), "a", "t", []byte(manifest), ociImage)
		return err
	}
	if err := push(); err != nil {
		t.Fatal(err)
	}
	repository := filepath.Join(dir, "objects", "repositories", "a")
	for _, file := range []string{
		"blobs/sha256/" + digest.FromString("config").Encoded(),
		"manifests/sha256/" + digest.FromString(manifest).Encoded(),
		"tags/t",
	} {
		if err := os.Truncate(filepath.Join(repository, file), 3); err != nil {
			t.Fatal(err)
		}
		if err := push(); err != nil {
			t.Errorf("%s is damaged and cannot be pushed again: %v", file, err)
		}
		if got, err := readAll(s.GetTag(t.Context(), "a", "t")); err != nil || !strings.HasSuffix(got, manifest) {
			t.Errorf("%s was damaged: %q, %v", file, got, err)
		}
		if _, err := readAll(s.GetBlob(t.Context(), "a", digest.FromString("config"))); err != nil {
			t.Errorf("%s was damaged: %v", file, err)
		}
	}
}

// TestMountDamaged mounts a blob whose content is damaged: it has to be uploaded.
func TestMountDamaged(t *testing.T) {
	dir := t.TempDir()
	s := openStorage(t, dir)
	d := pushBlob(t, s, "a", "a layer")
	writeFile(t, filepath.Join(dir, "objects", contentFile("a layer")), "a lay")
	if _, err := s.MountBlob(t.Context(), "a", "b", d); !unknown(err) {
		t.Errorf("mount: %v", err)
	}
	pushBlob(t, s, "b", "a layer")
	for _, repo := range []string{"a", "b"} {
		if got, err := readAll(s.GetBlob(t.Context(), repo, d)); err != nil || !strings.HasSuffix(got, "a layer") {
			t.Errorf("%s has %q, %v", repo, got, err)
		}
	}
}

// contentFile returns where content is stored, below objects.
func contentFile(content string) string {
	hex := digest.FromString(content).Encoded()
	return filepath.Join("blobs", "sha256", hex[:2], hex)
}

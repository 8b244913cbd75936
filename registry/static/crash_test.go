package static_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/regcredtest/webfront"
)

// checkComplete checks that all that a client can be led to from any manifest of a
// directory is there and is what its digest says, and that listed tags are there.
func checkComplete(t *testing.T, dir string) (manifests int) {
	t.Helper()
	root := filepath.Join(dir, "v2")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		repo, reference, ok := strings.Cut(path, "/manifests/")
		switch {
		case ok:
			manifests++
			checkManifest(t, repo, strings.TrimSuffix(reference, filepath.Ext(reference)), path)
		case strings.HasSuffix(path, "/tags/list"):
			checkTags(t, strings.TrimSuffix(path, "/tags/list"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func checkManifest(t *testing.T, repo, reference, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(reference, ":") && digest.FromBytes(data).String() != reference {
		t.Errorf("%s has other content", path)
	}
	var m struct {
		Config    ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Config.Digest != "" {
		m.Layers = append(m.Layers, m.Config)
	}
	for _, l := range m.Layers {
		if info, err := os.Stat(filepath.Join(repo, "blobs", l.Digest.String())); err != nil || info.Size() != l.Size {
			t.Errorf("%s refers to what is not there: %v", path, err)
		}
	}
	for _, c := range m.Manifests {
		if !exists(repo, c.Digest.String()) {
			t.Errorf("%s refers to manifest %s, which is not there", path, c.Digest)
		}
	}
	if !strings.Contains(reference, ":") && !exists(repo, digest.FromBytes(data).String()) {
		t.Errorf("%s is there by its tag alone", path)
	}
}

func exists(repo, reference string) bool {
	found, err := filepath.Glob(filepath.Join(repo, "manifests", reference) + ".*-*")
	return err == nil && slices.ContainsFunc(found, func(f string) bool {
		return strings.TrimSuffix(f, filepath.Ext(f)) == filepath.Join(repo, "manifests", reference)
	})
}

func checkTags(t *testing.T, repo string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo, "tags", "list"))
	if err != nil {
		t.Fatal(err)
	}
	var l struct{ Tags []string }
	if err := json.Unmarshal(data, &l); err != nil {
		t.Fatal(err)
	}
	for _, tag := range l.Tags {
		if !exists(repo, tag) {
			t.Errorf("%s lists %s, which is not there", repo, tag)
		}
	}
}

// TestKilled ends a publication after each of its writes: all that can be seen is whole,
// at every moment, and publishing again completes it.
func TestKilled(t *testing.T) {
	l := signed()
	index, old, a := l.index, openArchive(t, small("old")), openArchive(t, l.files)
	for limit := 1; ; limit++ {
		dir := t.TempDir()
		d := openDirectory(t, dir)
		before := mustPublish(t, newRegistry(t, d), old, "acme/app", "1").Root.Digest
		o := &recorder{Objects: d, limit: limit, after: func() { checkComplete(t, dir) }}
		r := newRegistry(t, o)
		host := serve(t, webfront.Files(dir))
		_, err := publishTo(t.Context(), r, a, "acme/app", "1")
		if len(o.writes) < limit {
			if err != nil {
				t.Fatal(err)
			}
			if limit < 10 {
				t.Errorf("a publication has only %d writes", len(o.writes))
			}
			return
		}
		if err != nil && regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("after %d writes: %v", limit, err)
		}
		if got := pull(t, host, "acme/app:1"); got != index.Digest && (got != before || err == nil) {
			t.Errorf("after %d writes the tag is %s, and the outcome %v", limit, got, err)
		}
		if t.Failed() {
			return
		}
		o.limit = 0
		mustPublish(t, r, a, "acme/app", "1")
		if got := pull(t, host, "acme/app:1"); got != index.Digest {
			t.Errorf("killed after %d writes, and published again, the tag is %s", limit, got)
		}
	}
}

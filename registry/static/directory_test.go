package static_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/static"
)

func removeAll(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestLeftovers removes what killed writers left, and nothing else.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	openDirectory(t, dir)
	left, other := filepath.Join(dir, ".regcred", "tmp-X"), filepath.Join(dir, ".regcred", "other")
	for _, name := range []string{left, other, filepath.Join(dir, "page.html")} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := openDirectory(t, dir)
	if _, err := os.Stat(left); err == nil {
		t.Error("what a killed writer left is still there")
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if err := d.Put(t.Context(), "v2/x", "", "", []byte("x"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, ".regcred", "tmp-*"))
	if err != nil || len(found) > 0 {
		t.Errorf("left behind: %v, %v", found, err)
	}
}

func TestDirectoryRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("regcred blobs 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := static.OpenDirectory(dir)
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "storage of a registry") {
		t.Errorf("a registry's storage: %v", err)
	}
	file := filepath.Join(dir, "format")
	if _, err := static.OpenDirectory(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v", err)
	}
	d := openDirectory(t, t.TempDir())
	if err := d.Put(t.Context(), "v2/a", "", "", nil, registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.Put(t.Context(), "v2/a/b", "", "", nil, registry.Condition{}), regcred.Invalid)
	for _, key := range []string{"../x", "v2/../../x"} {
		if err := d.Put(t.Context(), key, "", "", nil, registry.Condition{}); err == nil {
			t.Errorf("%s left the directory", key)
		}
	}
}

// TestModes has a web server of another user read what is published, and nothing else.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	d := openDirectory(t, dir)
	newRegistry(t, d)
	for name, want := range map[string]os.FileMode{"v2": 0o055, "v2/index.html": 0o044, ".regcred": 0} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm() & 0o077; got&^want != 0 || name == ".regcred" && got != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

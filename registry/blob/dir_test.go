package blob_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
)

func open(t *testing.T, dir string) *blob.Dir {
	t.Helper()
	d, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestDir(t *testing.T) {
	regcredtest.TestBlobs(t, func(t *testing.T) registry.Blobs { return open(t, t.TempDir()) })
}

// TestTwoOpens lets two Dirs of one directory, as two processes would have, see
// the same and hold off each other.
func TestTwoOpens(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	up, err := a.CreateUpload(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.OpenUpload(t.Context(), "id"); regcred.CodeOf(err) != regcred.Stale {
		t.Errorf("the other one opened the upload: %v", err)
	}
	open(t, dir) // cleans up nothing that is in use
	if err := up.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if data, _, err := b.Read(t.Context(), "k"); err != nil || string(data) != "content" {
		t.Errorf("the other one reads %q, %v", data, err)
	}
}

func TestOpenKeepsWhatIsNotOurs(t *testing.T) {
	foreign := t.TempDir()
	writeFile(t, filepath.Join(foreign, "tmp", "put-0"), "somebody's")
	if _, err := blob.Open(foreign); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("a directory of somebody else was opened: %v", err)
	}
	if diff := cmp.Diff([]string{"tmp/put-0"}, files(t, foreign)); diff != "" {
		t.Error("files (-want +got):", diff)
	}

	newer := t.TempDir()
	writeFile(t, filepath.Join(newer, "format"), "regcred blobs 2\n")
	if _, err := blob.Open(newer); regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "regcred blobs 2") {
		t.Errorf("a newer format was opened: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	if _, err := blob.Open(file); err == nil {
		t.Error("a file was opened")
	}
}

func TestOpenCleansUp(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Put(t.Context(), "a/k", []byte("x"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "tmp", "put-killed"), "half")
	writeFile(t, filepath.Join(dir, "tmp", "other"), "somebody's")
	writeFile(t, filepath.Join(dir, "uploads", "new"), "half")
	writeFile(t, filepath.Join(dir, "uploads", "old"), "half")
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "uploads", "old"), old, old); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	want := []string{"format", "objects/a/k", "reserve", "tmp/other", "uploads/new"}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error("files (-want +got):", diff)
	}
	up, err := d.OpenUpload(t.Context(), "new")
	if err != nil || up.Size() != 4 {
		t.Errorf("the new upload cannot be gone on with: %v", err)
	}
}

// TestReserve: room is kept from the first, and taken up again once there is some; who is
// given of it has the conditions of Put. A full disk is tried in package registry.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	reserve := filepath.Join(dir, "reserve")
	for range 2 {
		if info, err := os.Stat(reserve); err != nil || info.Size() != 256<<10 {
			t.Errorf("the reserve: %v, %v", info, err)
		}
		if err := os.Truncate(reserve, 1000); err != nil {
			t.Fatal(err)
		}
		err := d.PutReserved(t.Context(), "k", []byte("x"), registry.Condition{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.PutReserved(t.Context(), "k", nil, registry.IfAbsent); regcred.CodeOf(err) != regcred.Exists {
		t.Errorf("what is there was replaced: %v", err)
	}
}

// TestOpenKilled opens what an Open left that was killed at its very first step.
func TestOpenKilled(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "format"), "")
	if err := open(t, dir).Put(t.Context(), "k", nil, registry.IfAbsent); err != nil {
		t.Error(err)
	}
}

// TestLinksOut puts symbolic links where objects and directories are.
func TestLinksOut(t *testing.T) {
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "secret"), "secret")
	dir := t.TempDir()
	d := open(t, dir)
	for name, target := range map[string]string{"file": filepath.Join(outside, "secret"), "dir": outside} {
		if err := os.Symlink(target, filepath.Join(dir, "objects", name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Get(t.Context(), "file"); err == nil {
		t.Error("a link out of the directory was read")
	}
	if _, err := d.Get(t.Context(), "dir/secret"); err == nil {
		t.Error("a linked directory was read")
	}
	if err := d.Put(t.Context(), "dir/new", nil, registry.Condition{}); err == nil {
		t.Error("a linked directory was written to")
	}
	if diff := cmp.Diff([]string{"secret"}, files(t, outside)); diff != "" {
		t.Error("files outside (-want +got):", diff)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	d := open(t, dir)
	if err := d.Put(t.Context(), "a/b/k", []byte("x"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGetIsFile(t *testing.T) {
	d := open(t, t.TempDir())
	if err := d.Put(t.Context(), "k", []byte("x"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	object, err := d.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if _, ok := object.ReadSeekCloser.(*os.File); !ok {
		t.Errorf("the reader is a %T: the kernel cannot send it", object.ReadSeekCloser)
	}
}

func writeFile(t *testing.T, name, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// files lists the files below a directory by their paths in it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"regcred.dev"
	"regcred.dev/seal"
)

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeyFileIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seal.key")
	if _, err := seal.OpenKeyFile(path, false); regcred.CodeOf(err) != regcred.NotFound || !strings.Contains(err.Error(), path) {
		t.Fatalf("a missing key without leave to make one: %v", err)
	}
	first, err := seal.OpenKeyFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != seal.RootSize {
		t.Errorf("the file has mode %v and %d bytes, %v", info.Mode(), info.Size(), err)
	}
	for _, create := range []bool{true, false} {
		again, err := seal.OpenKeyFile(path, create)
		if err != nil || again.ID() != first.ID() {
			t.Errorf("opened again with create=%v: %v, %v; want %v", create, again, err, first)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("more than the key is left: %v", entries)
	}
}

// TestKeyFileRace has many make the same file: all get the one that is there.
func TestKeyFileRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := seal.OpenKeyFile(path, true)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("different keys: %v", ids)
		}
	}
}

func TestBadKeyFiles(t *testing.T) {
	good := bytes.Repeat([]byte{1}, seal.RootSize)
	tests := []struct {
		name    string
		content []byte
		mode    os.FileMode
		want    string
	}{
		{"empty", nil, 0o600, "has 0 bytes, not 32"},
		{"short", good[1:], 0o600, "has 31 bytes, not 32"},
		{"long", append(good[:seal.RootSize:seal.RootSize], '\n'), 0o600, "has 33 bytes, not 32"},
		{"group", good, 0o640, "mode 0640"},
		{"world", good, 0o604, "chmod 600"},
		{"writable", good, 0o620, "mode 0620"},
		{"directory", nil, 0o700 | os.ModeDir, "not a regular file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seal.key")
			write(t, path, test.content, test.mode)
			for _, create := range []bool{false, true} {
				_, err := seal.OpenKeyFile(path, create)
				if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("create=%v: %v; want it to say %q", create, err, test.want)
				}
			}
			if test.mode.IsRegular() {
				if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, test.content) {
					t.Errorf("the file was changed to %x, %v", after, err)
				}
			}
		})
	}
}

// write makes a file or directory of just that mode, whatever the umask.
func write(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if mode.IsDir() {
		if err := os.Mkdir(path, mode.Perm()); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

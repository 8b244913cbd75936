package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"regcred.dev/provider/internal/file"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(write("eight", "12345678"), link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, want, failure string }{
		{link, "12345678", ""}, // as Kubernetes mounts them
		{write("empty", ""), "", ""},
		{write("nine", "123456789"), "", "more than 8 bytes"},
		{dir, "", "no regular file"},
		{os.DevNull, "", "no regular file"},
		{filepath.Join(dir, "missing"), "", "no such file"},
	} {
		got, err := file.Read(test.name, 8)
		switch {
		case test.failure == "" && (err != nil || got != test.want):
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		case test.failure != "" && (err == nil || !strings.Contains(err.Error(), test.failure) || strings.Contains(err.Error(), dir)):
			t.Errorf("%s: error %v, want one with %q and no path", test.name, err, test.failure)
		}
	}
}

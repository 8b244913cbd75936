package sqlite_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/seal"
	"regcred.dev/store/sqlite"
)

// key returns the seal key whose root is one byte repeated.
func key(t testing.TB, b byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{b}, seal.RootSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens the store at path, which is closed with the test.
func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Keys: seal.Keys{key(t, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	regcredtest.TestStore(t, func(t *testing.T) regcred.Store {
		return open(t, filepath.Join(t.TempDir(), "regcred.db"))
	})
}

package bucket_test

import (
	"testing"

	"regcred.dev/registry/blob"
)

// openSpool returns a spool in a directory of its own.
func openSpool(t testing.TB) *blob.Dir {
	t.Helper()
	d, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

package bucket_test

import (
	"net/http"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// TestClientMessage: who pulls hears nothing of where the bucket is and what is wrong
// with it, but that it is the registry's fault.
func TestClientMessage(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError} {
		f := &fakeS3{}
		b, err := bucket.Open(t.Context(), fakeOptions(t, f))
		if err != nil {
			t.Fatal(err)
		}
		f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
		s := registry.NewStorage(b, registry.StorageOptions{})
		_, err = s.ResolveTag(t.Context(), "acme/app", "latest")
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "bucket images at https://s3.example.com") {
			t.Errorf("%d: %v", status, err)
		}
		if said := registry.ClientMessage(err); strings.Contains(said, "images") || strings.Contains(said, "s3") || !strings.Contains(said, "try again") {
			t.Errorf("%d: clients read %q", status, said)
		}
	}
}

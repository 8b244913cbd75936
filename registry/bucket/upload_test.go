package bucket_test

import (
	"net/http"
	"testing"

	"regcred.dev"
	"regcred.dev/registry"
)

func TestNoSpool(t *testing.T) {
	o := fakeOptions(t, &fakeS3{})
	o.Spool = nil
	b := open(t, o)
	_, err := b.CreateUpload(t.Context(), "id")
	wantError(t, err, regcred.Invalid, "spool")
	_, err = b.OpenUpload(t.Context(), "id")
	wantError(t, err, regcred.Invalid, "spool")
}

// TestCommitAgain has S3 fail while an upload is committed: it can be committed later,
// by another process too.
func TestCommitAgain(t *testing.T) {
	f := &fakeS3{}
	b := open(t, fakeOptions(t, f))
	up, err := b.CreateUpload(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		fakeError(w, http.StatusInternalServerError, "InternalError")
		return true
	}
	wantError(t, up.Commit(t.Context(), "k"), regcred.Unavailable)
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	f.answer = nil
	if up, err = b.OpenUpload(t.Context(), "id"); err != nil {
		t.Fatal(err)
	}
	if err := up.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "k"); got != "content" {
		t.Errorf("%q", got)
	}
	_, err = b.OpenUpload(t.Context(), "id")
	wantError(t, err, regcred.NotFound)
	if err := b.Put(t.Context(), "k", nil, registry.IfAbsent); regcred.CodeOf(err) != regcred.Exists {
		t.Error(err)
	}
}

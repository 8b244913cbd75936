package regcredtest

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry"
)

func testBlobsUpload(t *testing.T, b registry.Blobs) {
	up := createUpload(t, b, "id")
	_, err := b.CreateUpload(t.Context(), "id")
	blobCode(t, regcred.Exists, err)
	large := strings.Repeat("0123456789", 100_000)
	writeUpload(t, up, large)
	writeUpload(t, up, "end")
	if up.Size() != int64(len(large)+3) {
		t.Errorf("Size is %d", up.Size())
	}
	for range 2 { // reading it moves nothing
		content, err := up.Content()
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(content); err != nil || string(data) != large+"end" {
			t.Errorf("Content has %d bytes, %v", len(data), err)
		}
	}
	blobCode(t, regcred.NotFound, statError(t, b, "d/key"))
	writeUpload(t, up, "!")
	blobDo(t, up.Commit(t.Context(), "d/key"))
	if got := readBlob(t, b, "d/key"); got != large+"end!" {
		t.Errorf("the object has %d bytes", len(got))
	}
	blobDo(t, up.Cancel(), up.Close(), up.Close())
	if _, err := up.Write([]byte("x")); err == nil {
		t.Error("an upload that is over can be written to")
	}
	if up.Commit(t.Context(), "other") == nil {
		t.Error("an upload that is over can be committed")
	}
	_, err = b.OpenUpload(t.Context(), "id")
	blobCode(t, regcred.NotFound, err)
	if diff := cmp.Diff([]string{"d/key"}, blobKeys(t, b, "", "")); diff != "" {
		t.Error("keys (-want +got):", diff)
	}
}

func testBlobsUploadResume(t *testing.T, b registry.Blobs) {
	up := createUpload(t, b, "id")
	for i := range 5 {
		writeUpload(t, up, fmt.Sprint(i))
		blobDo(t, up.Close())
		var err error
		if up, err = b.OpenUpload(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
		if up.Size() != int64(i+1) {
			t.Fatalf("after %d writes it has %d bytes", i+1, up.Size())
		}
	}
	blobDo(t, up.Commit(t.Context(), "k"))
	if got := readBlob(t, b, "k"); got != "01234" {
		t.Errorf("the object is %q", got)
	}
}

func testBlobsUploadInUse(t *testing.T, b registry.Blobs) {
	up := createUpload(t, b, "id")
	_, err := b.OpenUpload(t.Context(), "id")
	blobCode(t, regcred.Stale, err)
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads in use were removed, %v", n, err)
	}
	writeUpload(t, up, "x")
	blobDo(t, up.Commit(t.Context(), "k"))
}

func testBlobsUploadCancel(t *testing.T, b registry.Blobs) {
	up := createUpload(t, b, "id")
	writeUpload(t, up, "x")
	blobDo(t, up.Cancel(), up.Cancel(), up.Close())
	_, err := b.OpenUpload(t.Context(), "id")
	blobCode(t, regcred.NotFound, err)
	blobDo(t, createUpload(t, b, "id").Cancel())
}

func testBlobsUploadReplaces(t *testing.T, b registry.Blobs) {
	for i, content := range []string{"one", "two"} {
		up := createUpload(t, b, fmt.Sprint(i))
		writeUpload(t, up, content)
		blobDo(t, up.Commit(t.Context(), "k"))
		if got := readBlob(t, b, "k"); got != content {
			t.Errorf("the object is %q, want %q", got, content)
		}
	}
}

func testBlobsCleanUploads(t *testing.T, b registry.Blobs) {
	for _, id := range []string{"a", "b"} {
		up := createUpload(t, b, id)
		writeUpload(t, up, id)
		blobDo(t, up.Close())
	}
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d new uploads were removed, %v", n, err)
	}
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("%d uploads were removed, want 2, %v", n, err)
	}
	_, err := b.OpenUpload(t.Context(), "a")
	blobCode(t, regcred.NotFound, err)
}

func createUpload(t *testing.T, b registry.Blobs, id string) registry.Upload {
	t.Helper()
	up, err := b.CreateUpload(t.Context(), id)
	blobDo(t, err)
	return up
}

func writeUpload(t *testing.T, up registry.Upload, data string) {
	t.Helper()
	if n, err := up.Write([]byte(data)); err != nil || n != len(data) {
		t.Fatalf("Write: %d, %v", n, err)
	}
}

package registry_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// uploader pushes blobs to acme/app by single requests.
type uploader struct {
	t     *testing.T
	h     *harness
	admin regcred.Secret
}

const uploadRepo = "/v2/acme/app/"

func newUploader(t *testing.T) uploader {
	h := newHarness(t)
	return uploader{t, h, h.admin(t)}
}

// start begins an upload and returns its location.
func (u uploader) start() string {
	u.t.Helper()
	a := u.do("POST", uploadRepo+"blobs/uploads/", "")
	if a.status != 202 || a.header.Get("Range") != "0-0" {
		u.t.Fatalf("start: %d %s", a.status, a.body)
	}
	return a.header.Get("Location")
}

func (u uploader) do(method, path, body string) answer {
	u.t.Helper()
	return u.h.do(u.t, u.admin, call{method: method, path: path, body: body})
}

func (u uploader) patch(location, chunk, contentRange string) answer {
	u.t.Helper()
	c := call{method: "PATCH", path: location, body: chunk, header: map[string]string{"Content-Range": contentRange}}
	return u.h.do(u.t, u.admin, c)
}

func (u uploader) put(location, chunk string, d digest.Digest) answer {
	u.t.Helper()
	return u.do("PUT", location+"?digest="+d.String(), chunk)
}

func (u uploader) get(d digest.Digest) answer {
	u.t.Helper()
	return u.do("GET", uploadRepo+"blobs/"+d.String(), "")
}

func (u uploader) want(what string, a answer, status int, code string) {
	u.t.Helper()
	if a.status != status || a.code() != code {
		u.t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}

func TestUploadChunks(t *testing.T) {
	u := newUploader(t)
	location := u.start()
	u.want("first", u.patch(location, "hello ", "0-5"), 202, "")
	u.want("again", u.patch(location, "hello ", "0-5"), 416, "RANGE_INVALID")
	u.want("gap", u.patch(location, "!", "7-7"), 416, "RANGE_INVALID")
	u.want("lengths", u.patch(location, "world", "6-20"), 400, "SIZE_INVALID")
	u.want("malformed", u.patch(location, "world", "bytes 6-10"), 416, "BLOB_UPLOAD_INVALID")
	a := u.do("GET", location, "")
	if a.status != 204 || a.header.Get("Range") != "0-5" {
		t.Errorf("status: %d, range %s", a.status, a.header.Get("Range"))
	}
	d := digest.FromString("hello world")
	a = u.put(location, "world", d)
	if a.status != 201 || a.header.Get("Location") != uploadRepo+"blobs/"+d.String() || a.header.Get("Docker-Content-Digest") != d.String() {
		t.Errorf("put: %d %v", a.status, a.header)
	}
	if a := u.get(d); a.body != "hello world" {
		t.Errorf("the blob is %q", a.body)
	}
	u.want("after the end", u.put(location, "", d), 404, "BLOB_UPLOAD_UNKNOWN")
}

func TestUploadWhole(t *testing.T) {
	u := newUploader(t)
	d := digest.FromString("whole")
	post := func(body string) answer { return u.do("POST", uploadRepo+"blobs/uploads/?digest="+d.String(), body) }
	u.want("wrong", post("w"), 400, "DIGEST_INVALID")
	u.want("right", post("whole"), 201, "")
	u.want("again", post("whole"), 201, "")

	long := digest.SHA512.FromString("long digest")
	u.want("sha512", u.put(u.start(), "long digest", long), 201, "")
	if a := u.get(long); a.body != "long digest" {
		t.Errorf("the blob is %q", a.body)
	}
}

func TestUploadWrongDigest(t *testing.T) {
	u := newUploader(t)
	location, d := u.start(), digest.FromString("right")
	u.want("put", u.put(location, "wrong", d), 400, "DIGEST_INVALID")
	u.want("the upload is gone", u.put(location, "", digest.FromString("wrong")), 404, "BLOB_UPLOAD_UNKNOWN")
	u.want("no digest", u.do("PUT", u.start(), "x"), 400, "DIGEST_INVALID")
	u.want("other algorithm", u.put(u.start(), "x", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"), 400, "DIGEST_INVALID")
	if left := fileNames(t, u.h.dir+"/objects"); len(left) > 0 {
		t.Errorf("something was stored: %q", left)
	}
}

func TestUploadEnds(t *testing.T) {
	u := newUploader(t)
	location := u.start()
	u.want("cancel", u.do("DELETE", location, ""), 204, "")
	u.want("status", u.do("GET", location, ""), 404, "BLOB_UPLOAD_UNKNOWN")

	location = strings.Replace(u.start(), "acme/app", "acme/other", 1)
	u.want("other repository", u.patch(location, "x", ""), 404, "BLOB_UPLOAD_UNKNOWN")
	u.want("no id", u.patch(uploadRepo+"blobs/uploads/..", "x", ""), 404, "BLOB_UPLOAD_UNKNOWN")

	if n, err := u.h.storage.CleanUploads(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("%d abandoned uploads were removed, want 1, %v", n, err)
	}
}

// TestUploadAfterRestart goes on with an upload in another process's Storage.
func TestUploadAfterRestart(t *testing.T) {
	u := newUploader(t)
	location := u.start()
	u.want("patch", u.patch(location, "before ", ""), 202, "")
	id := location[strings.LastIndex(location, "/")+1:]
	w, err := openStorage(t, u.h.dir).PushBlobChunkedResume(t.Context(), "acme/app", id, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("after")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(digest.FromString("before after")); err != nil {
		t.Error(err)
	}
}

// TestUploadBroken keeps what arrived of a chunk whose connection broke.
func TestUploadBroken(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	location := h.do(t, admin, call{method: "POST", path: "/v2/a/blobs/uploads/"}).header.Get("Location")
	conn, err := net.Dial("tcp", h.host)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest(http.MethodPatch, h.URL+location, nil)
	r.SetBasicAuth("x", admin.Reveal())
	if _, err := fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: 100\r\n\r\nhalf",
		location, h.host, r.Header.Get("Authorization")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
	a := h.do(t, admin, call{method: "GET", path: location})
	if a.status != 204 || a.header.Get("Range") != "0-3" {
		t.Errorf("afterwards: %d, range %s", a.status, a.header.Get("Range"))
	}
	if strings.Contains(h.log.String(), "level=ERROR") {
		t.Error("a client's broken connection is logged as a fault:", h.log)
	}
}

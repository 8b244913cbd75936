package registry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
)

// newStreaming returns an uploader to a server whose storage takes content directly.
func newStreaming(t *testing.T) (uploader, *putter) {
	t.Helper()
	h := newHarness(t)
	p := &putter{Dir: h.blobs, room: 1000}
	h.storage = registry.NewStorage(p, registry.StorageOptions{})
	h.serve(t, registry.Options{})
	return uploader{t, h, h.admin(t)}, p
}

// wantStreams checks how many streams there were, and that no upload is left.
func (u uploader) wantStreams(p *putter, want int) {
	u.t.Helper()
	if p.streams != want {
		u.t.Errorf("%d streams, want %d", p.streams, want)
	}
	if left := fileNames(u.t, u.h.dir+"/uploads"); len(left) > 0 {
		u.t.Errorf("uploads are left: %q", left)
	}
}

// TestStream sends content in one request that names its digest.
func TestStream(t *testing.T) {
	u, p := newStreaming(t)
	d := digest.FromString("content")
	u.want("put", u.put(u.start(), "content", d), 201, "")
	u.wantStreams(p, 1)
	u.want("again", u.put(u.start(), "content", d), 201, "")
	u.wantStreams(p, 1) // it is there
	u.want("other content of one that is there", u.put(u.start(), "another", d), 400, "DIGEST_INVALID")
	u.want("shorter", u.put(u.start(), "conten", d), 400, "DIGEST_INVALID")
	u.wantStreams(p, 2)

	long := digest.SHA512.FromString("posted")
	post := func(content string) answer {
		return u.do("POST", uploadRepo+"blobs/uploads/?digest="+long.String(), content)
	}
	u.want("wrong post", post("postad"), 400, "DIGEST_INVALID")
	u.want("post", post("posted"), 201, "")
	u.wantStreams(p, 4)
	for content, d := range map[string]digest.Digest{"content": d, "posted": long} {
		if a := u.get(d); a.body != content {
			t.Errorf("it reads %q", a.body)
		}
	}
}

// TestStreamWrong holds that an upload ends with content of another digest, as it does
// elsewhere.
func TestStreamWrong(t *testing.T) {
	u, p := newStreaming(t)
	location, d := u.start(), digest.FromString("right")
	u.want("put", u.put(location, "wrong", d), 400, "DIGEST_INVALID")
	u.want("the upload is gone", u.put(location, "right", d), 404, "BLOB_UPLOAD_UNKNOWN")
	u.wantStreams(p, 1)
	if left := fileNames(t, u.h.dir+"/objects"); len(left) > 0 {
		t.Errorf("something was stored: %q", left)
	}
}

// TestNoStream sends what goes through an upload: in several requests, of a length that
// is not known, and where there is no memory.
func TestNoStream(t *testing.T) {
	u, p := newStreaming(t)
	d := digest.FromString("content")
	location := u.start()
	u.want("patch", u.patch(location, "con", ""), 202, "")
	u.want("put the rest", u.put(location, "tent", d), 201, "")

	d = digest.FromString("chunked")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.h.URL+u.start()+"?digest="+d.String(), io.MultiReader(strings.NewReader("chunked")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := basicTransport{u.admin}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("of unknown length: %s", resp.Status)
	}

	p.room = 0
	d = digest.FromString("crowded")
	u.want("no room", u.put(u.start(), "crowded", d), 201, "")
	d = digest.FromString("posted")
	u.want("no room", u.do("POST", uploadRepo+"blobs/uploads/?digest="+d.String(), "posted"), 201, "")
	u.wantStreams(p, 0)
	for _, content := range []string{"content", "chunked", "crowded", "posted"} {
		if a := u.get(digest.FromString(content)); a.body != content {
			t.Errorf("%s reads %q", content, a.body)
		}
	}
}

// TestStreamBroken breaks the connection in the middle: nothing is stored, and the
// client may send it again to the same place.
func TestStreamBroken(t *testing.T) {
	u, p := newStreaming(t)
	location, d := u.start(), digest.FromString("content")
	path := location + "?digest=" + d.String()
	conn, err := net.Dial("tcp", u.h.host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("x", u.admin.Reveal())
	if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: 7\r\n\r\ncont",
		path, r.Header.Get("Authorization")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("broken: %s", resp.Status)
	}
	if left := fileNames(t, u.h.dir+"/objects"); len(left) > 0 {
		t.Errorf("something was stored: %q", left)
	}
	u.want("again", u.put(location, "content", d), 201, "")
	u.wantStreams(p, 2)
}

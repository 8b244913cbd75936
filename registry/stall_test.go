package registry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
	"regcred.dev/token"
)

// upload sends the beginning of a PATCH of 12 bytes, and returns the connection.
func (h *harness) upload(t *testing.T, bearer, location string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", h.host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 12\r\n\r\n", location, bearer); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestStalledUpload sends half of a chunk and no more: the client is told so, and the
// upload goes on where it stopped.
func TestStalledUpload(t *testing.T) {
	h := newHarness(t)
	h.serve(t, registry.Options{Patience: 50 * time.Millisecond})
	admin := h.admin(t)
	bearer := sign(t, h.tokens, token.UseAccess, time.Minute, grant("a", token.Pull, token.Push)).Reveal()
	location := h.do(t, admin, call{method: "POST", path: "/v2/a/blobs/uploads/"}).header.Get("Location")
	conn := h.upload(t, bearer, location)
	if _, err := io.WriteString(conn, "012345"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
		t.Errorf("a client that stalls: %d", resp.StatusCode)
	}
	put := call{method: "PUT", path: location + "?digest=" + digest.FromString("0123456789ab").String(), body: "6789ab", header: map[string]string{"Content-Range": "6-11"}}
	if a := h.do(t, admin, put); a.status != 201 {
		t.Errorf("going on: %d %s", a.status, a.body)
	}
}

// TestSlowUpload takes longer than the patience is, but never long for a byte.
func TestSlowUpload(t *testing.T) {
	const patience = time.Second
	h := newHarness(t)
	h.serve(t, registry.Options{Patience: patience})
	bearer := sign(t, h.tokens, token.UseAccess, time.Minute, grant("a", token.Pull, token.Push)).Reveal()
	location := h.do(t, h.admin(t), call{method: "POST", path: "/v2/a/blobs/uploads/"}).header.Get("Location")
	conn := h.upload(t, bearer, location)
	ticks := time.NewTicker(patience / 10)
	defer ticks.Stop()
	for b := range strings.SplitSeq("0123456789ab", "") {
		<-ticks.C
		if _, err := io.WriteString(conn, b); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted || resp.Header.Get("Range") != "0-11" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

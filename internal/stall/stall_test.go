package stall_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"regcred.dev/internal/stall"
)

// content is more than the buffers of a connection hold.
var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<20)

// serve serves content, and sends what becomes of each answer.
func serve(t *testing.T, patience time.Duration) (addr string, ended chan error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		switch r.URL.Path {
		case "/file":
			_, err = io.Copy(w, f)
		case "/part":
			_, err = io.CopyN(w, f, 1_000_000)
		case "/reader":
			_, err = io.Copy(w, io.MultiReader(f))
		case "/bytes":
			_, err = w.Write(content)
		}
		ended <- err
	}))
	s.Listener = stall.Listener(s.Listener, patience)
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), ended
}

func TestAnswers(t *testing.T) {
	addr, ended := serve(t, time.Minute)
	for path, want := range map[string][]byte{"/file": content, "/part": content[:1_000_000], "/reader": content, "/bytes": content} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, want) || <-ended != nil {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStalled asks for content and takes none of it.
func TestStalled(t *testing.T) {
	addr, ended := serve(t, 50*time.Millisecond)
	for _, path := range []string{"/file", "/reader", "/bytes"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the connection is not cut", path)
		}
	}
}

// TestSlow takes longer for an answer than the patience is, but never long for a
// piece of it.
func TestSlow(t *testing.T) {
	const patience = time.Second
	addr, ended := serve(t, patience)
	resp, err := http.Get("http://" + addr + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	ticks := time.NewTicker(patience / 50)
	defer ticks.Stop()
	n := int64(0)
	for n < int64(len(content)) {
		<-ticks.C
		m, err := io.CopyN(io.Discard, resp.Body, 128<<10)
		if n += m; err != nil {
			t.Fatalf("cut after %d bytes and %v: %v", n, time.Since(began), err)
		}
	}
	if err := <-ended; err != nil || time.Since(began) < patience {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

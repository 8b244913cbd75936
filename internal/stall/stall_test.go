package stall_test

import (
	"bytes"
	"errors"
	"fmt"
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

// TestSlow takes longer for an answer than the patience is, but never long for a piece
// of it. Where a busy machine let the client take that long, it shows nothing, and is
// done again with more patience.
func TestSlow(t *testing.T) {
	for patience := time.Second; ; patience *= 2 {
		longest, err := readSlowly(t, patience)
		if err == nil {
			return
		}
		if longest < patience/2 || patience > 10*time.Second {
			t.Fatalf("patience %s, the longest pause is %s: %v", patience, longest, err)
		}
	}
}

// readSlowly reads content in longer than the patience, and returns the longest pause
// between two reads.
func readSlowly(t *testing.T, patience time.Duration) (longest time.Duration, err error) {
	t.Helper()
	addr, ended := serve(t, patience)
	resp, err := http.Get("http://" + addr + "/file")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	ticks := time.NewTicker(patience / 50)
	defer ticks.Stop()
	began := time.Now()
	for n, last := int64(0), began; n < int64(len(content)); {
		<-ticks.C
		m, err := io.CopyN(io.Discard, resp.Body, 128<<10)
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
		if n += m; err != nil {
			return longest, fmt.Errorf("cut after %d bytes: %w", n, err)
		}
	}
	if took := time.Since(began); took < patience {
		t.Errorf("it took %s", took)
	}
	return longest, <-ended
}

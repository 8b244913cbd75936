package registry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"regcred.dev/registry"
)

// BenchmarkManifest measures what the server does for a manifest that anybody may pull:
// its handler alone, and with net/http over a connection that stays. The client takes
// nothing of the memory that is counted.
func BenchmarkManifest(b *testing.B) {
	s := registry.NewStorage(openDir(b, b.TempDir()), registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", Public: true}}})
	pushImage(b, s, "bench/app", "v0")
	desc, err := s.PushManifest(b.Context(), "bench/app", "v1", []byte(typedManifest(imageManifest(secretLayers...))), ociImage)
	if err != nil {
		b.Fatal(err)
	}
	server, err := registry.New(registry.Options{Storage: s, Tokens: newTokens(b, "registry.test")})
	if err != nil {
		b.Fatal(err)
	}
	waitToSettle(b)
	over := httptest.NewServer(server)
	b.Cleanup(over.Close)
	for name, reference := range map[string]string{"tag": "v1", "digest": desc.Digest.String()} {
		path := "/v2/bench/app/manifests/" + reference
		b.Run("handler/"+name, func(b *testing.B) { benchHandler(b, server, path) })
		b.Run("connection/"+name, func(b *testing.B) { benchConnection(b, over.Listener.Addr().String(), path) })
	}
}

// discarded is an http.ResponseWriter that keeps nothing but the header.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }

func benchHandler(b *testing.B, h http.Handler, path string) {
	b.ReportAllocs()
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	w := &discarded{header: http.Header{}}
	for b.Loop() {
		clear(w.header)
		w.status = http.StatusOK
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK || len(w.header["Content-Length"]) == 0 {
			b.Fatal(w.status, w.header)
		}
	}
}

func benchConnection(b *testing.B, addr, path string) {
	b.ReportAllocs()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr)
	answers := bufio.NewReader(conn)
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if err := skipAnswer(answers); err != nil {
			b.Fatal(err)
		}
	}
}

var contentLength = []byte("Content-Length: ")

// skipAnswer reads one answer of status 200.
func skipAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Contains(status, []byte(" 200 ")) {
		return fmt.Errorf("the answer is %q", status)
	}
	size := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(size)
	return err
}

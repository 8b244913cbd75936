package publish_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

// noise returns bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// program returns bytes that compress about as programs do: short pieces that
// were there before, and some that were not.
func program(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := noise(n)
	for i := 1 << 10; i+64 < n; i += 40 {
		length := 16 + rnd.IntN(24)
		from := i - 64 - rnd.IntN(min(i-64, 30_000))
		copy(b[i:i+length], b[from:])
	}
	return b
}

// writeLarge writes a docker save of layers of the given size, in MiB, and
// returns its path.
func writeLarge(tb testing.TB, layers, mib int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "large.tar")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	add := func(name string, size int64, write func(io.Writer) error) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644}); err != nil {
			tb.Fatal(err)
		}
		if err := write(w); err != nil {
			tb.Fatal(err)
		}
	}
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.RootFS.Type = "layers"
	var names []string
	block := program(1 << 20)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range layers {
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		h := sha256.New()
		add(names[i], int64(mib)<<20, func(w io.Writer) error {
			for range mib {
				for range 1000 { // no two alike
					block[rnd.IntN(len(block))]++
				}
				if _, err := io.MultiWriter(w, h).Write(block); err != nil {
					return err
				}
			}
			return nil
		})
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.NewDigest(digest.SHA256, h))
	}
	for name, data := range map[string][]byte{
		"config.json":   archivetest.JSON(config),
		"manifest.json": archivetest.DockerManifest("config.json", nil, names...),
	} {
		add(name, int64(len(data)), func(w io.Writer) error { _, err := w.Write(data); return err })
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// writeLargeExport writes a Pulp v1 export of one image with a layer of the given size,
// in MiB, and returns its path.
func writeLargeExport(tb testing.TB, mib int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "large.tar")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var small archivetest.PulpExport
	id := small.Add("", "large", archivetest.File{Name: "large"})
	small.Tag("1", id)
	files := small.Files()
	layer := filepath.Join(tb.TempDir(), "layer")
	writeLayer(tb, layer, mib)
	content, err := os.Open(layer)
	if err != nil {
		tb.Fatal(err)
	}
	defer content.Close()
	info, err := content.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, file := range files {
		h := &tar.Header{Name: file.Name, Typeflag: file.Type, Size: int64(len(file.Body)), Mode: 0o644}
		var body io.Reader = bytes.NewReader(file.Body)
		if filepath.Base(file.Name) == "layer" {
			h.Size, body = info.Size(), content
		}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.Copy(w, body); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// writeLayer writes a gzipped tar of one file, which it does not compress: that would
// take longest of all.
func writeLayer(tb testing.TB, path string, mib int) {
	tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	zw, err := gzip.NewWriterLevel(f, gzip.NoCompression)
	if err != nil {
		tb.Fatal(err)
	}
	w := tar.NewWriter(zw)
	if err := w.WriteHeader(&tar.Header{Name: "large", Size: int64(mib) << 20, Mode: 0o644}); err != nil {
		tb.Fatal(err)
	}
	block := program(1 << 20)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range mib {
		for range 1000 { // no two alike
			block[rnd.IntN(len(block))]++
		}
		if _, err := w.Write(block); err != nil {
			tb.Fatal(err)
		}
	}
	for _, c := range []io.Closer{w, zw} {
		if err := c.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// sink is a registry that checks what it gets and keeps nothing of it.
type sink struct {
	*ociregistry.Funcs
	chunk   int // the least that it asks for
	bytes   atomic.Int64
	mu      sync.Mutex
	uploads map[string]*sinkUpload
}

func newSink() *sink { return &sink{chunk: 64 << 10, uploads: make(map[string]*sinkUpload)} }

func (s *sink) ResolveBlob(context.Context, string, digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, ociregistry.ErrBlobUnknown
}

func (s *sink) PushBlob(_ context.Context, _ string, desc ocispec.Descriptor, r io.Reader) (ocispec.Descriptor, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	s.bytes.Add(n)
	if err == nil && digest.NewDigest(digest.SHA256, h) != desc.Digest {
		err = ociregistry.ErrDigestInvalid
	}
	return desc, err
}

func (s *sink) PushBlobChunked(context.Context, string, int) (ociregistry.BlobWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &sinkUpload{s: s, id: fmt.Sprint(len(s.uploads)), h: sha256.New()}
	s.uploads[u.id] = u
	return u, nil
}

func (s *sink) PushBlobChunkedResume(_ context.Context, _, id string, _ int64, _ int) (ociregistry.BlobWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uploads[id], nil
}

func (s *sink) PushManifest(_ context.Context, _, _ string, data []byte, mediaType string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, nil
}

type sinkUpload struct {
	s    *sink
	id   string
	h    hash.Hash
	size int64
}

func (u *sinkUpload) Write(p []byte) (int, error) {
	u.h.Write(p)
	u.size += int64(len(p))
	u.s.bytes.Add(int64(len(p)))
	return len(p), nil
}
func (u *sinkUpload) Close() error   { return nil }
func (u *sinkUpload) Cancel() error  { return nil }
func (u *sinkUpload) Size() int64    { return u.size }
func (u *sinkUpload) ChunkSize() int { return u.s.chunk }
func (u *sinkUpload) ID() string     { return u.id }

func (u *sinkUpload) Commit(d digest.Digest) (ocispec.Descriptor, error) {
	if digest.NewDigest(digest.SHA256, u.h) != d {
		return ocispec.Descriptor{}, ociregistry.ErrDigestInvalid
	}
	return ocispec.Descriptor{Digest: d, Size: u.size}, nil
}

// sinkServer serves a sink over HTTP.
func sinkServer(tb testing.TB) (publish.Destination, *sink) {
	tb.Helper()
	s := newSink()
	srv := httptest.NewServer(ociserver.New(s, nil))
	tb.Cleanup(srv.Close)
	dst, err := publish.Remote(srv.URL, secret, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return dst, s
}

// watchHeap returns a function that ends the watch and returns the highest heap
// in use that it saw, in bytes, as runtime.MemStats.HeapInuse counts it.
func watchHeap() func() uint64 {
	runtime.GC()
	stop := make(chan struct{})
	var peak uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(samples)
			peak = max(peak, samples[0].Value.Uint64()+samples[1].Value.Uint64())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() uint64 {
		close(stop)
		wg.Wait()
		return peak
	}
}

// TestMemory publishes far more than it may hold in memory, client and server
// together.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short is for the race detector, under which heaps are no measure: the run without it measures them")
	}
	const limit = 64 << 20
	for _, test := range []struct {
		name        string
		layers, mib int
		compression publish.Compression
		chunk       int
	}{
		{"one layer of 256 MiB", 1, 256, publish.Fast, 64 << 10},
		{"four layers of 64 MiB", 4, 64, publish.Fast, 64 << 10},
		{"four layers of 64 MiB in large chunks", 4, 64, publish.Fast, 8 << 20},
		{"one layer as it is", 1, 256, publish.None, 64 << 10},
		{"one layer of a Pulp v1 export", 0, 128, publish.Fast, 64 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			var file string
			if test.layers > 0 {
				file = writeLarge(t, test.layers, test.mib)
			} else {
				file = writeLargeExport(t, test.mib)
			}
			dst, s := sinkServer(t)
			s.chunk = test.chunk
			peak := watchHeap()
			a := open(t, file, archive.Options{})
			res, err := publish.Publish(t.Context(), dst, a.Images()[0], "acme/app", "1", publish.Options{Compression: test.compression})
			used := peak()
			if err != nil {
				t.Fatal(err)
			}
			if used > limit {
				t.Errorf("the heap had up to %d MiB in use, want at most %d", used>>20, limit>>20)
			}
			if s.bytes.Load() != res.SentBytes || res.SentBytes < 100<<20 {
				t.Errorf("%d bytes arrived, %d were sent", s.bytes.Load(), res.SentBytes)
			}
			t.Logf("peak heap %d MiB, sent %d MiB", used>>20, res.SentBytes>>20)
		})
	}
}

// BenchmarkPublish publishes to a sink, in process and over HTTP, and shows what
// part of the floor's speed it has: reading a layer, its digest, gzip, and the
// digest of that, one after another on one core.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []struct{ layers, mib int }{{1, 256}, {40, 4}} {
		file := writeLarge(b, size.layers, size.mib)
		name := fmt.Sprintf("%dx%dMiB", size.layers, size.mib)
		total := int64(size.layers*size.mib) << 20
		b.Run(name+"/floor", func(b *testing.B) {
			b.SetBytes(total)
			defer reportCPU(b)()
			for b.Loop() {
				floor(b, file)
			}
		})
		inProcess := func(testing.TB) (publish.Destination, *sink) { s := newSink(); return s, s }
		for _, to := range []struct {
			name string
			dst  func(testing.TB) (publish.Destination, *sink)
		}{{"inprocess", inProcess}, {"http", sinkServer}} {
			b.Run(name+"/"+to.name, func(b *testing.B) {
				b.SetBytes(total)
				b.ReportAllocs()
				defer reportCPU(b)()
				for b.Loop() {
					dst, _ := to.dst(b)
					a, err := archive.Open(b.Context(), file, archive.Options{})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := publish.Publish(b.Context(), dst, a.Images()[0], "acme/app", "1", publish.Options{}); err != nil {
						b.Fatal(err)
					}
					a.Close()
				}
			})
		}
	}
}

// reportCPU returns a function that reports the processor time since then, which
// says more than the wall clock on a busy machine.
func reportCPU(b *testing.B) func() {
	start := cpuTime()
	return func() { b.ReportMetric((cpuTime()-start).Seconds()/float64(b.N), "cpu-s/op") }
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// floor does the least that publishing has to.
func floor(b *testing.B, file string) {
	f, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	in, out := sha256.New(), sha256.New()
	w, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.TeeReader(f, in)}, make([]byte, 64<<10)); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

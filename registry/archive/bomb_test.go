package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"regcred.dev"
	"regcred.dev/registry/archive/archivetest"
)

// bomb returns a tar that unpacks to n bytes, almost all of them zeros.
func bomb(t *testing.T, comp compression, n int64) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&buf)
	if comp == zstded {
		zw, err := zstd.NewWriter(&buf, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w = zw
	}
	_, err := w.Write(archivetest.Tar(archivetest.File{Name: "manifest.json"})[:tarBlock])
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range n >> 20 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// counter counts what is spooled.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// TestBomb stops at the limits, before the spool or memory grows any further.
func TestBomb(t *testing.T) {
	for _, test := range []struct {
		name    string
		comp    compression
		o       Options
		spooled int64
		want    string
	}{
		{"gzip, bytes", gzipped, Options{MaxUnpacked: 8 << 20}, 8 << 20, "more than the limit of 8388608 bytes"},
		{"zstd, bytes", zstded, Options{MaxUnpacked: 8 << 20}, 8 << 20, "more than the limit of 8388608 bytes"},
		{"gzip, ratio", gzipped, Options{}, 64 << 20, "more than 200 times its size"},
		{"zstd, ratio", zstded, Options{}, 17 << 20, "more than 200 times its size"},
		{"gzip, own ratio", gzipped, Options{MaxRatio: 10}, 17 << 20, "more than 10 times its size"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := bomb(t, test.comp, 256<<20)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			u, err := newUnpacker(bytes.NewReader(data), test.comp, test.o.withDefaults())
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			var spooled counter
			err = copyContext(t.Context(), &spooled, u)
			runtime.ReadMemStats(&after)
			if regcred.CodeOf(err) != regcred.TooLarge || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
			if int64(spooled) > test.spooled {
				t.Errorf("%d bytes of %d were spooled, want at most %d", spooled, 256<<20, test.spooled)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("it took %d bytes of memory", n)
			}
			o := test.o
			o.Stdin, o.SpoolDir = bytes.NewReader(data), t.TempDir()
			if _, err := Open(t.Context(), Stdin, o); regcred.CodeOf(err) != regcred.TooLarge || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// TestPlainLimit applies the limit to what is not compressed, too.
func TestPlainLimit(t *testing.T) {
	tar := archivetest.Tar(archivetest.File{Name: "layer.tar", Body: make([]byte, 2<<20)})
	_, err := Open(t.Context(), Stdin, Options{Stdin: bytes.NewReader(tar), MaxUnpacked: 1 << 20, SpoolDir: t.TempDir()})
	if regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("error %v", err)
	}
}

// TestLayerBomb stops at a compressed layer that is one.
func TestLayerBomb(t *testing.T) {
	img := archivetest.New("amd64", "one")
	files := archivetest.DockerSave(nil, img)
	files[3].Body = bomb(t, zstded, 64<<20)
	a, err := Open(t.Context(), Stdin, Options{Stdin: bytes.NewReader(archivetest.Tar(files...)), SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = a.Images()[0].Root.Layers[0].Identify(t.Context())
	if regcred.CodeOf(err) != regcred.TooLarge || !strings.Contains(err.Error(), files[3].Name) {
		t.Errorf("error %v", err)
	}
}

// TestBudgets bounds what documents may hold together.
func TestBudgets(t *testing.T) {
	r := newReader(nil, "", Options{})
	if err := r.count(maxReferences); err != nil {
		t.Error(err)
	}
	if err := r.count(1); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("error %v", err)
	}
	r = newReader(documents{}, "", Options{})
	var err error
	for n := 0; err == nil; n++ {
		if _, err = r.document("config"); err == nil && n*MaxDocument > maxDocuments {
			t.Fatalf("%d documents of %d bytes were read", n, MaxDocument)
		}
	}
	if regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("error %v", err)
	}
}

// documents is a source of 4 MiB documents.
type documents struct{}

func (documents) size(string) (int64, error)    { return MaxDocument, nil }
func (documents) list(string) ([]string, error) { return nil, nil }
func (documents) Close() error                  { return nil }
func (documents) open(string) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(spaces{}, MaxDocument)), nil
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestWriteFails says so where the spool's disk is full.
func TestWriteFails(t *testing.T) {
	err := copyContext(context.Background(), full{}, strings.NewReader("data"))
	if regcred.CodeOf(err) != regcred.Unavailable || !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

var errFull = errors.New("no space left on device")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

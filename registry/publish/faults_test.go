package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

// faulty is a registry in memory that fails on request and keeps a record.
type faulty struct {
	ociregistry.Interface
	// fail is asked before each operation: "has", "push", "start", "write",
	// "commit" or "manifest", with how often that was called before.
	fail func(op string, n int) error

	mu    sync.Mutex
	calls []string
}

func newFaulty(fail func(op string, n int) error) *faulty {
	return &faulty{Interface: ocimem.New(), fail: fail}
}

func (f *faulty) call(op, detail string) error {
	f.mu.Lock()
	n := f.count(op)
	f.calls = append(f.calls, op+" "+detail)
	f.mu.Unlock()
	if f.fail == nil {
		return nil
	}
	return f.fail(op, n)
}

func (f *faulty) count(op string) int {
	n := 0
	for _, c := range f.calls {
		if strings.HasPrefix(c, op+" ") {
			n++
		}
	}
	return n
}

func (f *faulty) ResolveBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := f.call("has", d.String()); err != nil {
		return ocispec.Descriptor{}, err
	}
	return f.Interface.ResolveBlob(ctx, repo, d)
}

func (f *faulty) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) (ocispec.Descriptor, error) {
	if err := f.call("push", desc.Digest.String()); err != nil {
		_, _ = io.CopyN(io.Discard, r, 3) // the connection broke after a few bytes
		return desc, err
	}
	return f.Interface.PushBlob(ctx, repo, desc, r)
}

func (f *faulty) PushBlobChunked(ctx context.Context, repo string, chunkSize int) (ociregistry.BlobWriter, error) {
	if err := f.call("start", ""); err != nil {
		return nil, err
	}
	w, err := f.Interface.PushBlobChunked(ctx, repo, chunkSize)
	return faultyUpload{w, f}, err
}

func (f *faulty) PushManifest(ctx context.Context, repo, tag string, data []byte, mediaType string) (ocispec.Descriptor, error) {
	if err := f.call("manifest", tag+" "+digest.FromBytes(data).String()); err != nil {
		return ocispec.Descriptor{}, err
	}
	return f.Interface.PushManifest(ctx, repo, tag, data, mediaType)
}

type faultyUpload struct {
	ociregistry.BlobWriter
	f *faulty
}

func (u faultyUpload) Write(p []byte) (int, error) {
	if err := u.f.call("write", fmt.Sprint(len(p))); err != nil {
		return 0, err
	}
	return u.BlobWriter.Write(p)
}

func (u faultyUpload) Commit(d digest.Digest) (ocispec.Descriptor, error) {
	if err := u.f.call("commit", d.String()); err != nil {
		return ocispec.Descriptor{}, err
	}
	return u.BlobWriter.Commit(d)
}

// tag returns what acme/app:1 points to, "" for nothing.
func (f *faulty) tag(t *testing.T) digest.Digest {
	t.Helper()
	desc, err := f.ResolveTag(t.Context(), "acme/app", "1")
	if err != nil {
		if !errors.Is(err, ociregistry.ErrManifestUnknown) && !errors.Is(err, ociregistry.ErrNameUnknown) {
			t.Fatal(err)
		}
		return ""
	}
	return desc.Digest
}

var errDropped = errors.New("connection reset by peer")

func status(code int) error { return ociregistry.NewHTTPError(nil, code, nil, nil) }

// large is an image with a layer that takes several chunks even compressed.
func large() archivetest.Image {
	return archivetest.WithLayers("amd64", archivetest.Tar(archivetest.File{Name: "blob", Body: noise(9 << 20)}), archivetest.Tar())
}

// TestRetries sends again what may work the next time, and nothing else.
func TestRetries(t *testing.T) {
	file := write(t, archivetest.Tar(archivetest.DockerSave(nil, large())...))
	whole := newFaulty(nil)
	want, err := publishFile(t, whole, file)
	if err != nil {
		t.Fatal(err)
	}
	times := func(op string, n int, err error) func(string, int) error {
		return func(o string, i int) error {
			if o == op && i < n {
				return err
			}
			return nil
		}
	}
	for _, test := range []struct {
		name string
		fail func(string, int) error
		code regcred.Code // where it fails
		want string
		op   string // and how often it was tried
		n    int
	}{
		{name: "push dropped twice", fail: times("push", 2, errDropped), op: "push", n: 4},
		{name: "start dropped twice", fail: times("start", 2, errDropped), op: "start", n: 3},
		{name: "manifest dropped twice", fail: times("manifest", 2, errDropped), op: "manifest", n: 3},
		{name: "has dropped once", fail: times("has", 1, errDropped), op: "has", n: 3},
		{name: "write dropped", fail: times("write", 1, errDropped), op: "start", n: 2},
		{name: "write dropped in the middle", fail: func(op string, n int) error {
			if op == "write" && n == 1 {
				return errDropped
			}
			return nil
		}, op: "start", n: 2},
		{name: "commit dropped", fail: times("commit", 1, errDropped), op: "commit", n: 2},
		{name: "upload lost", fail: times("write", 1, ociregistry.ErrBlobUploadUnknown), op: "start", n: 2},
		{name: "overload", fail: times("start", 2, status(http.StatusTooManyRequests)), op: "start", n: 3},
		{name: "server error", fail: times("start", 2, status(http.StatusBadGateway)), op: "start", n: 3},
		{name: "gone for good", fail: times("start", 99, errDropped), code: regcred.Unavailable, want: "failed 3 times; nothing was tagged", op: "start", n: 3},
		{name: "manifest fails for good", fail: times("manifest", 99, status(500)), code: regcred.Unavailable, want: "sending manifest sha256:", op: "manifest", n: 3},
		{name: "denied", fail: times("start", 99, ociregistry.ErrDenied), code: regcred.Denied, want: "use a token that may", op: "start", n: 1},
		{name: "forbidden", fail: times("start", 99, status(403)), code: regcred.Denied, want: "use a token that may", op: "start", n: 1},
		{name: "unauthorized", fail: times("has", 99, status(401)), code: regcred.Unauthenticated, want: "has not expired"},
		{name: "too large", fail: times("start", 99, status(413)), code: regcred.TooLarge, want: "as too large", op: "start", n: 1},
		{name: "manifest refused", fail: times("manifest", 99, ociregistry.ErrManifestInvalid), code: regcred.Invalid, want: "refuses manifest", op: "manifest", n: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dst := newFaulty(test.fail)
				got, err := publishFile(t, dst, file)
				if test.want == "" {
					if diff := cmp.Diff(want, got); diff != "" || err != nil {
						t.Errorf("error %v, %s", err, diff)
					}
				} else if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) || dst.tag(t) != "" {
					t.Errorf("error %v; the tag points to %q", err, dst.tag(t))
				}
				if n := dst.count(test.op); n != test.n {
					t.Errorf("%s was called %d times, want %d: %q", test.op, n, test.n, dst.calls)
				}
			})
		})
	}
}

func publishFile(t *testing.T, dst publish.Destination, file string) (publish.Result, error) {
	t.Helper()
	a := open(t, file, archive.Options{})
	return publish.Publish(t.Context(), dst, a.Images()[0], "acme/app", "1", publish.Options{})
}

// TestCancel stops between two tries.
func TestCancel(t *testing.T) {
	file := write(t, archivetest.Tar(archivetest.DockerSave(nil, archivetest.New("amd64", "one"))...))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		dst := newFaulty(func(op string, n int) error {
			cancel(stop)
			return errDropped
		})
		_, err := publish.Publish(ctx, dst, open(t, file, archive.Options{}).Images()[0], "acme/app", "1", publish.Options{})
		if !errors.Is(err, stop) || dst.tag(t) != "" {
			t.Errorf("error %v", err)
		}
	})
}

// TestDamaged publishes nothing of an archive whose contents turn out to be
// wrong while they are sent, and does not try again.
func TestDamaged(t *testing.T) {
	img := archivetest.New("amd64", "one", "two")
	for kind, files := range exports(img) {
		t.Run(kind, func(t *testing.T) {
			i := slices.IndexFunc(files, isLayer)
			files[i].Body = slices.Clone(files[i].Body)
			files[i].Body[len(files[i].Body)/2] ^= 1
			dst := newFaulty(nil)
			_, err := publishFile(t, dst, write(t, archivetest.Tar(files...)))
			if regcred.CodeOf(err) != regcred.Corrupt || !strings.Contains(err.Error(), files[i].Name) || !strings.Contains(err.Error(), "image.tar") {
				t.Errorf("error %v does not name %s", err, files[i].Name)
			}
			if dst.count("manifest") != 0 || dst.tag(t) != "" {
				t.Errorf("it was published: %q", dst.calls)
			}
		})
	}
}

// isLayer tells layers from other files of exports.
func isLayer(f archivetest.File) bool {
	return strings.HasSuffix(f.Name, "layer.tar") || strings.HasPrefix(f.Name, "blobs/") && len(f.Body) > 0 && f.Body[0] != '{'
}

// TestOrder sends contents before manifests, children before their index, and
// the tag last.
func TestOrder(t *testing.T) {
	l, _, _, children := multiArch()
	root := l.IndexOf(children...)
	l.Add(root, "", "")
	dst := newFaulty(nil)
	if _, err := publishFile(t, dst, write(t, archivetest.Tar(l.Files()...))); err != nil {
		t.Fatal(err)
	}
	first := slices.IndexFunc(dst.calls, func(c string) bool { return strings.HasPrefix(c, "manifest") })
	var want []string
	for _, c := range children {
		want = append(want, "manifest  "+c.Digest.String())
	}
	want = append(want, "manifest 1 "+root.Digest.String())
	if diff := cmp.Diff(want, dst.calls[first:]); diff != "" {
		t.Error(diff)
	}
}

// TestDeterministic makes the same manifest whatever the number of workers, at
// every compression, and keeps the config.
func TestDeterministic(t *testing.T) {
	img := large()
	file := write(t, archivetest.Tar(archivetest.DockerSave(nil, img)...))
	seen := make(map[digest.Digest]publish.Compression)
	for _, name := range []string{"fast", "better", "best", "none"} {
		c, err := publish.ParseCompression(name)
		if err != nil {
			t.Fatal(err)
		}
		var first publish.Result
		for workers := range 3 {
			dst := newFaulty(nil)
			res, err := publish.Publish(t.Context(), dst, open(t, file, archive.Options{}).Images()[0], "acme/app", "1",
				publish.Options{Compression: c, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dst.Interface.ResolveBlob(t.Context(), "acme/app", digest.FromBytes(img.Config)); err != nil {
				t.Errorf("the config is not there unchanged: %v", err)
			}
			if workers == 0 {
				first = res
			}
			if diff := cmp.Diff(first, res); diff != "" {
				t.Errorf("%s with %d workers: %s", name, workers, diff)
			}
		}
		if other, ok := seen[first.Root.Digest]; ok {
			t.Errorf("compression %s gives the same as %d", name, other)
		}
		seen[first.Root.Digest] = c
	}
	if _, err := publish.ParseCompression("lzma"); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("error %v", err)
	}
}

// TestProgress reports from one goroutine at a time, and everything at the end.
func TestProgress(t *testing.T) {
	img := large()
	file := write(t, archivetest.Tar(archivetest.DockerSave(nil, img)...))
	var last publish.Progress
	calls := 0 // the race detector sees two goroutines
	_, err := publish.Publish(t.Context(), newFaulty(nil), open(t, file, archive.Options{}).Images()[0], "acme/app", "1",
		publish.Options{Progress: func(p publish.Progress) { last = p; calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(img.Config) + len(img.Layers[0]) + len(img.Layers[1]))
	if diff := cmp.Diff(publish.Progress{Contents: 3, Done: 3, Bytes: size, BytesDone: size}, last); diff != "" || calls < 2 {
		t.Errorf("%d calls, the last one: %s", calls, diff)
	}
}

// TestNames refuses malformed names before anything is sent.
func TestNames(t *testing.T) {
	file := write(t, archivetest.Tar(archivetest.DockerSave(nil, archivetest.New("amd64", "one"))...))
	for _, bad := range [][2]string{{"", "1"}, {"Acme/App", "1"}, {"../x", "1"}, {"acme/app", "a b"}, {"acme/app", ".x"}, {"acme/app", strings.Repeat("x", 129)}} {
		dst := newFaulty(nil)
		_, err := publish.Publish(t.Context(), dst, open(t, file, archive.Options{}).Images()[0], bad[0], bad[1], publish.Options{})
		if regcred.CodeOf(err) != regcred.Invalid || len(dst.calls) != 0 {
			t.Errorf("%q: error %v, calls %q", bad, err, dst.calls)
		}
	}
}

// greedy asks for chunks of at least min bytes.
type greedy struct {
	*faulty
	min int
}

func (g greedy) PushBlobChunked(ctx context.Context, repo string, n int) (ociregistry.BlobWriter, error) {
	w, err := g.faulty.PushBlobChunked(ctx, repo, n)
	return greedyUpload{w, g.min}, err
}

type greedyUpload struct {
	ociregistry.BlobWriter
	min int
}

func (u greedyUpload) ChunkSize() int { return u.min }

// TestChunkSizes sends chunks as large as the registry asks for, and refuses one
// that would have us buffer a terabyte.
func TestChunkSizes(t *testing.T) {
	file := write(t, archivetest.Tar(archivetest.DockerSave(nil, large())...))
	want, err := publishFile(t, newFaulty(nil), file)
	if err != nil {
		t.Fatal(err)
	}
	for size, writes := range map[int]int{1: 3, 4<<20 - 1: 3, 4 << 20: 3, 6 << 20: 2, 16 << 20: 1} {
		dst := newFaulty(nil)
		got, err := publishFile(t, greedy{dst, size}, file)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%d: error %v, %s", size, err, diff)
		}
		if dst.count("write") != writes {
			t.Errorf("%d: %d chunks, want %d: %q", size, dst.count("write"), writes, dst.calls)
		}
	}
	_, err = publishFile(t, greedy{newFaulty(nil), 1 << 40}, file)
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "chunks of at least 1099511627776 bytes") {
		t.Errorf("error %v", err)
	}
}

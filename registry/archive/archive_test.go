package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
)

// write puts data into a file and returns its path.
func write(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// readAll reads every document and blob of an archive to its end, as publishing
// does.
func readAll(a *archive.Archive) error {
	for _, img := range a.Images() {
		img, err := img.Resolve(context.Background())
		if err != nil {
			return err
		}
		for m := range img.Manifests() {
			if m.Stored() {
				if _, err := m.Read(); err != nil {
					return err
				}
			}
			if m.IsIndex() {
				continue
			}
			for _, b := range append([]archive.Blob{m.Config}, m.Layers...) {
				if _, err := b.Identify(context.Background()); err != nil {
					return err
				}
				f, err := b.Open()
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, f); err != nil {
					return err
				}
				f.Close()
			}
		}
	}
	return nil
}

// replace returns the files with the one of that name changed.
func replace(files []at.File, name string, change func(*at.File)) []at.File {
	files = append([]at.File(nil), files...)
	for i := range files {
		if files[i].Name == name {
			change(&files[i])
			return files
		}
	}
	panic("no file " + name)
}

func body(data []byte) func(*at.File) { return func(f *at.File) { f.Body = data } }

// without returns the files without the one of that name.
func without(files []at.File, name string) []at.File {
	var list []at.File
	for _, f := range files {
		if f.Name != name {
			list = append(list, f)
		}
	}
	return list
}

func blobFile(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

// badInput is an export that must be refused.
type badInput struct {
	name string
	data []byte
	code regcred.Code
	want string // in the message
}

// wrap puts an entry in front of a good docker save.
func wrap(f at.File) []byte {
	return at.Tar(append([]at.File{f}, at.DockerSave([]string{"acme/app:1"}, at.New("amd64", "one"))...)...)
}

// unsafeTars are tars that no engine writes.
func unsafeTars() []badInput {
	longNames := make([]at.File, 5000)
	for i := range longNames {
		longNames[i] = at.File{Name: strings.Repeat("long/", 700) + digest.FromString(string(rune(i))).Encoded()}
	}
	return []badInput{
		{"parent path", wrap(at.File{Name: "../../etc/passwd", Body: []byte("x")}), regcred.Invalid, `entry "../../etc/passwd": the path leaves the archive`},
		{"hidden parent path", wrap(at.File{Name: "a/../../b"}), regcred.Invalid, `entry "a/../../b": the path leaves`},
		{"absolute path", wrap(at.File{Name: "/etc/passwd"}), regcred.Invalid, `entry "/etc/passwd": the path is absolute`},
		{"backslashes", wrap(at.File{Name: `..\..\evil`}), regcred.Invalid, "backslash"},
		{"symlink out", wrap(at.File{Name: "a/layer.tar", Type: tar.TypeSymlink, Link: "../../etc/passwd"}), regcred.Invalid, `entry "a/layer.tar" links to "../../etc/passwd", which is outside`},
		{"absolute symlink", wrap(at.File{Name: "layer.tar", Type: tar.TypeSymlink, Link: "/etc/passwd"}), regcred.Invalid, `links to "/etc/passwd"`},
		{"hard link out", wrap(at.File{Name: "layer.tar", Type: tar.TypeLink, Link: "../x"}), regcred.Invalid, `links to "../x"`},
		{"link to itself", wrap(at.File{Name: "a", Type: tar.TypeSymlink, Link: "a"}), regcred.Invalid, `entry "a": its links lead in a circle`},
		{"device", wrap(at.File{Name: "null", Type: tar.TypeChar}), regcred.Invalid, `entry "null" is neither a file`},
		{"named pipe", wrap(at.File{Name: "pipe", Type: tar.TypeFifo}), regcred.Invalid, `entry "pipe" is neither a file`},
		{"twice", wrap(at.File{Name: "manifest.json", Body: []byte("[]")}), regcred.Invalid, `entry "manifest.json" is there twice`},
		{"twice by another spelling", wrap(at.File{Name: "./x/../manifest.json", Body: []byte("[]")}), regcred.Invalid, "is there twice"},
		{"long name", wrap(at.File{Name: strings.Repeat("d/", 3000) + "x"}), regcred.TooLarge, "longer than 4096 bytes"},
		{"long names together", at.Tar(longNames...), regcred.TooLarge, "names are longer than 16 MiB together"},
	}
}

// TestUnsafe refuses tars with anything that could hurt, whether or not an image
// refers to it.
func TestUnsafe(t *testing.T) { testBad(t, unsafeTars()) }

func testBad(t *testing.T, tests []badInput) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.data)
			a, err := archive.Open(t.Context(), file, archive.Options{SpoolDir: t.TempDir()})
			if err == nil {
				err = readAll(a)
				a.Close()
			}
			if err == nil {
				t.Fatal("it was read without an error")
			}
			if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q\ndoes not name the file and %q", err, test.want)
			}
			if regcred.CodeOf(err) != test.code {
				t.Errorf("error %q has the code %v, want %v", err, regcred.CodeOf(err), test.code)
			}
		})
	}
}

// TestManyEntries stops after 100,000 entries.
func TestManyEntries(t *testing.T) {
	block := at.Tar(at.File{Name: "d/", Type: tar.TypeDir})[:512]
	testBad(t, []badInput{{"directories", bytes.Repeat(block, 100_001), regcred.TooLarge, "more than 100000 entries"}})
}

// TestSparse refuses sparse files in both forms of GNU tar.
func TestSparse(t *testing.T) {
	// archive/tar writes no sparse files: change the type of a plain one.
	old := at.Tar(at.File{Name: "holes", Body: make([]byte, 512)})
	old[156] = tar.TypeGNUSparse
	copy(old[257:], "ustar  \x00")
	checksum(old[:512])
	// The PAX forms are told by their records.
	sparseMap := append([]byte("1\n0\n512\n"), make([]byte, 504+512)...)
	pax := at.Tar(at.File{Name: "holes", Body: sparseMap, PAX: map[string]string{"XNU.sparse.major": "1", "XNU.sparse.minor": "0", "XNU.sparse.name": "holes", "XNU.sparse.realsize": "1099511627776"}})
	pax = bytes.ReplaceAll(pax, []byte("XNU.sparse"), []byte("GNU.sparse"))
	testBad(t, []badInput{
		{"old GNU", old, regcred.Invalid, `entry "holes" is a sparse file`},
		{"PAX", pax, regcred.Invalid, `entry "holes" is a sparse file`},
	})
}

// checksum writes a tar header's checksum anew.
func checksum(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:156], []byte{
		byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7),
		byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' ',
	})
}

// TestNoArchive says what is wrong with files that are no image exports.
func TestNoArchive(t *testing.T) {
	save := at.Tar(at.DockerSave([]string{"acme/app:1"}, at.New("amd64", "one"))...)
	testBad(t, []badInput{
		{"empty", nil, regcred.Invalid, "it is empty"},
		{"text", []byte("hello"), regcred.Invalid, "it is no archive"},
		{"random", random(4096), regcred.Invalid, "it is no archive"},
		{"compressed text", at.Gzip([]byte("hello")), regcred.Invalid, "it is no archive"},
		{"compressed nothing", at.Gzip(nil), regcred.Invalid, "it is no archive"},
		{"xz", []byte("\xfd7zXZ\x00..."), regcred.Invalid, "xz -d"},
		{"bzip2", []byte("BZh91AY&SY"), regcred.Invalid, "bzip2 -d"},
		{"zip", []byte("PK\x03\x04...."), regcred.Invalid, "unzip"},
		{"empty tar", at.Tar(), regcred.Invalid, "empty tar"},
		{"file system", at.Tar(at.File{Name: "etc/passwd"}), regcred.Invalid, "use `docker save`"},
		{"very old docker", at.Tar(at.File{Name: "repositories", Body: []byte("{}")}), regcred.Invalid, "before Docker 1.10"},
		{"cut tar", save[:1800], regcred.Corrupt, "cut short"},
		{"cut gzip", at.Gzip(save)[:200], regcred.Corrupt, "cut short"},
		{"only gzip's first bytes", []byte("\x1f\x8b\x08"), regcred.Corrupt, "cut short"},
		{"cut zstd", at.Zstd(save)[:200], regcred.Corrupt, "cut short"},
		{"damaged gzip", flip(at.Gzip(save), 100), regcred.Corrupt, "damaged"},
		{"damaged zstd", flip(at.Zstd(save), 100), regcred.Corrupt, ""},
		{"damaged tar", flip(save, 520), regcred.Corrupt, "damaged"},
		{"zstd with a huge window", zstdWindow(64 << 20), regcred.TooLarge, "without --long"},
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x55
	return data
}

func zstdWindow(n int) []byte {
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithWindowSize(n))
	if err != nil {
		panic(err)
	}
	if _, err := io.CopyN(w, zeros{}, int64(n)+1); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestBadDockerSave refuses docker saves that are not whole.
func TestBadDockerSave(t *testing.T) {
	img := at.New("amd64", "one", "two")
	good := at.DockerSave([]string{"acme/app:1"}, img)
	manifest := func(data []byte) []byte { return at.Tar(replace(good, "manifest.json", body(data))...) }
	layer, other := good[3].Name, good[7].Name
	testBad(t, []badInput{
		{"missing layer", at.Tar(without(good, layer)...), regcred.Corrupt, `"` + layer + `" is missing`},
		{"missing config", at.Tar(without(good, img.ConfigFile())...), regcred.Corrupt, "is missing"},
		{"dangling link", at.Tar(replace(good, layer, func(f *at.File) { f.Type, f.Body, f.Link = tar.TypeSymlink, nil, "gone" })...), regcred.Corrupt, `links to`},
		{"layers swapped", at.Tar(replace(good, layer, body(img.Layers[1]))...), regcred.Corrupt, "has the digest"},
		{"wrong config", at.Tar(replace(good, img.ConfigFile(), body([]byte(`{}`)))...), regcred.Corrupt, "has the digest"},
		{"too few layers", manifest(at.DockerManifest(img.ConfigFile(), nil, layer)), regcred.Corrupt, "lists 2 layers, the manifest 1"},
		{"layer path out", manifest(at.DockerManifest(img.ConfigFile(), nil, layer, "../../etc/passwd")), regcred.Invalid, `file "../../etc/passwd"`},
		{"config path out", manifest(at.DockerManifest("/etc/passwd", nil, layer, other)), regcred.Invalid, `file "/etc/passwd"`},
		{"no JSON", manifest([]byte("hello")), regcred.Invalid, `"manifest.json" is malformed`},
		{"other JSON", manifest([]byte(`{"a":1}`)), regcred.Invalid, `"manifest.json" is malformed`},
		{"no image", manifest([]byte(`[]`)), regcred.Invalid, "lists no image"},
		{"empty manifest", manifest(nil), regcred.Invalid, `"manifest.json" is malformed`},
		{"manifest over 4 MiB", manifest(append(make([]byte, 4<<20), ' ')), regcred.TooLarge, `"manifest.json" has 4194305 bytes`},
		{"config over 4 MiB", at.Tar(replace(good, img.ConfigFile(), body(make([]byte, 5<<20)))...), regcred.TooLarge, "has 5242880 bytes"},
		{"list of a million", manifest([]byte("[" + strings.Repeat("{},", 1_000_000) + "{}]")), regcred.TooLarge, "more than 10000 elements"},
		{"compressed layer of another image", at.Tar(replace(good, layer, body(at.Gzip(img.Layers[1])))...), regcred.Corrupt, "unpacks to the digest"},
		{"compressed layer cut short", at.Tar(replace(good, layer, body(at.Gzip(img.Layers[0])[:60]))...), regcred.Corrupt, "cut short"},
		{"layer in xz", at.Tar(replace(good, layer, body([]byte("\xfd7zXZ\x00...")))...), regcred.Invalid, "xz -d"},
		{"manifest is a directory", at.Tar(replace(good, "manifest.json", func(f *at.File) { f.Type, f.Body = tar.TypeDir, nil })...), regcred.Invalid, "docker save"},
	})
}

// TestBadLayout refuses layouts that are not whole, or that say two things.
func TestBadLayout(t *testing.T) {
	img := at.New("amd64", "one", "two")
	var l at.Layout
	m := l.Manifest(img, ocispec.MediaTypeImageLayerGzip)
	l.Add(m, "", "")
	good := l.Files()
	config, layer := blobFile(digest.FromBytes(img.Config)), blobFile(digest.FromBytes(at.Gzip(img.Layers[0])))
	index := func(data string) []byte { return at.Tar(replace(good, "index.json", body([]byte(data)))...) }
	// root is a layout whose one manifest is the given document.
	root := func(mediaType, doc string) []byte {
		var l at.Layout
		l.Manifest(img, ocispec.MediaTypeImageLayerGzip)
		l.Add(l.Blob(mediaType, []byte(doc)), "", "")
		return at.Tar(l.Files()...)
	}
	size := m
	size.Size++
	var deep at.Layout
	d := deep.Manifest(img, ocispec.MediaTypeImageLayerGzip)
	for range 8 {
		d = deep.IndexOf(d)
	}
	deep.Add(d, "", "")
	testBad(t, []badInput{
		{"missing manifest", at.Tar(without(good, blobFile(m.Digest))...), regcred.Corrupt, blobFile(m.Digest) + `" is missing`},
		{"missing layer", at.Tar(without(good, layer)...), regcred.Corrupt, layer + `" is missing`},
		{"missing config", at.Tar(without(good, config)...), regcred.Corrupt, config + `" is missing`},
		{"wrong manifest", at.Tar(replace(good, blobFile(m.Digest), body([]byte("{}")))...), regcred.Corrupt, "has the digest"},
		{"wrong layer", at.Tar(replace(good, layer, func(f *at.File) { f.Body = flip(f.Body, 12) })...), regcred.Corrupt, "has the digest"},
		{"short layer", at.Tar(replace(good, layer, func(f *at.File) { f.Body = f.Body[1:] })...), regcred.Corrupt, "bytes, not"},
		{"wrong size", at.Tar((&at.Layout{Blobs: l.Blobs, Index: []ocispec.Descriptor{size}}).Files()...), regcred.Corrupt, "bytes, not"},
		{"layout version", at.Tar(replace(good, "oci-layout", body([]byte(`{"imageLayoutVersion":"2.0.0"}`)))...), regcred.Invalid, "layout version"},
		{"index no JSON", index("hello"), regcred.Invalid, `"index.json" is malformed`},
		{"index without images", index(`{"schemaVersion":2,"manifests":[]}`), regcred.Invalid, "lists no image"},
		{"old schema", index(`{"schemaVersion":1}`), regcred.Invalid, "schemaVersion is 1"},
		{"digest with a path", index(`{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"sha256:../../../etc/passwd","size":1}]}`), regcred.Invalid, "is no digest"},
		{"unknown digest", index(`{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}]}`), regcred.Invalid, "is no digest"},
		{"unknown type", root("application/x-unknown", `{}`), regcred.Invalid, `is of type "application/x-unknown"`},
		{"index over 4 MiB", index(strings.Repeat(" ", 4<<20) + "{}"), regcred.TooLarge, `"index.json" has 4194306 bytes`},
		{"manifest over 4 MiB", root(ocispec.MediaTypeImageManifest, strings.Repeat(" ", 4<<20)+"{}"), regcred.TooLarge, "at most 4194304"},
		{"both kinds of fields", root(ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`), regcred.Invalid, "lists manifests as well"},
		{"index with layers", root(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"layers":[]}`), regcred.Invalid, "layers as well"},
		{"other type inside", root(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageManifest+`","manifests":[]}`), regcred.Invalid, "it says that it is of type"},
		{"no config", root(ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"layers":[]}`), regcred.Invalid, "no config"},
		{"index of a million", index(`{"schemaVersion":2,"manifests":[` + strings.Repeat("{},", 1_000_000) + `{}]}`), regcred.TooLarge, "more than 10000 elements"},
		{"deep indexes", at.Tar(deep.Files()...), regcred.Invalid, "nested more than 4 deep"},
	})
}

// TestBadDirectory refuses what only a directory can have.
func TestBadDirectory(t *testing.T) {
	outside := write(t, []byte("secret"))
	img := at.New("amd64", "one")
	var l at.Layout
	l.Add(l.Manifest(img, ocispec.MediaTypeImageLayerGzip), "", "")
	layer := blobFile(digest.FromBytes(at.Gzip(img.Layers[0])))
	for name, spoil := range map[string]func(file string) error{
		"symlink out":  func(file string) error { return os.Symlink(outside, file) },
		"relative out": func(file string) error { return os.Symlink("../../../../etc/passwd", file) },
		"named pipe":   func(file string) error { return syscall.Mkfifo(file, 0o600) },
		"directory":    func(file string) error { return os.Mkdir(file, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := at.WriteDir(dir, without(l.Files(), layer)...); err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Join(dir, layer)); err != nil {
				t.Fatal(err)
			}
			_, err := archive.Open(t.Context(), dir, archive.Options{})
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), layer) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestPaths names what is wrong with the path itself.
func TestPaths(t *testing.T) {
	_, err := archive.Open(t.Context(), filepath.Join(t.TempDir(), "gone.tar"), archive.Options{})
	if regcred.CodeOf(err) != regcred.NotFound || !strings.Contains(err.Error(), "gone.tar: there is no such file") {
		t.Errorf("error %v", err)
	}
	_, err = archive.Open(t.Context(), archive.Stdin, archive.Options{Stdin: strings.NewReader("")})
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "from standard input: it is empty") {
		t.Errorf("error %v", err)
	}
	_, err = archive.Open(t.Context(), archive.Stdin, archive.Options{Stdin: io.MultiReader(bytes.NewReader(at.Tar(at.File{Name: "x"})[:600]), failing{})})
	if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "the cable is out") {
		t.Errorf("error %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the cable is out") }

// TestCancel stops while a stream is being spooled.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	head := at.Tar(at.File{Name: "x", Body: make([]byte, 1<<20)})[:1<<20]
	stdin := io.MultiReader(bytes.NewReader(head), onRead(func() { cancel(stop) }), zeros{})
	if _, err := archive.Open(ctx, archive.Stdin, archive.Options{Stdin: stdin, SpoolDir: t.TempDir()}); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

type onRead func()

func (f onRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// TestNames gives images the names that their export gives them.
func TestNames(t *testing.T) {
	one, two := at.New("amd64", "one"), at.New("arm64", "two")
	var l at.Layout
	m := l.Manifest(one, ocispec.MediaTypeImageLayerGzip)
	l.Add(m, "docker.io/acme/app:1", "1")
	l.Add(m, "docker.io/acme/app:latest", "latest")
	l.Add(m, "docker.io/acme/app:latest", "latest")
	other := l.Manifest(two, ocispec.MediaTypeImageLayerGzip)
	other.Annotations = map[string]string{ocispec.AnnotationRefName: "2"}
	l.Index = append(l.Index, other)
	l.Add(l.Manifest(at.New("arm64", "three"), ocispec.MediaTypeImageLayerGzip), "", "")

	save := at.DockerSave(nil, one)
	for _, test := range []struct {
		name, format string
		files        []at.File
		want         [][]string
		platforms    []string
	}{
		{"layout", "OCI image layout", l.Files(), [][]string{{"docker.io/acme/app:1", "docker.io/acme/app:latest"}, {"2"}, nil}, []string{"linux/amd64"}},
		{"docker save", "docker save", at.DockerSave([]string{"acme/app:1", "acme/app:latest"}, two), [][]string{{"acme/app:1", "acme/app:latest"}}, []string{"linux/arm64"}},
		{"docker save by id", "docker save", save, [][]string{nil}, []string{"linux/amd64"}},
		{"with ./ and Pulp's first entry", "docker save", dotted(save), [][]string{nil}, []string{"linux/amd64"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := archive.Open(t.Context(), write(t, at.Tar(test.files...)), archive.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			var got [][]string
			for _, img := range a.Images() {
				got = append(got, img.Names)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.platforms, a.Images()[0].Platforms()); diff != "" {
				t.Error(diff)
			}
			if a.Format() != test.format {
				t.Errorf("format %q", a.Format())
			}
			if err := readAll(a); err != nil {
				t.Error(err)
			}
		})
	}
}

func dotted(files []at.File) []at.File {
	list := []at.File{{Name: "/", Type: tar.TypeDir}, {Name: "./", Type: tar.TypeDir}}
	for _, f := range files {
		f.Name = "./" + f.Name
		list = append(list, f)
	}
	return list
}

// TestLinks follows links to other layers, of both kinds, also over several steps
// and to a layer that comes later.
func TestLinks(t *testing.T) {
	one := at.New("amd64", "one").Layers[0]
	img := at.WithLayers("amd64", one, one, one, one)
	files := []at.File{
		{Name: "a/layer.tar", Type: tar.TypeSymlink, Link: "../b/layer.tar"},
		{Name: "b/layer.tar", Type: tar.TypeLink, Link: "./c/layer.tar"},
		{Name: "c/layer.tar", Type: tar.TypeSymlink, Link: ".././d/layer.tar"},
		{Name: "d/layer.tar", Body: one},
		{Name: "config.json", Body: img.Config},
		{Name: "manifest.json", Body: at.DockerManifest("config.json", nil, "a/layer.tar", "b/layer.tar", "c/layer.tar", "d/layer.tar")},
	}
	a, err := archive.Open(t.Context(), write(t, at.Tar(files...)), archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for i, l := range a.Images()[0].Root.Layers {
		f, err := l.Open()
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(f); err != nil || !bytes.Equal(data, one) {
			t.Errorf("layer %d: %d bytes, %v", i, len(data), err)
		}
	}
}

// TestCompressedLayers tells the digests of layers that a docker save holds
// compressed.
func TestCompressedLayers(t *testing.T) {
	img := at.New("amd64", "one", "two", "three")
	files := at.DockerSave([]string{"acme/app:1"}, img)
	gz, zst := at.Gzip(img.Layers[0]), at.Zstd(img.Layers[1])
	files = replace(replace(files, files[3].Name, body(gz)), files[7].Name, body(zst))
	a, err := archive.Open(t.Context(), write(t, at.Tar(files...)), archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	want := []ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(gz), Size: int64(len(gz))},
		{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: digest.FromBytes(zst), Size: int64(len(zst))},
		{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(img.Layers[2]), Size: int64(len(img.Layers[2]))},
	}
	for i, l := range a.Images()[0].Root.Layers {
		got, err := l.Identify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestSpoolGone leaves nothing behind, whether opening works or not.
func TestSpoolGone(t *testing.T) {
	dir := t.TempDir()
	empty := func() {
		t.Helper()
		list, err := os.ReadDir(dir)
		if err != nil || len(list) != 0 {
			t.Errorf("left behind: %v, %v", list, err)
		}
	}
	a, err := archive.Open(t.Context(), write(t, at.Gzip(at.Tar(at.DockerSave(nil, at.New("amd64", "one"))...))), archive.Options{SpoolDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	empty()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := readAll(a); err == nil {
		t.Error("a closed archive can be read")
	}
	if _, err := archive.Open(t.Context(), write(t, at.Gzip(at.Tar(at.File{Name: "x"}))), archive.Options{SpoolDir: dir}); err == nil {
		t.Error("an unknown archive was opened")
	}
	empty()
}

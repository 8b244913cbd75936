package publish_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/dockerv1"
	"regcred.dev/registry/publish"
)

// fileSystem is what a container would see: content, link target or "directory" by
// path. Hard links are what they link to.
type fileSystem map[string]string

// apply applies a layer: https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.md,
// "Creating an Image Filesystem Changeset".
func (fs fileSystem) apply(t *testing.T, layer io.Reader) {
	t.Helper()
	for r := tar.NewReader(layer); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(h.Name)
		dir, base := path.Split(name)
		if base == ".wh..wh..opq" {
			fs.remove(path.Clean(dir), false)
			continue
		}
		if gone, ok := strings.CutPrefix(base, ".wh."); ok {
			fs.remove(dir+gone, true)
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir {
			fs.remove(name, true)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			fs[name] = "directory"
		case tar.TypeSymlink:
			fs[name] = "-> " + h.Linkname
		case tar.TypeLink:
			fs[name] = fs[path.Clean(h.Linkname)]
		default:
			fs[name] = "file " + string(data)
		}
	}
}

// remove removes what lies below a path, and with itself that too.
func (fs fileSystem) remove(name string, itself bool) {
	maps.DeleteFunc(fs, func(p, _ string) bool { return itself && p == name || strings.HasPrefix(p, name+"/") })
}

// original applies the layers of an image of v1, by its parents.
func original(t *testing.T, e *at.PulpExport, id string) fileSystem {
	t.Helper()
	var chain []string
	for id != "" {
		chain = append(chain, id)
		d, err := dockerv1.ParseDocument(id, []byte(e.Image(id).JSON))
		if err != nil {
			t.Fatal(err)
		}
		id = d.Parent
	}
	fs := fileSystem{}
	for _, id := range slices.Backward(chain) {
		r, err := gzip.NewReader(bytes.NewReader(e.Image(id).Layer))
		if err != nil {
			t.Fatal(err)
		}
		fs.apply(t, r)
	}
	return fs
}

// fileSystemOf applies the layers of an image that was pulled, whose digests and diff
// ids go-containerregistry checks.
func fileSystemOf(t *testing.T, img v1.Image) fileSystem {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		t.Fatalf("%d layers, %d diff ids", len(layers), len(config.RootFS.DiffIDs))
	}
	fs := fileSystem{}
	for i, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest.FromBytes(data).String(); got != config.RootFS.DiffIDs[i].String() {
			t.Errorf("layer %d unpacks to %s, not %s", i, got, config.RootFS.DiffIDs[i])
		}
		fs.apply(t, bytes.NewReader(data))
	}
	return fs
}

// twice is a file that a layer has twice: the last one counts. Storage of podman refuses
// such layers, whoever made them ("duplicates of file paths not supported").
var twice = []at.File{{Name: "twice", Body: []byte("first")}, {Name: "twice", Body: []byte("second")}}

// v1Export is an export of two images with everything that layers can say, and with
// some files more.
func v1Export(more ...at.File) (e *at.PulpExport, app, tool string) {
	e = new(at.PulpExport)
	file := func(name, content string) at.File { return at.File{Name: name, Body: []byte(content)} }
	dir := func(name string) at.File { return at.File{Name: name, Type: tar.TypeDir} }
	base := e.Add("", "base", dir("etc/"), file("etc/passwd", "root"), file("etc/motd", "hello"), dir("var/"), file("var/a", "a"), file("var/b", "b"),
		at.File{Name: "etc/link", Type: tar.TypeSymlink, Link: "passwd"}, at.File{Name: "etc/hard", Type: tar.TypeLink, Link: "etc/passwd"})
	env := e.Add(base, "#(nop) ENV A=1")
	middle := e.Add(env, "middle", append([]at.File{file("etc/.wh.motd", ""), file("var/.wh..wh..opq", ""), file("var/c", "c"), file("bin", "a file")}, more...)...)
	cmd := e.Add(middle, "#(nop) CMD sh")
	app = e.Add(cmd, "app", file("etc/motd", "hello again"), file(".wh.bin", ""), dir("bin/"), file("bin/sh", "shell"), file("etc/.wh.hard", ""))
	tool = e.Add(middle, "tool", file("tool", "tool"))
	e.Tag("1", app)
	e.Tag("latest", app)
	e.Tag("tool", tool)
	return e, app, tool
}

// TestDockerV1 publishes an export to our registry and pulls the same file systems.
func TestDockerV1(t *testing.T) {
	e, app, tool := v1Export(twice...)
	o := ownServer(t)
	results := publishAll(t, o.dst, openFiles(t, e.Files()))
	for tag, id := range map[string]string{"1": app, "latest": app, "tool": tool} {
		got := o.pull(t, tag)
		if diff := cmp.Diff(original(t, e, id), fileSystemOf(t, got)); diff != "" {
			t.Errorf("%s: %s", tag, diff)
		}
	}
	if results[0].Root.Digest != results[1].Root.Digest {
		t.Error("two tags of one image got two manifests")
	}
	// app: its config, the empty one, 5 documents, 4 different layers.
	if results[0].Sent != 1+1+5+4 || results[1].Sent != 0 || results[1].Present != 11 {
		t.Errorf("results %+v", results)
	}
	checkHistory(t, o.pull(t, "1"))
	checkStoredV1(t, o, e, app, results[0])

	// An extraction that is not ours, of an image that it handles: of a file that a
	// layer has twice it takes the first.
	var flat fileSystem = map[string]string{}
	r := mutate.Extract(o.pull(t, "tool"))
	defer r.Close()
	flat.apply(t, r)
	want := original(t, e, tool)
	delete(want, "twice")
	delete(flat, "twice")
	if diff := cmp.Diff(want, flat); diff != "" {
		t.Error(diff)
	}
}

// checkHistory checks that clients show the image's commands.
func checkHistory(t *testing.T, img v1.Image) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range config.History {
		got = append(got, fmt.Sprint(h.CreatedBy, " ", h.EmptyLayer))
	}
	want := []string{
		"/bin/sh -c base false", "/bin/sh -c #(nop) ENV A=1 true", "/bin/sh -c middle false", "/bin/sh -c #(nop) CMD sh true", "/bin/sh -c app false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if config.OS != "linux" || config.Architecture != "amd64" || len(config.Config.Cmd) != 1 || config.Config.Cmd[0] != "app" {
		t.Errorf("config %+v", config)
	}
}

// checkStoredV1 finds the original documents by the referrers of the image, and by
// their ids.
func checkStoredV1(t *testing.T, o own, e *at.PulpExport, id string, published publish.Result) {
	t.Helper()
	ref, auth := o.reference(t, "@"+published.Root.Digest.String())
	list, err := remote.Referrers(ref.Context().Digest(published.Root.Digest.String()), auth)
	if err != nil {
		t.Fatal(err)
	}
	index, err := list.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != dockerv1.ArtifactType {
		t.Fatalf("referrers %+v", index.Manifests)
	}
	ref, auth = o.reference(t, "@"+index.Manifests[0].Digest.String())
	got, err := remote.Get(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	c, err := dockerv1.ParseCompanion(got.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID() != id || len(c.Images) != 5 {
		t.Fatalf("companion %+v", c)
	}
	for _, img := range c.Images {
		for want, d := range map[string]digest.Digest{e.Image(img.ID).JSON: img.JSON.Digest, string(e.Image(img.ID).Layer): img.Layer.Digest} {
			r, err := o.storage.GetBlob(t.Context(), "acme/app", d)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil || string(data) != want {
				t.Errorf("%s of %s is another: %v", d, img.ID, err)
			}
			r.Close()
		}
	}
}

// TestDockerV1Random converts chains of random layers.
func TestDockerV1Random(t *testing.T) {
	o := ownServer(t)
	names := []string{"a", "b", "d/", "d/a", "d/b", "d/e/", "d/e/f", ".wh.a", "d/.wh.a", "d/.wh..wh..opq", ".wh.d"}
	rapid.Check(t, func(rt *rapid.T) {
		e := new(at.PulpExport)
		id := ""
		for i := range rapid.IntRange(1, 6).Draw(rt, "layers") {
			var files []at.File
			for range rapid.IntRange(0, 5).Draw(rt, "files") {
				f := at.File{Name: rapid.SampledFrom(names).Draw(rt, "name")}
				switch {
				case strings.HasSuffix(f.Name, "/"):
					f.Type = tar.TypeDir
				case !strings.Contains(f.Name, ".wh."):
					f.Body = []byte(rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "content"))
				}
				files = append(files, f)
			}
			id = e.Add(id, fmt.Sprint(i), files...)
		}
		e.Tag("random", id)
		publishAll(t, o.dst, openFiles(t, e.Files()))
		if diff := cmp.Diff(original(t, e, id), fileSystemOf(t, o.pull(t, "random"))); diff != "" {
			rt.Fatal(diff)
		}
	})
}

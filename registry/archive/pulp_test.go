package archive_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/dockerv1"
)

// export is one of two tagged images on one base, one of them twice tagged and with
// an empty layer, and of one without a tag.
func export() exported {
	e := exported{PulpExport: new(at.PulpExport)}
	e.base = e.Add("", "base", at.File{Name: "etc/base", Body: []byte("base")})
	e.empty = e.Add(e.base, "#(nop) ENV A=1")
	e.app = e.Add(e.empty, "app", at.File{Name: "app", Body: []byte("app")})
	e.tool = e.Add(e.base, "tool", at.File{Name: "tool", Body: []byte("tool")})
	e.untagged = e.Add(e.base, "other", at.File{Name: "other"})
	e.Tag("1.0", e.app)
	e.Tag("latest", e.app)
	e.Tag("tool", e.tool)
	return e
}

type exported struct {
	*at.PulpExport
	base, empty, app, tool, untagged string
}

// openFiles opens a tar of the files.
func openFiles(t *testing.T, files []at.File) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.Context(), write(t, at.Tar(files...)), archive.Options{SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func names(a *archive.Archive) [][]string {
	var list [][]string
	for _, img := range a.Images() {
		list = append(list, img.Names)
	}
	return list
}

func content(t *testing.T, b archive.Blob) string {
	t.Helper()
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPulpExport(t *testing.T) {
	e := export()
	a := openFiles(t, e.Files())
	if a.Format() != "Pulp v1 export" || len(a.Warnings()) != 0 {
		t.Errorf("format %q, warnings %q", a.Format(), a.Warnings())
	}
	if diff := cmp.Diff([][]string{{"acme/small:1.0", "acme/small:latest"}, {"acme/small:tool"}, nil}, names(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"linux/amd64"}, a.Images()[0].Platforms()); diff != "" {
		t.Error(diff)
	}
	img, err := a.Images()[0].Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Images()[0].Names, img.Names); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, l := range img.Root.Layers {
		got = append(got, l.V1ID)
		if content(t, l) != string(e.Image(l.V1ID).Layer) {
			t.Errorf("layer %s has other content", l.V1ID)
		}
	}
	if diff := cmp.Diff([]string{e.base, e.app}, got); diff != "" {
		t.Errorf("layers: %s", diff)
	}
	var config ocispec.Image
	if err := json.Unmarshal([]byte(content(t, img.Root.Config)), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.History) != 3 || !config.History[1].EmptyLayer || config.History[2].CreatedBy != "/bin/sh -c app" || config.Config.Cmd[0] != "app" {
		t.Errorf("config %+v", config)
	}
	checkCompanion(t, e.PulpExport, img, []string{e.app, e.empty, e.base})

	ex := a.Export()
	if ex.Repository != "pulp" || ex.RegistryID != "acme/small" || ex.URL != "https://crane.example.com/pulp/" || ex.Protected || ex.Tags["tool"] != e.tool {
		t.Errorf("export %+v", ex)
	}
	got = nil
	for _, i := range ex.Images {
		got = append(got, i.ID)
		if content(t, i.Layer) != string(e.Image(i.ID).Layer) || content(t, i.JSON) != e.Image(i.ID).JSON || content(t, i.Ancestry) != e.Image(i.ID).Ancestry {
			t.Errorf("image %s has other content", i.ID)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values([]string{e.base, e.empty, e.app, e.tool, e.untagged})), got); diff != "" {
		t.Error(diff)
	}
}

// checkCompanion checks what keeps the image for clients of v1.
func checkCompanion(t *testing.T, e *at.PulpExport, img archive.Image, chain []string) {
	t.Helper()
	if len(img.Attached) != 1 || img.Attached[0].Tag != "" {
		t.Fatalf("attached %+v", img.Attached)
	}
	m := img.Attached[0].Manifest
	data, err := m.Read()
	if err != nil {
		t.Fatal(err)
	}
	c, err := dockerv1.ParseCompanion(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(chain, c.Ancestry(c.ID())); diff != "" {
		t.Error(diff)
	}
	if c.Subject.Digest != img.Root.Descriptor.Digest || content(t, m.Config) != "{}" {
		t.Errorf("companion %+v", c)
	}
	for i, img := range c.Images {
		json, layer := m.Layers[2*i], m.Layers[2*i+1]
		if content(t, json) != e.Image(img.ID).JSON || json.Descriptor.Digest != img.JSON.Digest || digest.FromString(e.Image(img.ID).JSON) != img.JSON.Digest {
			t.Errorf("document %d is another", i)
		}
		if content(t, layer) != string(e.Image(img.ID).Layer) || layer.Descriptor.Digest != img.Layer.Digest || layer.V1ID != img.ID {
			t.Errorf("layer %d is another", i)
		}
	}
}

// TestPulpDeterministic converts the same to the same, from any form.
func TestPulpDeterministic(t *testing.T) {
	e := export()
	var want digest.Digest
	dir := t.TempDir()
	if err := at.WriteDir(dir, e.Files()...); err != nil {
		t.Fatal(err)
	}
	tar := at.Tar(e.Files()...)
	forms := map[string]string{"tar": write(t, tar), "gzip": write(t, at.Gzip(tar)), "zstd": write(t, at.Zstd(tar)), "directory": dir}
	for range 2 {
		for form, path := range forms {
			a, err := archive.Open(t.Context(), path, archive.Options{SpoolDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			img, err := a.Images()[0].Resolve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			companion := img.Attached[0].Manifest.Descriptor.Digest
			if want == "" {
				want = img.Root.Descriptor.Digest + companion
			}
			if img.Root.Descriptor.Digest+companion != want {
				t.Errorf("%s: another digest", form)
			}
		}
	}
}

// TestPulpProgress tells of each layer's bytes once, also where images share them.
func TestPulpProgress(t *testing.T) {
	e := export()
	var last archive.Progress
	total := int64(0)
	a, err := archive.Open(t.Context(), write(t, at.Tar(e.Files()...)), archive.Options{Progress: func(p archive.Progress) {
		if p.Phase != archive.Reading || p.Bytes > p.Total {
			t.Errorf("progress %+v", p)
		}
		last = p
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for range 2 {
		for _, img := range a.Images() {
			last = archive.Progress{}
			if _, err := img.Resolve(t.Context()); err != nil {
				t.Fatal(err)
			}
			if last.Bytes != last.Total {
				t.Errorf("it ended at %+v", last)
			}
			total += last.Bytes
		}
	}
	want := int64(0)
	for _, img := range e.Images {
		want += int64(len(img.Layer))
	}
	if total != want {
		t.Errorf("%d bytes were read, want %d", total, want)
	}
}

func TestPulpExportRefused(t *testing.T) {
	change := func(f func(e exported)) []byte {
		e := export()
		f(e)
		return at.Tar(e.Files()...)
	}
	metadata := func(old, text string) []byte {
		e := export()
		return at.Tar(replace(e.Files(), "pulp.json", func(f *at.File) { f.Body = []byte(strings.Replace(string(f.Body), old, text, 1)) })...)
	}
	e := export()
	good := e.Files()
	testBad(t, []badInput{
		{"no metadata", at.Tar(without(good, "pulp.json")...), regcred.Invalid, "0 files *.json"},
		{"twice metadata", at.Tar(append(good, at.File{Name: "other.json"})...), regcred.Invalid, "2 files *.json"},
		{"metadata", at.Tar(replace(good, "pulp.json", body([]byte("{")))...), regcred.Invalid, `"pulp.json" is malformed`},
		{"version", metadata(`"version":1`, `"version":5`), regcred.Invalid, "version 5"},
		{"version of a tree", metadata(`"version":1`, `"version":4`), regcred.Invalid, "Pulp v1 exports have version 1"},
		{"no name", metadata(`"repo-registry-id":"acme/small","repository":"pulp"`, `"x":1`), regcred.Invalid, "does not name its repository"},
		{"tag twice", metadata(`"tags":{`, `"tags":{"tool":"x",`), regcred.Invalid, "there twice"},
		{"tags", metadata(`"tags":{`, `"tags":[],"x":{`), regcred.Invalid, "where an object belongs"},
		{"tag of nothing", change(func(e exported) { e.Tag("x", strings.Repeat("1", 64)) }), regcred.Corrupt, `tag "x" is for the image`},
		{"no id", at.Tar(append(good, at.File{Name: "web/x/json"})...), regcred.Invalid, "no id of an image"},
		{"no layer", at.Tar(without(good, "web/"+e.base+"/layer")...), regcred.Corrupt, e.base + `/layer" is missing`},
		{"no ancestry", at.Tar(without(good, "web/"+e.base+"/ancestry")...), regcred.Corrupt, `/ancestry" is missing`},
		{"ancestor", change(func(e exported) {
			e.Images = e.Images[1:]
			e.Tags = nil
		}), regcred.Corrupt, "image " + e.base + " is missing"},
		{"another's document", change(func(e exported) { e.Image(e.app).JSON = e.Image(e.base).JSON }), regcred.Invalid, "is that of"},
		{"another parent", change(func(e exported) {
			e.Image(e.app).Ancestry = fmt.Sprintf("[%q,%q]", e.app, e.base)
		}), regcred.Invalid, "as its parent"},
		{"a circle", change(func(e exported) {
			e.Image(e.base).JSON = strings.Replace(e.Image(e.base).JSON, `"os"`, `"parent":"`+e.app+`","os"`, 1)
		}), regcred.Invalid, "as its parent"},
		{"large document", change(func(e exported) {
			e.Image(e.app).JSON += strings.Repeat(" ", dockerv1.MaxDocument)
		}), regcred.TooLarge, "JSON document of " + e.app},
		{"plain layer", change(func(e exported) { e.Image(e.app).Layer = at.Tar() }), regcred.Invalid, "not compressed by gzip"},
		{"cut layer", change(func(e exported) {
			e.Image(e.app).Layer = e.Image(e.app).Layer[:len(e.Image(e.app).Layer)-9]
		}), regcred.Corrupt, `/layer": it ends in the middle`},
		{"other root directory", wrap(at.File{Name: "//", Type: '5'}), regcred.Invalid, "absolute"},
	})
}

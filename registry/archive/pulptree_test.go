package archive_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
)

// tree is a repository with a multi-arch image, one of schema 2, and one of schema 1.
func tree() (t *at.PulpTree, list, amd64 ocispec.Descriptor) {
	t = &at.PulpTree{Listed: []string{"latest", "gone"}}
	amd64 = t.Manifest(at.New("amd64", "one"), "latest", "amd")
	arm64 := t.Manifest(at.New("arm64", "two"))
	amd64.Platform, arm64.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}, &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	list = t.List([]ocispec.Descriptor{amd64, arm64}, "latest", "1.0")
	e := export()
	t.Schema1(e.PulpExport, e.app, "latest", "old", "older")
	return t, list, amd64
}

func TestPulpTree(t *testing.T) {
	pulp, list, amd64 := tree()
	other := &at.PulpTree{RegistryID: "acme/other", Version: 2}
	e := export()
	other.Schema1(e.PulpExport, e.app)
	// The oldest Pulp had no directories for the kinds.
	other.Put(".", "", other.Manifests["1/"+one(other)], "flat")
	files := append(pulp.Files("app"), other.Files("other")...)
	files = append(files, (&at.PulpTree{RegistryID: "acme/none"}).Files("none")...)
	dir := t.TempDir()
	if err := at.WriteDir(dir, files...); err != nil {
		t.Fatal(err)
	}
	fromDir, err := archive.Open(t.Context(), dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fromDir.Close()
	for form, a := range map[string]*archive.Archive{"tar": openFiles(t, files), "directory": fromDir} {
		t.Run(form, func(t *testing.T) {
			if a.Format() != "Pulp v2 tree" || a.Export() != nil {
				t.Errorf("format %q", a.Format())
			}
			want := [][]string{{"acme/app:1.0", "acme/app:latest"}, {"acme/app:amd"}, {"acme/app:old", "acme/app:older"}, {"acme/other:flat"}}
			if diff := cmp.Diff(want, names(a)); diff != "" {
				t.Error(diff)
			}
			if w := a.Warnings(); len(w) != 2 || !strings.Contains(w[0], "acme/app:gone is left out") || !strings.Contains(w[1], "acme/none is left out") {
				t.Errorf("warnings %q", w)
			}
			if err := readAll(a); err != nil {
				t.Error(err)
			}
			if d := a.Images()[0].Root.Descriptor.Digest; d != list.Digest {
				t.Errorf("the list is %s, not %s", d, list.Digest)
			}
			if d := a.Images()[1].Root.Descriptor.Digest; d != amd64.Digest {
				t.Errorf("the manifest is %s, not %s", d, amd64.Digest)
			}
			// Schema 1 is converted to what the export of the same image is.
			want1, err := openFiles(t, e.Files()).Images()[0].Resolve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{2, 3} {
				got, err := a.Images()[i].Resolve(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got.Root.Descriptor.Digest != want1.Root.Descriptor.Digest || len(got.Attached) != 0 {
					t.Errorf("schema 1 became %+v", got.Root.Descriptor)
				}
			}
		})
	}
}

// one returns the digest of the only manifest of schema 1.
func one(p *at.PulpTree) string {
	for name := range p.Manifests {
		if d, ok := strings.CutPrefix(name, "1/sha256:"); ok {
			return "sha256:" + d
		}
	}
	panic("none")
}

// TestPulpTreeSchema1Child leaves out the platforms of a list that nobody pulls.
func TestPulpTreeSchema1Child(t *testing.T) {
	pulp := new(at.PulpTree)
	arm64 := pulp.Manifest(at.New("arm64", "two"))
	arm64.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	e := export()
	old := pulp.Schema1(e.PulpExport, e.app)
	old.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	pulp.List([]ocispec.Descriptor{old, arm64}, "latest")
	a := openFiles(t, pulp.Files("app"))
	img := a.Images()[0]
	if diff := cmp.Diff([]string{"linux/amd64"}, img.Absent); diff != "" || img.Root.Descriptor.Digest != arm64.Digest {
		t.Errorf("absent: %s, root %s", diff, img.Root.Descriptor.Digest)
	}
}

func TestPulpTreeRefused(t *testing.T) {
	change := func(f func(p *at.PulpTree)) []byte {
		p, _, _ := tree()
		f(p)
		return at.Tar(p.Files("app")...)
	}
	pulp, list, amd64 := tree()
	files := pulp.Files("app")
	const dir = "v2/web/app/"
	testBad(t, []badInput{
		{"version", at.Tar(replace(files, "v2/app/app.json", body([]byte(`{"version":1,"repo-registry-id":"x"}`)))...), regcred.Invalid, "belongs to a Pulp v1 export"},
		{"metadata", at.Tar(replace(files, "v2/app/app.json", body([]byte(`[]`)))...), regcred.Invalid, "app.json"},
		{"list by its digest", at.Tar(without(files, dir+"manifests/list/"+list.Digest.String())...), regcred.Corrupt, "is missing"},
		{"nothing tagged", at.Tar(files[:1]...), regcred.Invalid, "lists no image"},
		{"tags", at.Tar(replace(files, dir+"tags/list", body([]byte(`{"tags":1}`)))...), regcred.Invalid, "tags/list"},
		{"damaged manifest", at.Tar(replace(files, dir+"manifests/2/"+amd64.Digest.String(), body([]byte("{}")))...), regcred.Corrupt, "has the digest"},
		{"another type", change(func(p *at.PulpTree) { p.Put("2", "", []byte(`{"schemaVersion":2,"mediaType":"x"}`), "x") }), regcred.Invalid, "says that it is of type"},
		{"lost layer of schema 1", at.Tar(without(files, dir+"blobs/"+lastLayer(pulp))...), regcred.Corrupt, "is missing"},
		{"damaged layer of schema 1", at.Tar(replace(files, dir+"blobs/"+lastLayer(pulp), body(at.Gzip([]byte("x"))))...), regcred.Corrupt, "has the digest"},
	})
	a := openFiles(t, append(files, at.File{Name: dir + "manifests/1/odd", Body: []byte(`{"schemaVersion":1}`)}))
	if w := a.Warnings(); len(w) != 2 || !strings.Contains(w[0], "acme/app:gone") || !strings.Contains(w[1], "acme/app:odd is left out: its manifest of schema 1 cannot be converted") {
		t.Errorf("warnings %q", w)
	}
}

// lastLayer returns the digest of a layer that schema 1 alone has.
func lastLayer(p *at.PulpTree) string {
	e := export()
	var l at.Layout
	d := l.Blob("", e.Image(e.app).Layer).Digest
	if p.Layout.Blobs[d] == nil {
		panic("it is not there")
	}
	return d.String()
}

package publish_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

// owner starts a registry that has the images of an archive, and tells what it is asked
// for.
func owner(t *testing.T, a *archive.Archive) (mem *ocimem.Registry, baseURL string, asked func() []string) {
	t.Helper()
	mem = ocimem.New()
	publishAll(t, mem, a)
	var mu sync.Mutex
	var paths []string
	handler := ociserver.New(mem, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		if r.Header.Get("Authorization") != "" {
			t.Error("the owner hears a login")
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return mem, srv.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(paths)
	}
}

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// TestMask refers to the layers of another repository, and an image is pulled whole:
// partly from its owner.
func TestMask(t *testing.T) {
	e, _, _ := v1Export()
	base := new(at.PulpExport)
	id := base.Add("", "base", at.File{Name: "shared", Body: []byte("shared")})
	base.Tag("base", id)
	shared := base.Image(id).Layer
	own1 := e.Add(id1(e, base, id), "app", at.File{Name: "own", Body: []byte("own")})
	e.Tag("masked", own1)

	mem, baseURL, asked := owner(t, openFiles(t, base.Files()))
	mask, err := publish.RepositoryMask(t.Context(), mem, baseURL+"/", "acme/app")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{digest.FromBytes(shared).String()}, mask.Layers); diff != "" {
		t.Fatal(diff)
	}
	o := ownServer(t, hostOf(t, baseURL))
	var linked []string
	img := openFiles(t, e.Files()).Images()
	at := slices.IndexFunc(img, func(i archive.Image) bool { return slices.Contains(i.Names, "acme/small:masked") })
	r, err := publish.Publish(t.Context(), o.dst, img[at], "acme/app", "masked", publish.Options{
		Masks:  []publish.Mask{mask},
		Linked: func(name, url string) { linked = append(linked, name+" "+url) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Linked != 1 || r.Sent != 1+1+2+1 {
		t.Errorf("result %+v", r)
	}
	d := digest.FromBytes(shared)
	if diff := cmp.Diff([]string{fmt.Sprintf("%s %s/v2/acme/app/blobs/%s", d, baseURL, d)}, linked); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(original(t, e, own1), fileSystemOf(t, o.pull(t, "masked"))); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(asked(), "/v2/acme/app/blobs/"+d.String()) {
		t.Errorf("the owner was asked %q", asked())
	}
	again, err := publish.Publish(t.Context(), o.dst, img[at], "acme/app", "again", publish.Options{})
	if err != nil || again.Sent != 0 || again.Linked != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// id1 adds an image of another export.
func id1(e, from *at.PulpExport, id string) string {
	e.Images = append(e.Images, *from.Image(id))
	return id
}

// TestMaskByID refers to a layer of v1 by its id.
func TestMaskByID(t *testing.T) {
	e, app, _ := v1Export()
	o := ownServer(t, "crane.example.com")
	a := openFiles(t, e.Files())
	masked := []string{a.Export().Images[0].ID, app}
	var mu sync.Mutex
	linked := map[string]string{}
	r, err := publish.Publish(t.Context(), o.dst, a.Images()[0], "acme/app", "1", publish.Options{
		Masks: []publish.Mask{{Owner: "https://crane.example.com", Repository: "acme/base", Layers: masked}},
		Linked: func(name, url string) {
			mu.Lock()
			defer mu.Unlock()
			linked[name] = url
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "https://crane.example.com/v1/images/" + app + "/layer"
	if linked[app] != want || r.Linked != len(linked) {
		t.Errorf("linked %v, result %+v", linked, r)
	}
	b, err := o.storage.FindBlob(t.Context(), "acme/app", digest.FromBytes(e.Image(app).Layer))
	if err != nil || b.URL != want || b.Size != int64(len(e.Image(app).Layer)) {
		t.Errorf("stored as %+v, %v", b, err)
	}
}

func TestMaskRefused(t *testing.T) {
	e, app, _ := v1Export()
	img := openFiles(t, e.Files()).Images()[0]
	o := ownServer(t, "crane.example.com")
	other, err := publish.Remote(server(t), secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	mask := func(owner, repo string, layers ...string) publish.Mask {
		return publish.Mask{Owner: owner, Repository: repo, Layers: layers}
	}
	const crane = "https://crane.example.com"
	for _, test := range []struct {
		name  string
		dst   publish.Destination
		masks []publish.Mask
		code  regcred.Code
		want  string
	}{
		{"no linker", ocimem.New(), []publish.Mask{mask(crane, "acme/base", app)}, regcred.Invalid, "destination cannot refer"},
		{"another registry", other, []publish.Mask{mask(crane, "acme/base", app)}, regcred.Invalid, "registry cannot refer"},
		{"unknown owner", o.dst, []publish.Mask{mask("https://evil.example.com", "acme/base", app)}, regcred.Denied, "refuses to send its clients to https://evil.example.com"},
		{"two owners", o.dst, []publish.Mask{mask(crane, "acme/base", app), mask("https://other.example.com", "acme/base", app)}, regcred.Invalid, "is in two masks"},
		{"no layer", o.dst, []publish.Mask{mask(crane, "acme/base", "x")}, regcred.Invalid, "names no layer"},
		{"no URL", o.dst, []publish.Mask{mask("crane.example.com", "acme/base", app)}, regcred.Invalid, "no registry's URL"},
		{"a secret", o.dst, []publish.Mask{mask("https://a:canary@x", "acme/base", app)}, regcred.Invalid, "no registry's URL"},
		{"no repository", o.dst, []publish.Mask{mask(crane, "Acme", app)}, regcred.Invalid, "no name of a repository"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := publish.Publish(t.Context(), test.dst, img, "acme/app", "1", publish.Options{Masks: test.masks})
			if regcred.CodeOf(err) != test.code || !strings.Contains(fmt.Sprint(err), test.want) || strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := o.storage.ResolveTag(t.Context(), "acme/app", "1"); err == nil {
		t.Error("it was tagged")
	}
}

// TestMaskUnused needs no destination that can refer to layers, where nothing is masked.
func TestMaskUnused(t *testing.T) {
	e, _, _ := v1Export()
	_, err := publish.Publish(t.Context(), ocimem.New(), openFiles(t, e.Files()).Images()[0], "acme/app", "1", publish.Options{
		Masks: []publish.Mask{{Owner: "https://x.example.com", Repository: "acme/base"}},
	})
	if err != nil {
		t.Error(err)
	}
}

func TestReadMask(t *testing.T) {
	id, d := strings.Repeat("1", 64), digest.FromString("x").String()
	got, err := publish.ReadMask(strings.NewReader("# ours\n" + id + "\n\n  " + d + " \r\n"))
	if err != nil || !slices.Equal(got, []string{id, d}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, test := range []struct{ text, want string }{
		{id + "\nx\n", "line 2"},
		{id + "\n" + strings.Repeat("x", 5000), "line 2: it is longer"},
		{"sha256:../../x", "line 1"},
		{"md5:" + strings.Repeat("1", 32), "line 1"},
	} {
		if _, err := publish.ReadMask(strings.NewReader(test.text)); regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.20q: %v", test.text, err)
		}
	}
	if _, err := publish.ReadMask(bytes.NewReader(bytes.Repeat([]byte(id+"\n"), 100_001))); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("too many: %v", err)
	}
}

// FuzzReadMask reads masks of any bytes. What is accepted is accepted in a Mask.
func FuzzReadMask(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		layers, err := publish.ReadMask(bytes.NewReader(data))
		if err != nil {
			if regcred.CodeOf(err) == regcred.Internal {
				t.Errorf("error without a code: %v", err)
			}
			return
		}
		again, err := publish.ReadMask(strings.NewReader(strings.Join(layers, "\n")))
		if err != nil || !slices.Equal(layers, again) {
			t.Errorf("read again: %q, %v", again, err)
		}
	})
}

// TestRepositoryMask lists the layers of all tags and platforms, and says why it cannot.
func TestRepositoryMask(t *testing.T) {
	l, amd64, arm64, children := multiArch()
	l.Add(l.IndexOf(children...), "docker.io/acme/app:1", "1")
	o := ownServer(t)
	if _, err := publish.Publish(t.Context(), o.dst, openFiles(t, l.Files()).Images()[0], "acme/app", "1", publish.Options{}); err != nil {
		t.Fatal(err)
	}
	got, err := publish.RepositoryMask(t.Context(), o.storage, o.url, "acme/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range []at.Image{amd64, arm64} {
		for _, layer := range img.Layers {
			stored := digest.FromBytes(at.Gzip(layer))
			if !slices.Contains(got.Layers, stored.String()) || got.Unpacked[digest.FromBytes(layer)].Digest != stored {
				t.Errorf("a layer is not in %+v", got)
			}
		}
	}
	if len(got.Layers) != 3+2 || len(got.Unpacked) != 3 { // one is shared, and each attestation has one
		t.Errorf("mask %+v", got)
	}
	if _, err := publish.RepositoryMask(t.Context(), o.storage, o.url, "acme/none"); regcred.CodeOf(err) != regcred.NotFound {
		t.Errorf("of no repository: %v", err)
	}
}

// TestMaskDockerSave refers to the owner's form of layers that a docker save has
// uncompressed, and takes that from the owner when the image is pulled.
func TestMaskDockerSave(t *testing.T) {
	base := at.New("amd64", "base")
	img := at.WithLayers("amd64", base.Layers[0], at.New("amd64", "own").Layers[0])
	for _, compression := range []publish.Compression{publish.Fast, publish.None} {
		t.Run(fmt.Sprint(compression), func(t *testing.T) {
			var l at.Layout
			l.Add(l.Manifest(base, ocispec.MediaTypeImageLayerZstd), "acme/app:base", "base")
			mem, baseURL, asked := owner(t, openFiles(t, l.Files()))
			mask, err := publish.RepositoryMask(t.Context(), mem, baseURL, "acme/app")
			if err != nil {
				t.Fatal(err)
			}
			o := ownServer(t, hostOf(t, baseURL))
			save := openFiles(t, at.DockerSave([]string{"acme/app:1"}, img)).Images()[0]
			r, err := publish.Publish(t.Context(), o.dst, save, "acme/app", "1", publish.Options{Compression: compression, Masks: []publish.Mask{mask}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Linked != 1 || r.Sent != 2 {
				t.Errorf("result %+v", r)
			}
			if diff := cmp.Diff(want(img), pull(t, o.pull(t, "1"), nil)); diff != "" {
				t.Error(diff)
			}
			if path := "/v2/acme/app/blobs/" + digest.FromBytes(at.Zstd(base.Layers[0])).String(); !slices.Contains(asked(), path) {
				t.Errorf("the owner was asked %q, not %s", asked(), path)
			}
			again, err := publish.Publish(t.Context(), o.dst, save, "acme/app", "1", publish.Options{Compression: compression, Masks: []publish.Mask{mask}})
			if err != nil || again.Root.Digest != r.Root.Digest || again.Present != 3 {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

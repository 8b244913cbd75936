package static_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/regcredtest/webfront"
	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
	"regcred.dev/registry/static"
)

var _ interface {
	publish.Destination
	publish.Sharer
} = (*static.Registry)(nil)

// tags lists those of a repository as clients do.
func tags(t *testing.T, host, repo string) []string {
	t.Helper()
	r, err := name.NewRepository(host+"/"+repo, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	list, err := remote.List(r)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestPull publishes images of all kinds and pulls them from files.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	r, host := newRegistry(t, openDirectory(t, dir)), serve(t, webfront.Files(dir))
	l := signed()
	if got := mustPublish(t, r, openArchive(t, l.files), "acme/app", "1"); got.Root.Digest != l.index.Digest {
		t.Errorf("published %v", got.Root)
	}
	mustPublish(t, r, openArchive(t, large()), "acme/app", "packed")
	var tree at.PulpTree
	docker := tree.Manifest(at.New("amd64", "docker"))
	tree.List([]ocispec.Descriptor{docker}, "list")
	mustPublish(t, r, openArchive(t, tree.Files("app")), "top", "list")

	var export at.PulpExport
	export.Tag("v1", export.Add(export.Add("", "base", at.File{Name: "base"}), "app", at.File{Name: "app"}))
	mustPublish(t, r, openArchive(t, export.Files()), "acme/pulp", "v1")

	for _, image := range []string{"acme/app:1", "acme/app:packed", "top:list", "acme/pulp:v1"} {
		repo, _, _ := strings.Cut(image, ":")
		d := pull(t, host, image)
		pull(t, host, repo+"@"+d.String())
	}
	if got, want := tags(t, host, "top"), []string{"list"}; !slices.Equal(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
	if got := tags(t, host, "acme/app"); !slices.IsSorted(got) || !slices.Contains(got, "packed") || !slices.Contains(got, "sha256-"+l.index.Digest.Encoded()+".sig") {
		t.Errorf("tags %v", got)
	}
	if _, err := remote.Get(reference(t, host, "acme/app:2")); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a tag that is not there: %v", err)
	}
}

// TestReferrers finds artifacts by the tag that clients go by.
func TestReferrers(t *testing.T) {
	dir := t.TempDir()
	r, host := newRegistry(t, openDirectory(t, dir)), serve(t, webfront.Files(dir))
	l := signed()
	for range 2 {
		mustPublish(t, r, openArchive(t, l.files), "acme/app", "1")
	}
	found, err := remote.Referrers(reference(t, host, "acme/app@"+l.child.Digest.String()).(name.Digest))
	if err != nil {
		t.Fatal(err)
	}
	index, err := found.IndexManifest()
	if err != nil || len(index.Manifests) != 1 || index.Manifests[0].Digest.String() != l.sbom.Digest.String() || index.Manifests[0].ArtifactType == "" {
		t.Errorf("referrers %+v, %v", index, err)
	}
	tag := "acme/app:sha256-" + l.child.Digest.Encoded()
	d, err := remote.Get(reference(t, host, tag))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Get(reference(t, host, "acme/app@"+d.Digest.String())); err != nil {
		t.Errorf("the list by its digest: %v", err)
	}
	// An image has taken the tag.
	other := openArchive(t, small("x"))
	mustPublish(t, r, other, "acme/taken", "sha256-"+l.child.Digest.Encoded())
	if _, err := publishTo(t.Context(), r, openArchive(t, l.files), "acme/taken", "1"); regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "is no index of artifacts") {
		t.Errorf("error %v", err)
	}
}

// TestMove moves a tag between an image and an index.
func TestMove(t *testing.T) {
	dir := t.TempDir()
	r, host := newRegistry(t, openDirectory(t, dir)), serve(t, webfront.Files(dir))
	l := signed()
	one, two := openArchive(t, l.files), openArchive(t, small("x"))
	for range 2 {
		mustPublish(t, r, one, "acme/app", "latest")
		if got := pull(t, host, "acme/app:latest"); got != l.index.Digest {
			t.Errorf("latest is %s, want the index %s", got, l.index.Digest)
		}
		want := mustPublish(t, r, two, "acme/app", "latest").Root.Digest
		if got := pull(t, host, "acme/app:latest"); got != want {
			t.Errorf("latest is %s, want the image %s", got, want)
		}
	}
}

// TestAgain publishes what is there: nothing is written but a new tag.
func TestAgain(t *testing.T) {
	o := &recorder{Objects: openDirectory(t, t.TempDir())}
	r := newRegistry(t, o)
	save, layout := openArchive(t, large()), openArchive(t, signed().files)
	for repo, a := range map[string][]publish.Result{
		"acme/one": {mustPublish(t, r, save, "acme/one", "1"), mustPublish(t, newRegistry(t, o), save, "acme/one", "1")},
		"acme/two": {mustPublish(t, r, layout, "acme/two", "1"), mustPublish(t, newRegistry(t, o), layout, "acme/two", "1")},
	} {
		if a[0].Sent == 0 || a[0].Present != 0 || a[1].Sent != 0 || a[1].SentBytes != 0 || a[1].Present != a[0].Sent {
			t.Errorf("%s: %+v", repo, a)
		}
	}
	before := len(o.writes)
	mustPublish(t, r, save, "acme/one", "1")
	mustPublish(t, r, layout, "acme/two", "1")
	if n := len(o.writes); n != before {
		t.Errorf("written again: %q", o.writes[before:])
	}
	mustPublish(t, r, layout, "acme/two", "2")
	want := []string{"v2/acme/two/manifests/2", "v2/acme/two/tags/list"}
	if diff := cmp.Diff(want, o.writes[before:]); diff != "" {
		t.Error(diff)
	}
}

// TestShare publishes to another repository: contents are copied, and sent where the one
// that had them is gone.
func TestShare(t *testing.T) {
	dir := t.TempDir()
	d := openDirectory(t, dir)
	o := &recorder{Objects: d}
	r, host := newRegistry(t, o), serve(t, webfront.Files(dir))
	a := openArchive(t, signed().files)
	first := mustPublish(t, r, a, "acme/app", "1")
	if got := mustPublish(t, r, a, "acme/other", "1"); got.Sent != 0 || got.Present != first.Sent {
		t.Errorf("%+v", got)
	}
	pull(t, host, "acme/other:1")
	for _, repo := range []string{"v2/acme/app", "v2/acme/other"} {
		removeAll(t, dir, repo)
	}
	if got := mustPublish(t, r, a, "acme/third", "1"); got.Sent != first.Sent {
		t.Errorf("%+v", got)
	}
	pull(t, host, "acme/third:1")
	if got := mustPublish(t, r, a, "acme/app", "1"); got.Sent != 0 {
		t.Errorf("the third is not known to have it: %+v", got)
	}
}

// TestTwoPublishers publishes many tags at once, by several.
func TestTwoPublishers(t *testing.T) {
	const publishers, each = 4, 6
	dir := t.TempDir()
	host := serve(t, webfront.Files(dir))
	a := openArchive(t, small("x"))
	var want []string
	var wg sync.WaitGroup
	for p := range publishers {
		r := newRegistry(t, openDirectory(t, dir))
		for i := range each {
			want = append(want, fmt.Sprintf("p%d-%d", p, i))
		}
		wg.Go(func() {
			for i := range each {
				if _, err := publishTo(t.Context(), r, a, "acme/app", fmt.Sprintf("p%d-%d", p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(want)
	if diff := cmp.Diff(want, tags(t, host, "acme/app")); diff != "" {
		t.Error(diff)
	}
	pull(t, host, "acme/app:p0-0")
}

func TestRefused(t *testing.T) {
	r := newRegistry(t, openDirectory(t, t.TempDir()))
	a := openArchive(t, small("x"))
	for repo, want := range map[string]string{
		"acme/manifests":      `a static registry cannot have the repository acme/manifests, as "manifests"`,
		"tags/list":           `"tags" is a directory of its own`,
		"a/blobs/b":           `"blobs" is a directory of its own`,
		"index.html/app":      "index.html is a file of its own",
		"../../etc":           "is no repository name",
		"Acme":                "is no repository name",
		"acme/app/.htaccess":  "is no repository name",
		"acme/app//manifests": "is no repository name",
	} {
		_, err := publishTo(t.Context(), r, a, repo, "1")
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", repo, err)
		}
		_, err = r.PushManifest(t.Context(), repo, "1", []byte("{}"), ocispec.MediaTypeImageManifest)
		wantCode(t, err, regcred.Invalid)
		_, err = r.PushBlobChunked(t.Context(), repo, 0)
		wantCode(t, err, regcred.Invalid)
	}
	for _, test := range []struct{ tag, data, mediaType string }{
		{"1", "{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"},
		{"1", "{}", "text/html"},
		{"../1", "{}", ocispec.MediaTypeImageManifest},
		{"1", "no JSON", ocispec.MediaTypeImageManifest},
		{"1", `{"subject":{"digest":"sha256:../../../x"}}`, ocispec.MediaTypeImageManifest},
	} {
		_, err := r.PushManifest(t.Context(), "acme/app", test.tag, []byte(test.data), test.mediaType)
		wantCode(t, err, regcred.Invalid)
	}
	if _, err := r.ResolveBlob(t.Context(), "acme/app", digest.Digest("sha256:../x")); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("a malformed digest: %v", err)
	}
	_, err := publish.Publish(t.Context(), r, a.Images()[0], "acme/app", "1", publish.Options{Masks: []publish.Mask{
		{Owner: "https://owner.example.com", Repository: "base", Layers: []string{digest.FromString("x").String()}},
	}})
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "without masks") {
		t.Errorf("a mask: %v", err)
	}
}

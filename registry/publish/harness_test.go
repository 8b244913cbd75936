package publish_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/publish"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// own is a registry of ours, over a directory.
type own struct {
	storage *registry.Storage
	url     string
	token   regcred.Secret
	dst     publish.Destination
}

// ownServer starts a registry that anybody may pull from and that sends clients to the
// owners.
func ownServer(t *testing.T, owners ...string) own {
	t.Helper()
	dir, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	store := memory.New()
	t.Cleanup(func() { _ = store.Close() })
	tokens, err := token.New(t.Context(), store, token.Options{Issuer: "registry.test"})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := tokens.CreateAPIToken(t.Context(), regcred.APIToken{Name: "test", Role: regcred.RoleAdmin, Scope: regcred.Foundation})
	if err != nil {
		t.Fatal(err)
	}
	o := own{storage: registry.NewStorage(dir, registry.StorageOptions{Policy: registry.Policy{{Pattern: "*", Public: true}}}), token: secret}
	handler, err := registry.New(registry.Options{Storage: o.storage, Tokens: tokens, Owners: owners})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	o.url = srv.URL
	if o.dst, err = publish.Remote(srv.URL, secret, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// reference returns acme/app with a tag or digest ("@sha256:..."), and how to log in.
func (o own) reference(t *testing.T, tag string) (name.Reference, remote.Option) {
	t.Helper()
	if !strings.HasPrefix(tag, "@") {
		tag = ":" + tag
	}
	ref, err := name.ParseReference(strings.TrimPrefix(o.url, "http://")+"/acme/app"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref, remote.WithAuth(&authn.Basic{Username: "regcred", Password: o.token.Reveal()})
}

// pull returns acme/app with a tag, to be read by go-containerregistry.
func (o own) pull(t *testing.T, tag string) v1.Image {
	t.Helper()
	ref, auth := o.reference(t, tag)
	img, err := remote.Image(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// openFiles opens a tar of the files.
func openFiles(t *testing.T, files []archivetest.File) *archive.Archive {
	t.Helper()
	return open(t, write(t, archivetest.Tar(files...)), archive.Options{})
}

// publishAll publishes each image of an archive under its own tags, as acme/app.
func publishAll(t *testing.T, dst publish.Destination, a *archive.Archive) []publish.Result {
	t.Helper()
	var results []publish.Result
	for _, img := range a.Images() {
		for _, name := range img.Names {
			_, tag, _ := strings.Cut(name, ":")
			r, err := publish.Publish(t.Context(), dst, img, "acme/app", tag, publish.Options{})
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, r)
		}
	}
	return results
}

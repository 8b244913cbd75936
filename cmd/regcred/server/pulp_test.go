package server_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/registry"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

// TestPulpExport takes a Pulp v1 export all the way: it is published to a server, and
// pulled from there by clients of both protocols.
func TestPulpExport(t *testing.T) {
	cfg := config.Default()
	cfg.Registry.Policy = registry.Policy{{Pattern: "acme/*", Scope: regcred.OrgScope("acme")}}
	r, _ := start(t, cfg)
	newExport(t).travel(r)
	want := client.Images{Storage: "directory " + filepath.Join(r.dir, server.RegistryName)}
	if st, err := r.local.Status(t.Context()); err != nil || st.Images != want {
		t.Errorf("%+v, %v", st.Images, err)
	}
}

// TestPulpExportBesideCrane does so where a directory of Crane's metadata has the
// repository too: ours takes it over.
func TestPulpExportBesideCrane(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"small.json": `{"version":1,"repo-registry-id":"acme/small","url":"https://files.test/","images":[{"id":"a0"}],"tags":{"latest":"a0"}}`,
		"other.json": `{"version":2,"repo-registry-id":"acme/other","url":"https://files.test/"}`,
		"bad.json":   `{`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Default()
	cfg.Registry.Policy = registry.Policy{{Pattern: "acme/*", Scope: regcred.OrgScope("acme")}}
	cfg.Registry.Crane = &config.Crane{Metadata: dir}
	r, _ := start(t, cfg)
	newExport(t).travel(r)
	check, err := r.local.CheckRegistry(t.Context(), true)
	if err != nil || check.Lost != 0 || !slices.Equal(check.Shadowed, []string{"acme/small"}) {
		t.Errorf("%+v, %v", check, err)
	}
	st, err := r.local.Status(t.Context())
	if err != nil || st.Images.Crane == nil {
		t.Fatalf("%+v, %v", st.Images, err)
	}
	if c := st.Images.Crane; c.Path != dir || c.V1 != 1 || c.V2 != 1 || c.ReadAt == nil || len(c.Bad) != 1 || c.Bad[0].Path != filepath.Join(dir, "bad.json") {
		t.Errorf("%+v", c)
	}
}

// export is a Pulp v1 export of acme/small: an image of two layers, and the one below.
type export struct {
	t *testing.T
	archivetest.PulpExport
	app, base string // ids
}

func newExport(t *testing.T) *export {
	t.Helper()
	e := &export{t: t}
	e.base = e.Add("", "base", archivetest.File{Name: "etc/base", Body: bytes.Repeat([]byte("base"), 50_000)})
	e.app = e.Add(e.base, "app", archivetest.File{Name: "app", Body: bytes.Repeat([]byte("app"), 70_000)}, archivetest.File{Name: "etc/conf", Body: []byte("x")})
	e.Tag("latest", e.app)
	e.Tag("base", e.base)
	return e
}

// travel publishes the export to a server, with a pusher's token, and pulls with a
// puller's.
func (e *export) travel(r *running) {
	e.t.Helper()
	e.publish(r, e.token(r, regcred.RolePusher))
	token := e.token(r, regcred.RolePuller)
	e.pullV1(r, token)
	for tag, files := range map[string]map[string]int{
		"latest": {"app": 210_000, "etc/base": 200_000, "etc/conf": 1}, "base": {"etc/base": 200_000},
	} {
		e.pullV2(r, token, tag, files)
	}
}

func (e *export) token(r *running, role regcred.Role) string {
	e.t.Helper()
	tok, err := r.local.CreateToken(e.t.Context(), client.TokenRequest{
		Name: string(role), Role: string(role), Relationships: client.RelationshipsOf(regcred.OrgScope("acme")),
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return tok.Secret
}

func (e *export) publish(r *running, token string) {
	e.t.Helper()
	if err := e.tryPublish(r, token); err != nil {
		e.t.Fatal(err)
	}
}

func (e *export) tryPublish(r *running, token string) error {
	e.t.Helper()
	file := filepath.Join(e.t.TempDir(), "export.tar")
	if err := os.WriteFile(file, archivetest.Tar(e.Files()...), 0o600); err != nil {
		e.t.Fatal(err)
	}
	a, err := archive.Open(e.t.Context(), file, archive.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	defer a.Close()
	dst, err := publish.Remote(r.url, regcred.NewSecret(token), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, img := range a.Images() {
		for _, own := range img.Names {
			repository, tag, _ := strings.Cut(own, ":")
			if _, err := publish.Publish(e.t.Context(), dst, img, repository, tag, publish.Options{}); err != nil {
				return fmt.Errorf("%s: %w", own, err)
			}
		}
	}
	return nil
}

// pullV1 asks for the export as a Docker of 2014 did: a ping, the repository's images
// with a password, for which there is a token, and all else with that.
func (e *export) pullV1(r *running, password string) {
	e.t.Helper()
	if _, body := e.getV1(r, "/v1/_ping", nil); string(body) != "true" {
		e.t.Errorf("ping: %s", body)
	}
	header, body := e.getV1(r, "/v1/repositories/acme/small/images", func(req *http.Request) {
		req.SetBasicAuth("anyone", password)
		req.Header.Set("X-Docker-Token", "true")
	})
	token := header.Get("X-Docker-Token")
	var listed []struct{ ID string }
	e.parse(body, &listed)
	var ids []string
	for _, img := range listed {
		ids = append(ids, img.ID)
	}
	slices.Sort(ids)
	want := []string{e.app, e.base}
	slices.Sort(want)
	if diff := cmp.Diff(want, ids); diff != "" || token == "" || header.Get("X-Docker-Endpoints") == "" {
		e.t.Errorf("images: %s, header %v", diff, header)
	}
	get := func(path string) []byte {
		e.t.Helper()
		_, body := e.getV1(r, path, func(req *http.Request) { req.Header.Set("Authorization", "Token "+token) })
		return body
	}
	var tags map[string]string
	e.parse(get("/v1/repositories/acme/small/tags"), &tags)
	if diff := cmp.Diff(e.Tags, tags); diff != "" {
		e.t.Errorf("tags: %s", diff)
	}
	var chain []string
	e.parse(get("/v1/images/"+tags["latest"]+"/ancestry"), &chain)
	if diff := cmp.Diff([]string{e.app, e.base}, chain); diff != "" {
		e.t.Fatalf("ancestry: %s", diff)
	}
	for _, id := range chain {
		if diff := cmp.Diff(e.Image(id).JSON, string(get("/v1/images/"+id+"/json"))); diff != "" {
			e.t.Errorf("the document of %s: %s", id, diff)
		}
		if !bytes.Equal(get("/v1/images/"+id+"/layer"), e.Image(id).Layer) {
			e.t.Errorf("the layer of %s is another one", id)
		}
	}
}

// getV1 gets what must be there; redirects are followed without the login.
func (e *export) getV1(r *running, path string, prepare func(*http.Request)) (http.Header, []byte) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		e.t.Fatal(err)
	}
	if prepare != nil {
		prepare(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		e.t.Fatalf("GET %s: %s %s, %v", path, resp.Status, body, err)
	}
	return resp.Header, body
}

func (e *export) parse(data []byte, v any) {
	e.t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		e.t.Fatalf("%s: %v", data, err)
	}
}

// pullV2 pulls an image by OCI's protocol, and compares the sizes of its files.
func (e *export) pullV2(r *running, password, tag string, want map[string]int) {
	e.t.Helper()
	img, err := e.image(r, password, tag)
	if err != nil {
		e.t.Fatal(err)
	}
	e.checkImage(img, tag, want)
}

func (e *export) image(r *running, password, tag string) (v1.Image, error) {
	e.t.Helper()
	ref, err := name.NewTag(strings.TrimPrefix(r.url, "http://")+"/acme/small:"+tag, name.Insecure)
	if err != nil {
		e.t.Fatal(err)
	}
	return remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "any", Password: password}), remote.WithContext(e.t.Context()))
}

// checkImage reads all of an image, and compares the sizes of its files.
func (e *export) checkImage(img v1.Image, tag string, want map[string]int) {
	e.t.Helper()
	if err := validate.Image(img); err != nil {
		e.t.Error(err)
	}
	content := mutate.Extract(img)
	defer content.Close()
	found := map[string]int{}
	for files := tar.NewReader(content); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			e.t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			found[h.Name] = int(h.Size)
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		e.t.Errorf("%s: %s", tag, diff)
	}
}

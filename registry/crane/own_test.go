package crane_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/crane"
	"regcred.dev/registry/dockerv1"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// registryOf is our own registry with Crane's surface before it.
type registryOf struct {
	*httptest.Server
	storage *registry.Storage
	tokens  *token.Service
	handler *crane.Handler
}

func newRegistry(t testing.TB, files map[string]string, policy registry.Policy, owners ...string) *registryOf {
	t.Helper()
	blobs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	store := memory.New()
	t.Cleanup(func() { _ = store.Close() })
	r := &registryOf{storage: registry.NewStorage(blobs, registry.StorageOptions{Policy: policy})}
	if r.tokens, err = token.New(t.Context(), store, token.Options{}); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, files, crane.DirectoryOptions{})
	server, err := registry.New(registry.Options{Storage: r.storage, Tokens: r.tokens, Owners: owners, Elsewhere: d.Serves})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	r.handler = newHandler(t, crane.Options{Directory: d, Server: server, Storage: r.storage})
	for _, path := range []string{"/v1/", "/v2/", "/v2", "/crane/"} {
		mux.Handle(path, r.handler)
	}
	mux.Handle(registry.TokenPath, server)
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// login returns a password that allows some actions on repositories.
func (r *registryOf) login(t testing.TB, pattern string, actions ...string) string {
	t.Helper()
	now := time.Now()
	raw, err := r.tokens.Sign(token.Claims{
		Subject: "credential-1", Use: token.UseLogin, Grants: []token.Grant{{Repository: pattern, Actions: actions}},
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw.Reveal()
}

// store puts content into a repository.
func (r *registryOf) store(t testing.TB, repo, mediaType string, content []byte) ocispec.Descriptor {
	t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if _, err := r.storage.PushBlob(t.Context(), repo, desc, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return desc
}

// publish stores an image of v1 as publishing does: an image of today under a tag, and
// its companion. Layers of owned are left where they are.
func (r *registryOf) publish(t testing.TB, repo, tag string, img v1Image, owned ...string) {
	t.Helper()
	m := ocispec.Manifest{MediaType: dockerv1.MediaTypeConverted, Config: r.store(t, repo, dockerv1.MediaTypeConvertedConfig, []byte(`{"created_by":"`+img[0].id+`"}`))}
	m.SchemaVersion = 2
	c := dockerv1.Companion{}
	for _, l := range img {
		part := dockerv1.Image{ID: l.id, JSON: r.store(t, repo, dockerv1.MediaTypeJSON, l.document)}
		layer := l.tar(t)
		if slices.Contains(owned, l.id) {
			part.Layer = ocispec.Descriptor{MediaType: dockerv1.MediaTypeLayer, Digest: digest.FromBytes(layer), Size: int64(len(layer))}
			if err := r.storage.LinkBlob(t.Context(), repo, part.Layer, "https://owner.test/"+l.id+"/layer"); err != nil {
				t.Fatal(err)
			}
		} else {
			part.Layer = r.store(t, repo, dockerv1.MediaTypeLayer, layer)
		}
		c.Images = append(c.Images, part)
		m.Layers = slices.Insert(m.Layers, 0, part.Layer)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject, err = r.storage.PushManifest(t.Context(), repo, tag, data, m.MediaType); err != nil {
		t.Fatal(err)
	}
	empty := dockerv1.Config()
	r.store(t, repo, empty.MediaType, empty.Data)
	companion, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.storage.PushManifest(t.Context(), repo, "", companion, dockerv1.MediaTypeManifest); err != nil {
		t.Fatal(err)
	}
}

// checkPull pulls an image and compares.
func checkPull(t *testing.T, c *v1Client, repo, tag string, want v1Image) {
	t.Helper()
	got, err := c.pull(t, repo, tag)
	if err != nil {
		t.Error(err)
		return
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(v1Layer{})); diff != "" {
		t.Errorf("%s:%s (-want +got):\n%s", repo, tag, diff)
	}
}

// TestV1Client pulls the same image from Crane's metadata and from our own storage.
func TestV1Client(t *testing.T) {
	img := newV1Image("app", "base", "middle", "top")
	files := v1Files(t, img)
	var images []string
	for _, id := range img.ids() {
		images = append(images, `{"id":"`+id+`"}`)
	}
	host := strings.Replace(files.URL, "127.0.0.1", "localhost", 1) // another one than the registry's: no login goes there
	metadata := `{"version":1,"repo-registry-id":"old/app","url":"` + host + `/files","images":[` +
		strings.Join(images, ",") + `],"tags":{"latest":"` + img[0].id + `","base":"` + img[2].id + `"}}`
	r := newRegistry(t, map[string]string{"app.json": metadata}, registry.Policy{{Pattern: "public/*", Public: true}})
	r.publish(t, "acme/app", "latest", img)
	r.publish(t, "acme/app", "base", img[2:])
	r.publish(t, "public/app", "latest", img)

	t.Run("Crane's metadata", func(t *testing.T) {
		checkPull(t, &v1Client{server: r.Server}, "old/app", "latest", img)
		checkPull(t, &v1Client{server: r.Server}, "old/app", "base", img[2:])
	})
	t.Run("with a login that is for something else", func(t *testing.T) {
		c := &v1Client{server: r.Server, password: "of another registry"}
		checkPull(t, c, "old/app", "latest", img)
		if len(c.tokens) > 0 {
			t.Error("there is a token for what needs none")
		}
	})
	t.Run("our own", func(t *testing.T) {
		c := &v1Client{server: r.Server, password: r.login(t, "acme/*", token.Pull)}
		checkPull(t, c, "acme/app", "latest", img)
		checkPull(t, c, "acme/app", "base", img[2:])
		if len(c.tokens) != 1 || !strings.HasPrefix(c.tokens[0], "signature=") || !strings.HasSuffix(c.tokens[0], `,repository="acme/app",access=read`) {
			t.Errorf("the token is %q", c.tokens)
		}
	})
	t.Run("our own, public", func(t *testing.T) {
		checkPull(t, &v1Client{server: r.Server}, "public/app", "latest", img)
	})
}

// TestV1Access: what somebody may not pull is, by v1, not there.
func TestV1Access(t *testing.T) {
	img, other := newV1Image("app", "base", "top"), newV1Image("other", "base", "top")
	r := newRegistry(t, nil, nil)
	r.publish(t, "acme/app", "latest", img)
	r.publish(t, "corp/other", "latest", other)
	good := r.login(t, "acme/app", token.Pull)
	c := &v1Client{server: r.Server, password: good}
	checkPull(t, c, "acme/app", "latest", img)
	tokens := c.tokens
	tampered := strings.Replace(tokens[0], ".", ".x", 1)
	paths := func(repo string, img v1Image) []string {
		return []string{
			"/v1/repositories/" + repo + "/images", "/v1/repositories/" + repo + "/tags", "/v1/repositories/" + repo + "/tags/latest",
			"/v1/images/" + img[0].id + "/ancestry", "/v1/images/" + img[0].id + "/json", "/v1/images/" + img[1].id + "/layer",
		}
	}
	for _, test := range []struct {
		name, header string
		repo         string
		img          v1Image
		want         int
	}{
		{"the token", "Token " + tokens[0], "acme/app", img, 200},
		{"the token is good for its repository alone", "Token " + tokens[0], "corp/other", other, 404},
		{"what the token says of itself is no matter", "Token " + strings.Replace(tokens[0], "acme/app", "corp/other", 1), "corp/other", other, 404},
		{"a login as a token", "Token signature=" + good, "acme/app", img, 401},
		{"a token that was changed", "Token " + tampered, "acme/app", img, 401},
		{"no token", "Token ", "acme/app", img, 404},
		{"no signature", `Token repository="acme/app",access=read`, "acme/app", img, 401},
		{"nothing", "", "acme/app", img, 404},
		{"a login", basic(good), "acme/app", img, 200},
		{"a login for pushing", basic(r.login(t, "acme/app", token.Push)), "acme/app", img, 404},
		{"a login for another", basic(r.login(t, "corp/*", token.Pull)), "acme/app", img, 404},
		{"a password that is none", basic("guess"), "acme/app", img, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, path := range paths(test.repo, test.img) {
				if got := r.get(t, path, test.header).status; got != test.want {
					t.Errorf("%s: %d, not %d", path, got, test.want)
				}
			}
		})
	}
	for header, want := range map[string]int{"": 200, basic(good): 200, basic("guess"): 401} {
		if got := r.get(t, "/v1/users/", header); got.status != want || want == 401 && got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("users with %q: %d", header, got.status)
		}
	}
	for _, test := range []struct{ header, want string }{
		{"", ""}, {basic(good), result("acme/app")}, {basic(r.login(t, "*", token.Pull)), result("acme/app", "corp/other")},
	} {
		want := fmt.Sprintf(`{"query":"/","num_results":%d,"results":[%s]}`, strings.Count(test.want, `"name"`), test.want)
		if got := r.get(t, "/v1/search?q=/", test.header).body; got != want {
			t.Errorf("search: %s\nnot %s", got, want)
		}
	}
}

func basic(password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth("anyone", password)
	return r.Header.Get("Authorization")
}

// get sends a request and follows no redirect.
func (r *registryOf) get(t testing.TB, path, authorization string) answer {
	t.Helper()
	return r.do(t, http.MethodGet, path, authorization)
}

func (r *registryOf) do(t testing.TB, method, path, authorization string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, r.URL+path, nil)
	var header []string
	if authorization != "" {
		header = []string{"Authorization: " + authorization}
	}
	return send(req, r.Config.Handler, header)
}

// TestV1Linked: a layer that its owner hosts is pulled from there.
func TestV1Linked(t *testing.T) {
	img := newV1Image("app", "base", "top")
	r := newRegistry(t, nil, registry.Policy{{Pattern: "*", Public: true}}, "owner.test")
	r.publish(t, "acme/app", "latest", img, img[1].id)
	got := r.get(t, "/v1/images/"+img[1].id+"/layer", "")
	if got.status/100 != 3 || got.location() != "https://owner.test/"+img[1].id+"/layer" {
		t.Errorf("%d %q", got.status, got.location())
	}
	if got := r.get(t, "/v1/images/"+img[1].id+"/json", ""); got.status != 200 || got.body != string(img[1].document) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestV1Range: an interrupted pull goes on where it was.
func TestV1Range(t *testing.T) {
	img := newV1Image("app", "base")
	r := newRegistry(t, nil, registry.Policy{{Pattern: "*", Public: true}})
	r.publish(t, "acme/app", "latest", img)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/v1/images/"+img[0].id+"/layer", nil)
	got := send(req, r.Config.Handler, []string{"Range: bytes=10-"})
	if got.status != http.StatusPartialContent || got.body != string(img[0].tar(t)[10:]) {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
}

// TestV1Other: tags of images that never were of v1 are not of v1, nor are artifacts
// that only look like companions.
func TestV1Other(t *testing.T) {
	img := newV1Image("app", "base")
	r := newRegistry(t, nil, registry.Policy{{Pattern: "*", Public: true}})
	r.publish(t, "acme/app", "latest", img)
	config := r.store(t, "acme/app", "application/json", []byte("{}"))
	plain, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": dockerv1.MediaTypeConverted, "config": config, "layers": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := r.storage.PushManifest(t.Context(), "acme/app", "plain", plain, dockerv1.MediaTypeConverted)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": dockerv1.MediaTypeManifest, "artifactType": dockerv1.ArtifactType,
		"config": config, "layers": []any{}, "subject": subject,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.storage.PushManifest(t.Context(), "acme/app", "", forged, dockerv1.MediaTypeManifest); err != nil {
		t.Fatal(err)
	}
	if got := r.get(t, "/v1/repositories/acme/app/tags", "").body; got != `{"latest":"`+img[0].id+`"}` {
		t.Errorf("the tags are %s", got)
	}
	for _, path := range []string{"/v1/repositories/acme/app/tags/plain", "/v1/repositories/acme/app/tags/none", "/v1/images/" + idOf("none") + "/json", "/v1/images/short/json"} {
		if got := r.get(t, path, ""); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// TestDeletedCompanion: an image is gone from v1 with it.
func TestDeletedCompanion(t *testing.T) {
	img := newV1Image("app", "base")
	r := newRegistry(t, nil, registry.Policy{{Pattern: "*", Public: true}})
	r.publish(t, "acme/app", "latest", img)
	for ref, err := range r.storage.V1Image(t.Context(), img[0].id) {
		if err != nil {
			t.Fatal(err)
		}
		if err := r.storage.DeleteManifest(t.Context(), ref.Repository, ref.Manifest); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/v1/repositories/acme/app/tags":      "{}",
		"/v1/repositories/acme/app/images":    "[]",
		"/v1/images/" + img[0].id + "/layer":  v1NotFound,
		"/v1/repositories/acme/app/tags/late": v1NotFound,
	} {
		if got := r.get(t, path, ""); got.body != want {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

// TestBothTrees: where both have a name our own registry answers, in both protocols.
func TestBothTrees(t *testing.T) {
	files := map[string]string{
		"one.json": `{"version":1,"repo-registry-id":"acme/app","url":"https://files.test/one","images":[{"id":"aa"}],"tags":{"latest":"aa"}}`,
		"two.json": `{"version":2,"repo-registry-id":"acme/app","url":"https://files.test/two"}`,
	}
	r := newRegistry(t, files, nil)
	pusher := basic(r.login(t, "acme/*", token.Pull, token.Push))
	if got := r.get(t, "/v2/acme/app/tags/list", ""); got.location() != "https://files.test/two/tags/list" {
		t.Errorf("before: %d %q", got.status, got.location())
	}
	// A push asks which blobs need not be sent, and then sends them.
	blob := "/v2/acme/app/blobs/" + digest.FromString("x").String()
	for _, test := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"HEAD", blob, pusher, 404},
		{"HEAD", blob, "", 302},
		{"GET", blob, pusher, 302},
		{"POST", "/v2/acme/app/blobs/uploads/", pusher, 202},
		{"POST", "/v2/acme/app/blobs/uploads/", "", 401},
		{"GET", "/v2/acme/app/blobs/uploads/none", pusher, 404},
		{"PUT", "/v2/acme/app/manifests/latest", "", 401},
		{"DELETE", "/v2/acme/app/manifests/latest", "", 401},
	} {
		if got := r.do(t, test.method, test.path, test.authorization); got.status != test.want {
			t.Errorf("%s %s: %d %s", test.method, test.path, got.status, got.body)
		}
	}
	r.store(t, "acme/app", "application/json", []byte("{}")) // a push has begun
	if got := r.get(t, "/v2/acme/app/tags/list", ""); got.status != 302 {
		t.Errorf("during: %d", got.status)
	}
	r.publish(t, "acme/elsewhere", "latest", newV1Image("elsewhere", "base"))
	if names, err := r.handler.Shadowed(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("during: shadowed %v, %v", names, err)
	}
	img := newV1Image("app", "base")
	r.publish(t, "acme/app", "latest", img)
	if names, err := r.handler.Shadowed(t.Context()); err != nil || !slices.Equal(names, []string{"acme/app"}) {
		t.Errorf("after: shadowed %v, %v", names, err)
	}
	for path, want := range map[string]int{
		"/v2/acme/app/tags/list": 401, "/v1/repositories/acme/app/tags": 404, "/v1/images/" + img[0].id + "/json": 404,
		"/v1/images/aa/json": 302, // an id that is not ours
	} {
		if got := r.get(t, path, ""); got.status != want {
			t.Errorf("%s after: %d %q", path, got.status, got.location())
		}
	}
	if got := r.get(t, "/v1/repositories/acme/app/tags/latest", pusher).body; got != `"`+img[0].id+`"` {
		t.Errorf("the tag is %s", got)
	}
	if got := r.get(t, "/v1/search?q=app", "").body; strings.Contains(got, "acme/app") {
		t.Errorf("a search finds what nobody may pull: %s", got)
	}
}

// TestClientOfToday pulls from Crane's metadata without a login, through the registry's
// own authentication.
func TestClientOfToday(t *testing.T) {
	img, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(publishedV2(t, img))
	defer files.Close()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	metadata := `{"version":4,"repo-registry-id":"acme/app","url":"` + files.URL + `/v2/app","schema2_data":["latest","` + d.String() + `"],"manifest_list_data":[],"manifest_list_amd64_tags":{}}`
	r := newRegistry(t, map[string]string{"app.json": metadata, "hidden.json": strings.Replace(strings.Replace(metadata, "acme/app", "acme/hidden", 1), `"version"`, `"protected":true,"version"`, 1)}, nil)
	host := strings.TrimPrefix(r.URL, "http://")
	ref, err := name.ParseReference(host+"/acme/app:latest", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if gotDigest, err := got.Digest(); err != nil || gotDigest != d {
		t.Errorf("pulled %v, %v", gotDigest, err)
	}
	layers, err := got.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("layers %v, %v", layers, err)
	}
	for _, l := range layers {
		content, err := l.Compressed() // which checks the digest
		if err != nil {
			t.Fatal(err)
		}
		if _, err := new(bytes.Buffer).ReadFrom(content); err != nil {
			t.Error(err)
		}
		content.Close()
	}
	if ref, err = name.ParseReference(host+"/acme/hidden:latest", name.Insecure); err != nil {
		t.Fatal(err)
	}
	if img, err := remote.Image(ref, remote.WithContext(t.Context())); err == nil {
		t.Errorf("pulled what is protected: %v", img)
	}
}

// publishedV2 serves an image as Pulp published it, below /v2/app: under a tag and its
// digest.
func publishedV2(t testing.TB, img v1.Image) http.Handler {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"manifests/2/latest": manifest, "manifests/2/" + d.String(): manifest,
		"blobs/" + digest.FromBytes(config).String(): config,
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		content, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(content); err != nil {
			t.Fatal(err)
		}
		content.Close()
		files["blobs/"+digest.FromBytes(b.Bytes()).String()] = b.Bytes()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[strings.TrimPrefix(r.URL.Path, "/v2/app/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		}
		_, _ = w.Write(data)
	})
}

// TestV1SameID: ids of v1 say nothing of content, so nobody gets that of another
// repository than he asked for: not where somebody pushes an image under the id of
// another one, nor under one of Crane's.
func TestV1SameID(t *testing.T) {
	img := newV1Image("app", "base", "top")
	evil := slices.Clone(img)
	evil[1].files = map[string]string{"evil": "evil"}
	files := v1Files(t, img)
	metadata := `{"version":1,"repo-registry-id":"old/app","url":"` + files.URL + `/files","images":[{"id":"` + img[0].id + `"},{"id":"` + img[1].id + `"}],"tags":{"latest":"` + img[0].id + `"}}`
	layer := "/v1/images/" + img[1].id + "/layer"

	t.Run("Crane's", func(t *testing.T) {
		r := newRegistry(t, map[string]string{"app.json": metadata}, registry.Policy{{Pattern: "*", Public: true}})
		r.publish(t, "a/evil", "latest", evil)
		if got := r.get(t, layer, ""); got.location() != files.URL+"/files/"+img[1].id+"/layer" {
			t.Errorf("%d %q", got.status, got.location())
		}
		r.publish(t, "old/app", "latest", img) // it moves over
		if got := r.get(t, layer, ""); got.status != 503 || !strings.Contains(got.body, "a/evil and old/app") {
			t.Errorf("after it moved: %d %q", got.status, got.body)
		}
	})
	t.Run("our own", func(t *testing.T) {
		r := newRegistry(t, nil, registry.Policy{{Pattern: "a/*", Public: true}})
		r.publish(t, "acme/app", "latest", img)
		r.publish(t, "acme/copy", "latest", img)
		login := r.login(t, "acme/*", token.Pull)
		if got := r.get(t, layer, basic(login)); got.status != 200 || got.body != string(img[1].tar(t)) {
			t.Errorf("where all agree: %d", got.status)
		}
		r.publish(t, "a/evil", "latest", evil)
		if got := r.get(t, layer, basic(login)); got.status != 503 || !strings.Contains(got.body, "a/evil and acme/app") {
			t.Errorf("where they do not: %d %s", got.status, got.body)
		}
		checkPull(t, &v1Client{server: r.Server, password: login}, "acme/app", "latest", img) // its token says
		if got := r.get(t, layer, basic(r.login(t, "b", token.Pull))); got.body != string(evil[1].tar(t)) {
			t.Errorf("who may pull the other alone: %d", got.status)
		}
	})
}

// TestV1ManyTags: a manifest's companion is read once, however many tags it has.
func TestV1ManyTags(t *testing.T) {
	img := newV1Image("app", "base", "top")
	r := newRegistry(t, nil, registry.Policy{{Pattern: "*", Public: true}})
	want := map[string]string{}
	for i := range 3 {
		tag := fmt.Sprint("t", i)
		r.publish(t, "acme/app", tag, img)
		want[tag] = img[0].id
	}
	var tags map[string]string
	if err := json.Unmarshal([]byte(r.get(t, "/v1/repositories/acme/app/tags", "").body), &tags); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, tags); diff != "" {
		t.Error(diff)
	}
}

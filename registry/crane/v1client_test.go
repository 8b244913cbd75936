package crane_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// v1Image is an image of v1 and its ancestors, its own first.
type v1Image []v1Layer

// v1Layer is one link of the chain: an id, its document, and its files by name.
type v1Layer struct {
	id       string
	document []byte
	files    map[string]string
}

// newV1Image returns an image of some layers, each with one file.
func newV1Image(name string, layers ...string) v1Image {
	var img v1Image
	parent := ""
	for _, content := range layers {
		l := v1Layer{id: idOf(name + content), files: map[string]string{"file-" + content: strings.Repeat(content, 3000)}}
		l.document = []byte(fmt.Sprintf(`{"id": %q, "parent": %q, "created":"2014-02-13T00:00:00Z", "config":{"Env":["LAYER=%s"]}, "os":"linux", "architecture":"amd64"}`, l.id, parent, content))
		if parent == "" {
			l.document = bytes.Replace(l.document, []byte(`"parent": "", `), nil, 1)
		}
		parent = l.id
		img = append(img, l)
	}
	slices.Reverse(img)
	return img
}

func idOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (img v1Image) ids() []string {
	var ids []string
	for _, l := range img {
		ids = append(ids, l.id)
	}
	return ids
}

// tar returns the layer as it is stored: a gzipped tar.
func (l v1Layer) tar(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range l.files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// v1Files serves the files of an image as Pulp published them: ID/ancestry, ID/json
// and ID/layer. It refuses requests that bring a login.
func v1Files(t testing.TB, img v1Image) *httptest.Server {
	t.Helper()
	files := map[string][]byte{}
	for i, l := range img {
		ancestry, err := json.Marshal(img[i:].ids())
		if err != nil {
			t.Fatal(err)
		}
		files["/"+l.id+"/ancestry"], files["/"+l.id+"/json"], files["/"+l.id+"/layer"] = ancestry, l.document, l.tar(t)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[strings.TrimPrefix(r.URL.Path, "/files")]
		if !ok || r.Header.Get("Authorization") != "" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)
	return server
}

// v1Client pulls as a Docker of 2014 did: a ping, the images of the repository with
// HTTP Basic authentication, for which it gets a token, and all else with that.
type v1Client struct {
	server *httptest.Server
	// password is sent to get a token; none where it is empty.
	password string
	// tokens are those that it was given.
	tokens []string
}

// get sends a request and returns the answer's headers and body.
func (c *v1Client) get(t testing.TB, path string, prepare func(*http.Request)) (http.Header, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	prepare(r)
	resp, err := c.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Request.URL.Host == r.URL.Host && resp.Header.Get("X-Docker-Registry-Version") == "" {
		t.Errorf("GET %s: there is no X-Docker-Registry-Version", path)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	return resp.Header, body, nil
}

// ask gets a JSON with the tokens.
func (c *v1Client) ask(t testing.TB, path string, v any) error {
	t.Helper()
	_, body, err := c.get(t, path, c.authorize)
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	return err
}

func (c *v1Client) authorize(r *http.Request) {
	r.Header.Set("Authorization", "Token "+strings.Join(c.tokens, ",")) // without any too
}

// login asks for the images of a repository, and for a token.
func (c *v1Client) login(t testing.TB, repo string) (ids []string, err error) {
	t.Helper()
	var pong bool
	header, body, err := c.get(t, "/v1/_ping", func(*http.Request) {})
	if err != nil || json.Unmarshal(body, &pong) != nil || !pong || !strings.EqualFold(header.Get("X-Docker-Registry-Standalone"), "true") {
		t.Fatalf("ping: %s, %v", body, err)
	}
	header, body, err = c.get(t, "/v1/repositories/"+repo+"/images", func(r *http.Request) {
		r.Header.Set("X-Docker-Token", "true")
		if c.password != "" {
			r.SetBasicAuth("anyone", c.password)
		}
	})
	if err != nil {
		return nil, err
	}
	c.tokens = header.Values("X-Docker-Token")
	if got := header.Get("X-Docker-Endpoints"); "http://"+got != c.server.URL {
		t.Errorf("the endpoint is %q", got)
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	for _, img := range list {
		ids = append(ids, img.ID)
	}
	return ids, nil
}

// pull gets an image and checks it against what the protocol says of it.
func (c *v1Client) pull(t testing.TB, repo, tag string) (v1Image, error) {
	t.Helper()
	ids, err := c.login(t, repo)
	if err != nil {
		return nil, err
	}
	var id string
	if err := c.ask(t, "/v1/repositories/"+repo+"/tags/"+tag, &id); err != nil {
		return nil, err
	}
	var tags map[string]string
	if err := c.ask(t, "/v1/repositories/"+repo+"/tags", &tags); err != nil || tags[tag] != id {
		t.Errorf("the tags are %v, %v", tags, err)
	}
	var ancestry []string
	if err := c.ask(t, "/v1/images/"+id+"/ancestry", &ancestry); err != nil {
		return nil, err
	}
	if len(ancestry) == 0 || ancestry[0] != id {
		t.Fatalf("the ancestry of %s is %v", id, ancestry)
	}
	var img v1Image
	parents := append(slices.Clone(ancestry[1:]), "")
	for i, id := range ancestry {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is not among the repository's images", id)
		}
		l, err := c.layer(t, id, parents[i])
		if err != nil {
			return nil, err
		}
		img = append(img, l)
	}
	return img, nil
}

// layer gets one link of a chain.
func (c *v1Client) layer(t testing.TB, id, parent string) (v1Layer, error) {
	t.Helper()
	header, document, err := c.get(t, "/v1/images/"+id+"/json", c.authorize)
	if err != nil {
		return v1Layer{}, err
	}
	var said struct{ ID, Parent string }
	if err := json.Unmarshal(document, &said); err != nil || said.ID != id || said.Parent != parent {
		t.Errorf("the document of %s is %s", id, document)
	}
	_, layer, err := c.get(t, "/v1/images/"+id+"/layer", func(r *http.Request) {
		c.authorize(r)
		r.Header.Set("Accept-Encoding", "identity")
	})
	if err != nil {
		return v1Layer{}, err
	}
	if size := header.Get("X-Docker-Size"); size != "" && size != strconv.Itoa(len(layer)) {
		t.Errorf("layer %s has %d bytes, not %s", id, len(layer), size)
	}
	return v1Layer{id: id, document: document, files: untar(t, layer)}, nil
}

// untar returns the files of a gzipped tar.
func untar(t testing.TB, data []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF { //nolint:errorlint // archive/tar returns it as it is
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
}

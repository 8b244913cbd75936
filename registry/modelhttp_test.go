package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociclient"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/registry"
)

const (
	modelHost  = "registry.test"
	modelOwner = "owner.test"
)

// modelClient is a client of a Server.
type modelClient struct {
	ociregistry.Interface
	http *http.Client
}

// newModelClient returns a client of a new registry, which it may do everything in.
// Nothing that is in its cache gets old. Clients who are sent to the owner of
// modelTheirs get it there.
func newModelClient(t *testing.T) *modelClient {
	t.Helper()
	tokens := newTokens(t, modelHost)
	_, admin, err := tokens.CreateAPIToken(t.Context(), regcred.APIToken{Name: "test", Role: regcred.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	server, err := registry.New(registry.Options{
		Storage: registry.NewStorage(newMemBlobs(), registry.StorageOptions{MaxAge: time.Hour}),
		Tokens:  tokens, Owners: []string{modelOwner},
	})
	if err != nil {
		t.Fatal(err)
	}
	owner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(modelTheirs))
	})
	transport := modelLogin{admin, regcredtest.HandlerTransport{modelHost: server, modelOwner: owner}}
	client, err := ociclient.New(modelHost, &ociclient.Options{Transport: transport, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	return &modelClient{client, &http.Client{Transport: transport}}
}

// modelLogin logs in to the registry, and nowhere else.
type modelLogin struct {
	password  regcred.Secret
	transport http.RoundTripper
}

func (l modelLogin) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == modelHost {
		r = r.Clone(r.Context())
		r.SetBasicAuth("x", l.password.Reveal())
	}
	return l.transport.RoundTrip(r)
}

// MountBlob implements ociregistry.Interface. What cannot be mounted is to be uploaded,
// says the protocol; why, it does not.
func (c *modelClient) MountBlob(ctx context.Context, from, to string, d digest.Digest) (ociregistry.Descriptor, error) {
	desc, err := c.Interface.MountBlob(ctx, from, to, d)
	if errors.Is(err, ociregistry.ErrUnsupported) {
		err = ociregistry.ErrBlobUnknown
	}
	return desc, err
}

// send sends a request to the registry.
func (c *modelClient) send(t *rapid.T, method, path, body string, header map[string]string) answer {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+modelHost+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(data)}
}

// httpPair is a pair whose storage is a modelClient. It does besides what
// ociregistry.Interface does not have.
type httpPair struct {
	*pair
	client *modelClient
}

// has reports whether the model has a blob.
func (p *httpPair) has(repo, content string) bool {
	_, err := p.model.ResolveBlob(ctx, repo, p.digestOf(p.model, content))
	return err == nil
}

func (p *httpPair) blobPath(repo, content string) string {
	return "/v2/" + repo + "/blobs/" + p.digestOf(p.client, content).String()
}

// want checks the status of an answer.
func (p *httpPair) want(what string, a answer, status int) {
	if a.status != status {
		p.t.Fatalf("%s: %d %s, want %d", what, a.status, a.body, status)
	}
}

// link refers to content at its owner. The model stores it.
func (p *httpPair) link() {
	repo := p.repo()
	path := fmt.Sprintf("/v2/%s/blobs/uploads/?mount=%s&url=https://%s/theirs&size=%d", repo, digest.FromString(modelTheirs), modelOwner, len(modelTheirs))
	p.want("link", p.client.send(p.t, "POST", path, "", nil), 201)
	if _, err := p.model.PushBlob(ctx, repo, descriptor(modelTheirs), strings.NewReader(modelTheirs)); err != nil {
		p.t.Fatal(err)
	}
	p.stored[repo] = true
}

// pushWhole pushes a blob in one request.
func (p *httpPair) pushWhole() {
	repo, content := p.repo(), p.content()
	path := "/v2/" + repo + "/blobs/uploads/?digest=" + p.digestOf(p.client, content).String()
	if rapid.IntRange(0, 3).Draw(p.t, "wrong") == 0 {
		p.want("other content", p.client.send(p.t, "POST", path, content+"!", nil), 400)
		return
	}
	p.want("push", p.client.send(p.t, "POST", path, content, nil), 201)
	if _, err := p.model.PushBlob(ctx, repo, descriptor(content), strings.NewReader(content)); err != nil {
		p.t.Fatal(err)
	}
	p.stored[repo] = true
}

// cancel begins an upload and cancels it: it is as if it had never been.
func (p *httpPair) cancel() {
	repo, content := p.repo(), p.content()
	a := p.client.send(p.t, "POST", "/v2/"+repo+"/blobs/uploads/", "", nil)
	p.want("begin", a, 202)
	location := a.header.Get("Location")
	p.want("patch", p.client.send(p.t, "PATCH", location, content, nil), 202)
	p.want("cancel", p.client.send(p.t, "DELETE", location, "", nil), 204)
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		a := p.client.send(p.t, method, location+"?digest="+p.digestOf(p.client, content).String(), "", nil)
		p.want(method+" after it was cancelled", a, 404)
	}
}

// head asks for what clients look for before they push.
func (p *httpPair) head() {
	repo, content := p.repo(), p.content()
	a := p.client.send(p.t, "HEAD", p.blobPath(repo, content), "", nil)
	if !p.has(repo, content) {
		p.want("HEAD", a, 404)
		return
	}
	p.want("HEAD", a, 200)
	if a.header.Get("Content-Length") != fmt.Sprint(len(content)) || a.header.Get("Docker-Content-Digest") != p.digestOf(p.client, content).String() {
		p.t.Fatalf("HEAD of %q: %v", content, a.header)
	}
}

// getRange asks for a part of a blob, in each form of RFC 9110, section 14.1.2.
func (p *httpPair) getRange() {
	repo, content := p.repo(), p.content()
	size := len(content)
	first := rapid.IntRange(0, size+2).Draw(p.t, "first")
	last := rapid.IntRange(first, size+2).Draw(p.t, "last")
	suffix := rapid.IntRange(1, size+2).Draw(p.t, "suffix")
	var header string
	switch rapid.SampledFrom([]string{"open", "closed", "suffix"}).Draw(p.t, "form") {
	case "open":
		header, last = fmt.Sprintf("bytes=%d-", first), size-1
	case "closed":
		header, last = fmt.Sprintf("bytes=%d-%d", first, last), min(last, size-1)
	case "suffix":
		header, first, last = fmt.Sprintf("bytes=-%d", suffix), max(size-suffix, 0), size-1
	}
	a := p.client.send(p.t, "GET", p.blobPath(repo, content), "", map[string]string{"Range": header})
	switch {
	case !p.has(repo, content):
		p.want(header, a, 404)
	case first >= size:
		p.want(header, a, 416)
	default:
		p.want(header, a, 206)
		want := fmt.Sprintf("bytes %d-%d/%d", first, last, size)
		if a.body != content[first:last+1] || a.header.Get("Content-Range") != want {
			p.t.Fatalf("%s of %q: %q %v", header, content, a.body, a.header)
		}
	}
}

package publish_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/publish"
)

const (
	home   = "https://registry.example.com:8443"
	canary = "canary-token-5d41402a"
)

// wire is a network of servers by their origin. It keeps all that was sent.
type wire struct {
	handlers map[string]http.HandlerFunc // by "scheme://host:port"

	mu   sync.Mutex
	sent []request
}

// request is a request as it left the client.
type request struct {
	origin, method, path, authorization, all string
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var all strings.Builder
	body, err := io.ReadAll(bodyOf(req))
	if err != nil {
		return nil, err
	}
	all.WriteString(req.URL.String())
	if err := req.Header.Write(&all); err != nil {
		return nil, err
	}
	all.Write(body)
	origin := req.URL.Scheme + "://" + req.URL.Host
	w.mu.Lock()
	w.sent = append(w.sent, request{origin, req.Method, req.URL.Path, req.Header.Get("Authorization"), all.String()})
	w.mu.Unlock()
	rec := httptest.NewRecorder()
	if h := w.handlers[origin]; h != nil {
		h(rec, req)
	} else {
		rec.WriteHeader(http.StatusOK)
	}
	res := rec.Result()
	res.Request = req
	return res, nil
}

func bodyOf(req *http.Request) io.Reader {
	if req.Body == nil {
		return strings.NewReader("")
	}
	return req.Body
}

// check fails where a credential left its origin, and returns how many requests
// went to other origins.
func (w *wire) check(t *testing.T) (foreign int) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte("regcred:" + canary))
	for _, r := range w.sent {
		if r.origin == home {
			if r.authorization != "Basic "+basic {
				t.Errorf("%s %s has Authorization %q", r.method, r.path, r.authorization)
			}
			continue
		}
		foreign++
		if strings.HasPrefix(r.origin, "http:") {
			t.Errorf("%s %s went to %s", r.method, r.path, r.origin)
		}
		if r.authorization != "" || strings.Contains(r.all, canary) || strings.Contains(r.all, basic) {
			t.Errorf("%s %s gave the token to %s", r.method, r.path, r.origin)
		}
		if strings.Contains(r.all, "Referer") || strings.Contains(r.all, "session-state") {
			t.Errorf("%s %s told %s where it came from: %s", r.method, r.path, r.origin, r.all)
		}
	}
	return foreign
}

func homeDestination(t *testing.T, w *wire) publish.Destination {
	t.Helper()
	dst, err := publish.Remote(home, regcred.NewSecret(canary), w)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// others are origins that differ from home in one part.
var others = map[string]string{
	"scheme":    "http://registry.example.com:8443",
	"host":      "https://evil.example:8443",
	"subdomain": "https://sub.registry.example.com:8443",
	"suffix":    "https://registry.example.com.evil.example:8443",
	"port":      "https://registry.example.com:9443",
	"no port":   "https://registry.example.com",
}

// TestRedirects follows redirects without a credential, and none from https to
// http.
func TestRedirects(t *testing.T) {
	content := ocispec.Descriptor{Digest: digest.FromString("content"), Size: 7}
	for name, other := range others {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(name+"/"+http.StatusText(status), func(t *testing.T) {
				w := &wire{handlers: map[string]http.HandlerFunc{home: func(rw http.ResponseWriter, req *http.Request) {
					http.Redirect(rw, req, other+req.URL.Path+"?x=1", status)
				}}}
				dst := homeDestination(t, w)
				ctx := t.Context()
				_, _ = dst.ResolveBlob(ctx, "acme/app", content.Digest)
				_, _ = dst.PushBlob(ctx, "acme/app", content, strings.NewReader("content"))
				_, _ = dst.PushBlobChunked(ctx, "acme/app", 0)
				_, _ = dst.PushManifest(ctx, "acme/app", "1", []byte("{}"), ocispec.MediaTypeImageManifest)
				foreign := w.check(t)
				if followed := !strings.HasPrefix(other, "http:"); followed != (foreign > 0) {
					t.Errorf("%d requests went to %s", foreign, other)
				}
				if len(w.sent)-foreign != 4 {
					t.Errorf("%d requests went home, want 4", len(w.sent)-foreign)
				}
			})
		}
	}
}

// TestLocations uploads to where the registry says, without a credential where
// that is not the registry.
func TestLocations(t *testing.T) {
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			w := &wire{}
			w.handlers = map[string]http.HandlerFunc{
				home: func(rw http.ResponseWriter, req *http.Request) {
					rw.Header().Set("Location", other+"/upload/1")
					rw.WriteHeader(http.StatusAccepted)
				},
				other: func(rw http.ResponseWriter, req *http.Request) {
					rw.Header().Set("Location", "/upload/2")
					rw.WriteHeader(map[string]int{"PUT": http.StatusCreated, "PATCH": http.StatusAccepted}[req.Method])
				},
			}
			dst := homeDestination(t, w)
			_, err := dst.PushBlob(t.Context(), "acme/app", ociregistry.Descriptor{Digest: digest.FromString("x"), Size: 1}, strings.NewReader("x"))
			u, err2 := dst.PushBlobChunked(t.Context(), "acme/app", 0)
			if err2 != nil {
				t.Fatal(err2)
			}
			_, err3 := u.Write(make([]byte, 1<<20))
			foreign := w.check(t)
			if strings.HasPrefix(other, "http:") {
				if err == nil || err3 == nil || foreign != 0 {
					t.Errorf("errors %v, %v, %d requests", err, err3, foreign)
				}
			} else if err != nil || err3 != nil || foreign != 2 {
				t.Errorf("errors %v, %v, %d requests", err, err3, foreign)
			}
		})
	}
}

// TestRealms asks no token service, whatever a challenge says.
func TestRealms(t *testing.T) {
	for _, challenge := range []string{
		`Bearer realm="https://evil.example/token",service="registry.example.com",scope="repository:acme/app:push"`,
		`Bearer realm="http://169.254.169.254/latest/meta-data/"`,
		`Bearer realm="http://2852039166/"`,
		`Bearer realm="http://0xa9fea9fe/"`,
		`Bearer realm="http://registry.example.com:8443/token"`,
		`Bearer realm="//evil.example/token"`,
		`Basic realm="https://evil.example"`,
		``,
	} {
		t.Run(challenge, func(t *testing.T) {
			w := &wire{handlers: map[string]http.HandlerFunc{home: func(rw http.ResponseWriter, req *http.Request) {
				rw.Header().Set("WWW-Authenticate", challenge)
				rw.WriteHeader(http.StatusUnauthorized)
			}}}
			a := open(t, write(t, archivetest.Tar(archivetest.DockerSave(nil, archivetest.New("amd64", "one"))...)), archive.Options{})
			_, err := publish.Publish(t.Context(), homeDestination(t, w), a.Images()[0], "acme/app", "1", publish.Options{})
			if regcred.CodeOf(err) != regcred.Unauthenticated || strings.Contains(err.Error(), canary) {
				t.Errorf("error %v", err)
			}
			if n := w.check(t); n != 0 {
				t.Errorf("%d requests went elsewhere", n)
			}
		})
	}
}

// TestAnonymous sends no credential where there is none.
func TestAnonymous(t *testing.T) {
	w := &wire{}
	dst, err := publish.Remote(home, regcred.Secret{}, w)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = dst.ResolveBlob(t.Context(), "acme/app", digest.FromString("x"))
	if len(w.sent) != 1 || w.sent[0].authorization != "" {
		t.Errorf("sent %+v", w.sent)
	}
}

// TestServerURLs refuses URLs that are not a server's, and never repeats a
// password in them.
func TestServerURLs(t *testing.T) {
	for _, bad := range []string{
		"", "registry.example.com", "ftp://registry.example.com", "https://", "https://registry.example.com/v2",
		"https://registry.example.com?x=1", "https://registry.example.com#x", "https://user:" + canary + "@registry.example.com",
		"https://user:" + canary + "@registry.example.com:port", "https://registry example.com", "unix:///run/regcred.sock",
	} {
		_, err := publish.Remote(bad, regcred.NewSecret(canary), nil)
		if regcred.CodeOf(err) != regcred.Invalid || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	for _, good := range []string{"https://registry.example.com", "https://registry.example.com/", "http://127.0.0.1:8440", "http://[::1]:8440"} {
		if _, err := publish.Remote(good, regcred.Secret{}, nil); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// TestErrorsHoldNoState keeps upload URLs, whose query may authorize the upload,
// and a registry's control characters out of errors.
func TestErrorsHoldNoState(t *testing.T) {
	w := &wire{handlers: map[string]http.HandlerFunc{home: func(rw http.ResponseWriter, req *http.Request) {
		switch req.Method {
		case http.MethodHead:
			rw.WriteHeader(http.StatusNotFound)
		case http.MethodPost:
			rw.Header().Set("Location", "http://registry.example.com/?session-state="+canary)
			rw.WriteHeader(http.StatusAccepted)
		}
	}}}
	img := archivetest.New("amd64", "one")
	a := open(t, write(t, archivetest.Tar(archivetest.DockerSave(nil, img)...)), archive.Options{})
	_, err := publish.Publish(t.Context(), homeDestination(t, w), a.Images()[0], "acme/app", "1", publish.Options{})
	if err == nil || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), url.QueryEscape(canary)) {
		t.Errorf("error %v", err)
	}
	w.handlers[home] = func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusNotFound)
		if req.Method == http.MethodPost {
			_, _ = io.WriteString(rw, `{"errors":[{"code":"NAME_INVALID","message":"\u001b[2Jgone`+strings.Repeat("!", 2000)+`"}]}`)
		}
	}
	_, err = publish.Publish(t.Context(), homeDestination(t, w), a.Images()[0], "acme/app", "1", publish.Options{})
	if err == nil || !strings.Contains(err.Error(), "[2Jgone") || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 700 {
		t.Errorf("error %q", err)
	}
}

package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry/archive"
	at "regcred.dev/registry/archive/archivetest"
)

// server is a transport that answers in process: with a handler's answer by host.
type server struct {
	hosts map[string]http.HandlerFunc
	asked []*http.Request
}

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, req)
	h, ok := s.hosts[req.URL.Host]
	if !ok {
		return nil, errors.New("no such host")
	}
	w := httptest.NewRecorder()
	h(w, req)
	return w.Result(), nil
}

// openURL opens a URL by a transport.
func openURL(t *testing.T, url string, s http.RoundTripper, o archive.Options) (*archive.Archive, error) {
	t.Helper()
	o.Transport, o.SpoolDir = s, t.TempDir()
	a, err := archive.Open(t.Context(), url, o)
	if err == nil {
		t.Cleanup(func() { a.Close() })
	}
	return a, err
}

func save() []byte { return at.Tar(at.DockerSave([]string{"acme/app:1"}, at.New("amd64", "one"))...) }

// TestURL downloads over TLS, and trusts nobody unknown.
func TestURL(t *testing.T) {
	for kind, data := range map[string][]byte{"plain": save(), "gzip": at.Gzip(save()), "zstd": at.Zstd(save())} {
		t.Run(kind, func(t *testing.T) {
			srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "identity" {
					t.Errorf("it accepts %q", r.Header.Get("Accept-Encoding"))
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
			}))
			defer srv.Close()
			var last archive.Progress
			a, err := openURL(t, srv.URL+"/app.tar", srv.Client().Transport, archive.Options{Progress: func(p archive.Progress) { last = p }})
			if err != nil {
				t.Fatal(err)
			}
			if err := readAll(a); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(archive.Progress{Phase: archive.Downloading, Bytes: int64(len(data)), Total: int64(len(data))}, last); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestURLUntrusted refuses a server whose certificate nobody vouches for. It asks no
// second time within the test.
func TestURLUntrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := 0
		refuse := roundTripper(func(*http.Request) (*http.Response, error) {
			tried++
			return nil, errors.New("x509: certificate signed by unknown authority")
		})
		_, err := openURL(t, "https://registry.example.com/app.tar", refuse, archive.Options{})
		if regcred.CodeOf(err) != regcred.Unavailable || tried != 5 {
			t.Errorf("%d tries, error %v", tried, err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestURLSecrets: user, password and query go to their origin, never into an error,
// and along no redirect.
func TestURLSecrets(t *testing.T) {
	const where = "https://jo-canary:pw-canary@registry.example.com/app.tar?sig=query-canary#frag-canary"
	status := func(code int, location string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if user, password, ok := r.BasicAuth(); !ok || user != "jo-canary" || password != "pw-canary" || r.URL.Query().Get("sig") != "query-canary" {
				t.Errorf("asked %s as %q", r.URL, user)
			}
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(code)
		}
	}
	for _, test := range []struct {
		name     string
		code     int
		location string
		want     regcred.Code
		text     string
	}{
		{"unauthorized", 401, "", regcred.Unauthenticated, "asks for a login"},
		{"forbidden", 403, "", regcred.Denied, "does not give it out"},
		{"gone", 404, "", regcred.NotFound, "no such file"},
		{"teapot", 418, "", regcred.Unavailable, "status 418"},
		{"failing", 503, "", regcred.Unavailable, "status 503, 5 times in a row"},
		{"to http", 302, "http://registry.example.com/app.tar?sig=query-canary", regcred.Denied, "from https to http"},
		{"to another host", 307, "https://cdn.example.com/x?sig=query-canary", regcred.NotFound, "no such file"},
		{"to another port", 301, "https://registry.example.com:8443/x", regcred.NotFound, "no such file"},
		{"to nowhere", 302, "https://nowhere.example.com/?sig=query-canary", regcred.Unavailable, "cannot be reached"},
		{"to another scheme", 302, "ftp://registry.example.com/x", regcred.Denied, "from https to ftp"},
		{"in a circle", 302, where, regcred.Unavailable, "more than 10 times"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				elsewhere := func(w http.ResponseWriter, r *http.Request) {
					for _, h := range []string{"Authorization", "Referer", "Cookie"} {
						if r.Header.Get(h) != "" {
							t.Errorf("%s hears the %s", r.URL.Host, h)
						}
					}
					w.WriteHeader(http.StatusNotFound)
				}
				s := &server{hosts: map[string]http.HandlerFunc{
					"registry.example.com": status(test.code, test.location), "cdn.example.com": elsewhere, "registry.example.com:8443": elsewhere,
				}}
				_, err := openURL(t, where, s, archive.Options{})
				if regcred.CodeOf(err) != test.want || !strings.Contains(fmt.Sprint(err), test.text) {
					t.Errorf("error %v", err)
				}
				if strings.Contains(fmt.Sprintf("%v %+v %q", err, err, errors.Unwrap(err)), "canary") {
					t.Errorf("error %v tells a secret", err)
				}
			})
		})
	}
	s := &server{hosts: map[string]http.HandlerFunc{"registry.example.com": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }}}
	_, err := openURL(t, where, s, archive.Options{})
	if regcred.CodeOf(err) != regcred.Invalid || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "archive https://registry.example.com/app.tar: it is no archive") {
		t.Errorf("no archive: %v", err)
	}
	_, err = openURL(t, "https://pw-canary:%@x/", s, archive.Options{})
	if regcred.CodeOf(err) != regcred.Invalid || strings.Contains(err.Error(), "canary") {
		t.Errorf("malformed: %v", err)
	}
}

// TestURLRedirect logs in again where the origin sends us on to itself.
func TestURLRedirect(t *testing.T) {
	s := &server{hosts: map[string]http.HandlerFunc{"registry.example.com": func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "pw" {
			t.Errorf("%s is asked without the login", r.URL.Path)
		}
		if r.URL.Path == "/latest" {
			http.Redirect(w, r, "/1.tar", http.StatusFound)
			return
		}
		_, _ = w.Write(save())
	}}}
	if _, err := openURL(t, "https://jo:pw@registry.example.com/latest", s, archive.Options{}); err != nil {
		t.Error(err)
	}
}

// TestURLHTTP asks over http where that is permitted or stays on this machine.
func TestURLHTTP(t *testing.T) {
	serve := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(save()) }
	onward := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.com/", http.StatusFound)
	}
	s := &server{hosts: map[string]http.HandlerFunc{"example.com": serve, "localhost:80": serve, "127.0.0.1": serve, "[::1]:8080": serve, "localhost": onward, "127.0.0.2": onward}}
	for _, test := range []struct {
		url     string
		allowed bool
		want    regcred.Code
	}{
		{"http://example.com/x", false, regcred.Invalid},
		{"HTTP://EXAMPLE.com/x", false, regcred.Invalid},
		{"http://localhost.example.com/x", false, regcred.Invalid},
		{"http://localhost/x", false, regcred.Denied}, // is sent on
		{"http://127.0.0.2/x", true, regcred.Internal},
		{"http://example.com/x", true, regcred.Internal},
		{"http://localhost:80/x", false, regcred.Internal},
		{"http://127.0.0.1/x", false, regcred.Internal},
		{"http://[::1]:8080/x", false, regcred.Internal},
	} {
		_, err := openURL(t, test.url, s, archive.Options{AllowHTTP: test.allowed})
		if regcred.CodeOf(err) != test.want || (err == nil) != (test.want == regcred.Internal) {
			t.Errorf("%s, permitted %v: %v", test.url, test.allowed, err)
		}
	}
}

// TestURLSize stops at the limit: before the download where the server says its size.
func TestURLSize(t *testing.T) {
	data := at.Tar(at.File{Name: "x", Body: make([]byte, 4<<20)})
	for _, length := range []int64{int64(len(data)), -1} {
		read := 0
		s := roundTripper(func(req *http.Request) (*http.Response, error) {
			body := io.NopCloser(readerFunc(func(p []byte) (int, error) {
				n := copy(p, data[min(read, len(data)):])
				read += n
				if n == 0 {
					return 0, io.EOF
				}
				return n, nil
			}))
			return &http.Response{StatusCode: http.StatusOK, ContentLength: length, Body: body, Header: http.Header{}, Request: req}, nil
		})
		_, err := openURL(t, "https://example.com/x", s, archive.Options{MaxUnpacked: 1 << 20})
		if regcred.CodeOf(err) != regcred.TooLarge || read > 2<<20 || length > 0 && read > 0 {
			t.Errorf("length %d: %d bytes were read, error %v", length, read, err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

package web_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/internal/web"
)

const canary = "canary-4711"

// request is a GET with all that must not leak.
func request(t *testing.T, to string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", canary)
	return req
}

func pool(servers ...*httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	for _, s := range servers {
		p.AddCert(s.Certificate())
	}
	return p
}

// checkError checks an error's code and text, and that no secret is in it.
func checkError(t *testing.T, err error, code regcred.Code, part string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", part)
	}
	if got := regcred.CodeOf(err); got != code {
		t.Errorf("code %s, want %s", got, code)
	}
	if !strings.Contains(err.Error(), part) {
		t.Errorf("error %q, want one with %q", err, part)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret in the error %q", err)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()

	_, err := web.New(web.Options{}).Do(request(t, server.URL))
	checkError(t, err, regcred.Unavailable, "certificate is issued by \"O=Acme Co\"")
	_, err = web.New(web.Options{RootCAs: pool(server)}).Do(request(t, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)))
	checkError(t, err, regcred.Unavailable, `its certificate is for "example.com, *.example.com, 127.0.0.1, ::1", not for "localhost"`)
	_, err = web.New(web.Options{}).Do(request(t, strings.Replace(server.URL, "https", "http", 1)+"/ok"))
	if err != nil {
		t.Errorf("http at a TLS port is answered with 400: %v", err)
	}

	got, err := web.New(web.Options{RootCAs: pool(server)}).Do(request(t, server.URL))
	if err != nil || got.Status != 200 || string(got.Body) != "hello" {
		t.Errorf("got %+v, %v", got, err)
	}
	if want := netip.MustParseAddr("127.0.0.1"); got.Remote != want {
		t.Errorf("answered by %s, want %s", got.Remote, want)
	}
}

// TestReasons has what goes wrong below HTTP, and what is said of it.
func TestReasons(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	closed := listen(t, func(net.Conn) {})
	closed.Close()
	tests := []struct {
		name, url, want string
	}{
		{"http at an https URL", strings.Replace(plain.URL, "http", "https", 1), "does not speak TLS there"},
		{"nothing there", "http://" + closed.Addr().String(), "connection refused"},
		{"hangs up", "http://" + listen(t, hangUp("")).Addr().String(), "before its answer is complete"},
		{"half an answer", "http://" + listen(t, hangUp("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")).Addr().String(), "before its answer is complete"},
		{"echoes what it is sent", "http://" + listen(t, echo).Addr().String(), "is no HTTP server"},
		{"looks like a word of TLS", "http://" + listen(t, hangUp("tls: "+canary+"\r\n\r\n")).Addr().String(), "is no HTTP server"},
		{"endless header", "http://" + listen(t, endlessHeader).Addr().String(), "is no HTTP server"},
		{"no such name", "https://registry.invalid", "cannot be reached"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := web.New(web.Options{}).Do(request(t, test.url+"/"+canary+"?token="+canary))
			checkError(t, err, regcred.Unavailable, test.want)
		})
	}
}

// TestUserinfo shows that a user name in a URL is not in the error.
func TestUserinfo(t *testing.T) {
	_, err := web.New(web.Options{}).Do(request(t, "https://"+canary+":"+canary+"@169.254.169.254/"+canary+"?"+canary+"#"+canary))
	checkError(t, err, regcred.Unavailable, "internal network")
	_, err = web.New(web.Options{}).PostForm(t.Context(), "https://"+canary+"\x7f", url.Values{"password": {canary}})
	checkError(t, err, regcred.Invalid, "makes no sense")
}

func TestBodyBound(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n := 0; r.URL.Path == "/endless" || n < 1000; n++ {
			if _, err := w.Write([]byte{'x'}); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	got, err := web.New(web.Options{MaxBody: 1000}).Do(request(t, server.URL))
	if err != nil || len(got.Body) != 1000 {
		t.Errorf("a body of just the bound: %d bytes, %v", len(got.Body), err)
	}
	_, err = web.New(web.Options{MaxBody: 999}).Do(request(t, server.URL))
	checkError(t, err, regcred.Unavailable, "more than 999 bytes")
	_, err = web.New(web.Options{}).Do(request(t, server.URL+"/endless"))
	checkError(t, err, regcred.Unavailable, "more than 1048576 bytes")
}

// TestSlow shows that neither a server that is slow to answer, nor one that never
// ends its answer, outlasts the context.
func TestSlow(t *testing.T) {
	arrived := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	for _, path := range []string{"/header", "/body"} {
		t.Run(path, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-arrived
				cancel()
			}()
			_, err := web.New(web.Options{}).Do(request(t, server.URL+path).WithContext(ctx))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want the context's", err)
			}
		})
	}
}

func TestPostForm(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = []string{r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Accept"), string(body)}
	}))
	defer server.Close()
	form := url.Values{"grant_type": {"access_token"}, "service": {"acme & co"}}
	if _, err := web.New(web.Options{}).PostForm(t.Context(), server.URL+"/oauth2/exchange", form); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST", "/oauth2/exchange", "application/x-www-form-urlencoded", "application/json", "grant_type=access_token&service=acme+%26+co"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestErr(t *testing.T) {
	tests := []struct {
		status int
		code   regcred.Code
		want   string
	}{
		{301, regcred.Unavailable, "redirects (status 301), which is not followed"},
		{304, regcred.Unavailable, "status 304"},
		{400, regcred.Denied, "refuses (status 400): AADSTS7000215"},
		{401, regcred.Denied, "refuses (status 401)"},
		{403, regcred.Denied, "refuses (status 403)"},
		{404, regcred.Denied, "refuses (status 404)"},
		{418, regcred.Unavailable, "status 418"},
		{429, regcred.Throttled, "status 429"},
		{500, regcred.Unavailable, "status 500"},
		{503, regcred.Unavailable, "status 503"},
	}
	status := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, canary)
	}))
	defer server.Close()
	for _, test := range tests {
		status = test.status
		answer, err := web.New(web.Options{}).Do(request(t, server.URL))
		if err != nil {
			t.Fatal(err)
		}
		err = answer.Err("AADSTS7000215")
		checkError(t, err, test.code, test.want)
		if e, ok := errors.AsType[*regcred.Error](err); !ok || (e.RetryAfter == 17*time.Second) != (test.status == 429) {
			t.Errorf("status %d: %#v", test.status, err)
		}
	}
	for status = range 100 {
		status += 200
		answer, err := web.New(web.Options{}).Do(request(t, server.URL))
		if err != nil || answer.Err("") != nil {
			t.Errorf("status %d: %v, %v", status, err, answer.Err(""))
		}
	}
}

// listen serves connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l
}

// hangUp reads a request's header, says something, and is gone.
func hangUp(says string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, says)
		}
	}
}

// echo sends back the request, in an order that puts its Authorization first.
func echo(c net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, password, _ := req.BasicAuth()
		fmt.Fprintf(c, "%s %s %s\r\n\r\n", password, req.RequestURI, req.Header)
	}
}

// endlessHeader answers with a header of 10 MiB.
func endlessHeader(c net.Conn) {
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
	for n := 0; err == nil && n < 10<<10; n++ {
		_, err = fmt.Fprintf(c, "X-%d: %s\r\n", n, strings.Repeat("x", 1000))
	}
}

package bucket_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

func open(t *testing.T, o bucket.Options) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, b *bucket.Bucket, key, text string, c registry.Condition) {
	t.Helper()
	if err := b.Put(t.Context(), key, []byte(text), c); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b *bucket.Bucket, key string) string {
	t.Helper()
	data, _, err := b.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantError checks an error's code, and that its text has some words.
func wantError(t *testing.T, err error, code regcred.Code, words ...string) {
	t.Helper()
	if err == nil || regcred.CodeOf(err) != code {
		t.Errorf("error %v, want one with code %s", err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func method(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == name }
}

func TestIgnoredConditions(t *testing.T) {
	o := fakeOptions(t, &fakeS3{ignore: method(http.MethodPut)})
	_, err := bucket.Open(t.Context(), o)
	wantError(t, err, regcred.Unavailable, "If-None-Match", "images")

	f := &fakeS3{ignore: method(http.MethodDelete)}
	o = fakeOptions(t, f)
	open(t, o) // finds it out
	f.sent(method(""))
	b := open(t, o) // reads it
	if n := len(f.sent(method(http.MethodPut))); n != 0 {
		t.Errorf("a bucket that was looked at before was written to %d times", n)
	}
	put(t, b, "k", "one", registry.Condition{})
	wantError(t, b.Delete(t.Context(), "k", registry.IfVersion(`"other"`)), regcred.Stale)
	_, version, err := b.Read(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "k", registry.IfVersion(version)); err != nil {
		t.Error(err)
	}
	_, err = b.Stat(t.Context(), "k")
	wantError(t, err, regcred.NotFound)
}

func TestNewerFormat(t *testing.T) {
	f := &fakeS3{}
	o := fakeOptions(t, f)
	f.objects["/images/.regcred"] = fakeObject{data: []byte(`{"format":"regcred blobs 2"}`)}
	_, err := bucket.Open(t.Context(), o)
	wantError(t, err, regcred.Invalid, "regcred blobs 1")

	f.objects["/images/.regcred"] = fakeObject{data: []byte(`{"format":"regcred static 1"}`)}
	_, err = bucket.Open(t.Context(), o)
	wantError(t, err, regcred.Invalid, "is a static registry: choose another prefix")
}

// TestLostAnswers loses the answer of a write that was carried out: what is sent again
// is refused for what the first one did.
func TestLostAnswers(t *testing.T) {
	f := &fakeS3{}
	b := open(t, fakeOptions(t, f))
	lose := func(name string) {
		f.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != name {
				return false
			}
			f.answer = nil
			body, _ := io.ReadAll(r.Body)
			f.object(discard{}, r, body)
			fakeError(w, http.StatusInternalServerError, "InternalError")
			return true
		}
	}
	lose(http.MethodPut)
	put(t, b, "k", "one", registry.IfAbsent)
	if err := b.Put(t.Context(), "k", []byte("one"), registry.IfAbsent); regcred.CodeOf(err) != regcred.Exists {
		t.Errorf("the same content of another write: %v", err)
	}
	_, version, err := b.Read(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	lose(http.MethodPut)
	put(t, b, "k", "two", registry.IfVersion(version))
	wantError(t, b.Put(t.Context(), "k", []byte("three"), registry.IfVersion(version)), regcred.Stale)
	if got := read(t, b, "k"); got != "two" {
		t.Errorf("it is %q", got)
	}

	// Not ours: the first one failed, and another one was there before the second.
	f.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		f.answer = nil
		f.objects["/images/n"] = fakeObject{[]byte("another's"), http.Header{}}
		fakeError(w, http.StatusServiceUnavailable, "SlowDown")
		return true
	}
	wantError(t, b.Put(t.Context(), "n", []byte("ours"), registry.IfAbsent), regcred.Exists)

	_, version, err = b.Read(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	lose(http.MethodDelete)
	if err := b.Delete(t.Context(), "k", registry.IfVersion(version)); err != nil {
		t.Errorf("Delete whose answer was lost: %v", err)
	}
}

// discard is an answer that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestDamagedContent(t *testing.T) {
	f := &fakeS3{}
	b := open(t, fakeOptions(t, f))
	put(t, b, "k", "content", registry.Condition{})
	object := f.objects["/images/k"]
	f.objects["/images/k"] = fakeObject{[]byte("Content"), object.meta}
	_, _, err := b.Read(t.Context(), "k")
	wantError(t, err, regcred.Corrupt, "k")

	f.objects["/images/foreign"] = fakeObject{[]byte("of somebody else"), http.Header{}}
	if got := read(t, b, "foreign"); got != "of somebody else" {
		t.Errorf("%q", got)
	}
}

// TestErrors has S3 refuse what is asked, each in its way.
func TestErrors(t *testing.T) {
	tests := []struct {
		status int
		code   string
		header string // X-Amz-Bucket-Region
		words  []string
	}{
		{http.StatusNotFound, "NoSuchBucket", "", []string{"images", "https://s3.example.com", "regcred registry setup"}},
		{http.StatusForbidden, "AccessDenied", "", []string{"images", "s3:PutObject"}},
		{http.StatusForbidden, "SignatureDoesNotMatch", "", []string{"secret access key", "clock"}},
		{http.StatusForbidden, "RequestTimeTooSkewed", "", []string{"clock"}},
		{http.StatusForbidden, "InvalidAccessKeyId", "", []string{"access key"}},
		{http.StatusBadRequest, "ExpiredToken", "", []string{"expired"}},
		{http.StatusMovedPermanently, "PermanentRedirect", "us-west-2", []string{"us-west-2"}},
		{http.StatusServiceUnavailable, "SlowDown", "", []string{"less often"}},
		{http.StatusInternalServerError, "InternalError", "", []string{"PutObject", "a message"}},
		{http.StatusConflict, "ObjectParentIsFile", "", nil},
	}
	for _, test := range tests {
		f := &fakeS3{}
		b := open(t, fakeOptions(t, f))
		f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			if test.header != "" {
				w.Header().Set("X-Amz-Bucket-Region", test.header)
			}
			fakeError(w, test.status, test.code)
			return true
		}
		code := regcred.Unavailable
		if test.words == nil {
			code = regcred.Invalid
		}
		err := b.Put(t.Context(), "k", nil, registry.Condition{})
		wantError(t, err, code, test.words...)
		if err != nil && strings.Contains(err.Error(), "secret-of-the-key") {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestUnreachable(t *testing.T) {
	o := fakeOptions(t, &fakeS3{})
	o.Transport = failingTransport{errors.New("no route")}
	_, err := bucket.Open(t.Context(), o)
	wantError(t, err, regcred.Unavailable, "https://s3.example.com", "no route")
}

// TestRequests shows what encryption and storage class add to a write.
func TestRequests(t *testing.T) {
	f := &fakeS3{}
	o := fakeOptions(t, f)
	o.SSE, o.KMSKeyID, o.StorageClass, o.Prefix = "aws:kms", "key-1", "STANDARD_IA", "pre/fix"
	b := open(t, o)
	f.sent(method(""))
	put(t, b, "k", "text", registry.IfAbsent)
	sent := f.sent(method(http.MethodPut))
	if len(sent) != 1 || sent[0].URL.Path != "/images/pre/fix/k" {
		t.Fatalf("%d requests", len(sent))
	}
	want := map[string]string{
		"If-None-Match":                               "*",
		"X-Amz-Server-Side-Encryption":                "aws:kms",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1",
		"X-Amz-Storage-Class":                         "STANDARD_IA",
		// The SHA-256 of "text": what is signed is what the server checks.
		"X-Amz-Content-Sha256": "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1",
	}
	for name, value := range want {
		if got := sent[0].Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if !strings.HasPrefix(sent[0].Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		t.Error("it is not signed")
	}
}

// TestVirtualHost has the bucket's name in the host.
func TestVirtualHost(t *testing.T) {
	f := &fakeS3{}
	o := fakeOptions(t, f)
	o.PathStyle, o.PublicEndpoint = false, "https://cdn.example.net"
	var hosts []string
	o.Transport = transportFunc(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.Host)
		return nil, errors.New("no more")
	})
	_, err := bucket.Open(t.Context(), o)
	wantError(t, err, regcred.Unavailable)
	if len(hosts) == 0 || slices.ContainsFunc(hosts, func(h string) bool { return h != "images.s3.example.com" }) {
		t.Errorf("hosts %q", hosts)
	}
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

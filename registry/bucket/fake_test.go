package bucket_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/registry/bucket"
)

// fakeS3 is as much of S3 as small objects need, in memory. It checks no signatures:
// what is shown with it is what Bucket sends, and does with answers.
type fakeS3 struct {
	// ignore says which requests it drops the conditions of.
	ignore func(*http.Request) bool
	// answer, where it is not nil, may answer a request in the server's place.
	answer func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	objects  map[string]fakeObject
	requests []*http.Request
}

type fakeObject struct {
	data []byte
	meta http.Header
}

func (o fakeObject) etag() string {
	sum := md5.Sum(o.data)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// fakeOptions are those of a bucket at a fake server.
func fakeOptions(t *testing.T, f *fakeS3) bucket.Options {
	t.Helper()
	f.objects = map[string]fakeObject{}
	return bucket.Options{
		Bucket: "images", Region: "eu-central-1", Endpoint: "https://s3.example.com", PathStyle: true,
		AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: regcred.NewSecret("secret-of-the-key"),
		Backoff: time.Nanosecond, Spool: openSpool(t),
		Transport: regcredtest.HandlerTransport{"s3.example.com": f},
	}
}

// sent returns the requests so far that match, and forgets all.
func (f *fakeS3) sent(match func(*http.Request) bool) []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*http.Request
	for _, r := range f.requests {
		if match(r) {
			found = append(found, r)
		}
	}
	f.requests = nil
	return found
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	if f.answer != nil && f.answer(w, r) {
		return
	}
	if r.URL.Query().Has("list-type") {
		f.list(w, r)
		return
	}
	f.object(w, r, body)
}

func (f *fakeS3) object(w http.ResponseWriter, r *http.Request, body []byte) {
	object, there := f.objects[r.URL.Path]
	conditional := f.ignore == nil || !f.ignore(r)
	match := r.Header.Get("If-Match")
	switch {
	case conditional && (r.Header.Get("If-None-Match") == "*" && there || match != "" && there && match != object.etag()):
		fakeError(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPut:
		object = fakeObject{body, http.Header{}}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Amz-Meta-") {
				object.meta[name] = values
			}
		}
		f.objects[r.URL.Path] = object
		w.Header().Set("Etag", object.etag())
	case r.Method == http.MethodDelete:
		delete(f.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		fakeError(w, http.StatusNotFound, "NoSuchKey")
	default:
		maps.Copy(w.Header(), object.meta)
		w.Header().Set("Etag", object.etag())
		http.ServeContent(w, r, "", time.Unix(1_000_000_000, 0), bytes.NewReader(object.data))
	}
}

func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	type object struct {
		Key          string
		Size         int
		LastModified string
	}
	var result struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []object
	}
	for _, path := range slices.Sorted(maps.Keys(f.objects)) {
		_, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if strings.HasPrefix(key, r.URL.Query().Get("prefix")) && key > r.URL.Query().Get("start-after") {
			result.Contents = append(result.Contents, object{key, len(f.objects[path].data), "2026-01-02T03:04:05Z"})
		}
	}
	_ = xml.NewEncoder(w).Encode(result)
}

func fakeError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	text := fmt.Sprintf("<Error><Code>%s</Code><Message>a message</Message></Error>", code)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

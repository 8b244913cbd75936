package bucket_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

func newSite(t *testing.T, o bucket.Options) *bucket.Site {
	t.Helper()
	s, err := bucket.NewSite(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSiteHeaders stores objects with the headers of their answers, under any key.
func TestSiteHeaders(t *testing.T) {
	f := &fakeS3{}
	o := fakeOptions(t, f)
	o.Prefix = "p"
	s := newSite(t, o)
	if n := len(f.sent(method(""))); n != 0 {
		t.Errorf("a new site makes %d requests", n)
	}
	if err := s.Put(t.Context(), "v2/a/manifests/sha256:0", "application/json", "no-cache", []byte("{}"), registry.IfAbsent); err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("layer")
	for _, known := range []digest.Digest{d, ""} {
		if err := s.Store(t.Context(), "v2/a/blobs/"+d.String(), "application/octet-stream", "", known, 5, strings.NewReader("layer")); err != nil {
			t.Fatal(err)
		}
	}
	sent := f.sent(method(http.MethodPut))
	want := []struct{ path, contentType, cacheControl string }{
		{"/images/p/v2/a/manifests/sha256:0", "application/json", "no-cache"},
		{"/images/p/v2/a/blobs/" + d.String(), "application/octet-stream", ""},
		{"/images/p/v2/a/blobs/" + d.String(), "application/octet-stream", ""},
	}
	if len(sent) != len(want) {
		t.Fatalf("%d requests", len(sent))
	}
	for i, w := range want {
		if r := sent[i]; r.URL.Path != w.path || r.Header.Get("Content-Type") != w.contentType || r.Header.Get("Cache-Control") != w.cacheControl {
			t.Errorf("%s: headers %v, want %v", r.URL.Path, r.Header, w)
		}
	}
	wantError(t, s.Store(t.Context(), "k", "", "", "sha256:x", 5, strings.NewReader("layer")), regcred.Invalid, "no digest")
	wantError(t, s.Put(t.Context(), "k", "", "", make([]byte, registry.MaxSmall+1), registry.Condition{}), regcred.TooLarge)
}

// respond answers one kind of request in a fake server's place.
func respond(match func(*http.Request) bool, status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !match(r) {
			return false
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

const copied = `<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>`

// TestSiteCopy copies within the server, as the options say that objects are kept.
func TestSiteCopy(t *testing.T) {
	f := &fakeS3{answer: respond(method(http.MethodPut), http.StatusOK, copied)}
	o := fakeOptions(t, f)
	o.Prefix, o.SSE, o.StorageClass = "p", "AES256", "STANDARD_IA"
	if err := newSite(t, o).Copy(t.Context(), "v2/a b/sha256:0", "v2/c"); err != nil {
		t.Fatal(err)
	}
	r := f.sent(method(http.MethodPut))[0]
	for name, want := range map[string]string{
		"X-Amz-Copy-Source": "images/p/v2/a%20b/sha256:0", "X-Amz-Server-Side-Encryption": "AES256", "X-Amz-Storage-Class": "STANDARD_IA",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.URL.Path != "/images/p/v2/c" {
		t.Errorf("path %s", r.URL.Path)
	}
}

// TestSitePolicyRefused says what to do where anybody may not be let in.
func TestSitePolicyRefused(t *testing.T) {
	policy := func(r *http.Request) bool { return r.URL.Query().Has("policy") }
	for _, test := range []struct {
		get, getBody string
		code         regcred.Code
		words        string
	}{
		{"404", "<Error><Code>NoSuchBucketPolicy</Code></Error>", regcred.Unavailable, "BlockPublicPolicy"},
		{"200", `{"Statement":1}`, regcred.Invalid, "cannot be added to"},
		{"403", "<Error><Code>AccessDenied</Code></Error>", regcred.Unavailable, "allow s3:GetBucketPolicy"},
	} {
		f := &fakeS3{}
		o := fakeOptions(t, f)
		status := map[string]int{"404": http.StatusNotFound, "200": http.StatusOK, "403": http.StatusForbidden}[test.get]
		f.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				return respond(policy, http.StatusForbidden, "<Error><Code>AccessDenied</Code></Error>")(w, r)
			}
			return respond(policy, status, test.getBody)(w, r)
		}
		changed, err := newSite(t, o).LetAnybodyRead(t.Context(), "v2")
		wantError(t, err, test.code, test.words)
		if changed {
			t.Errorf("%s: the policy was changed", test.get)
		}
	}
}

// TestNoLogin says how to give one where AWS's chain finds none.
func TestNoLogin(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	o := fakeOptions(t, &fakeS3{})
	o.AccessKeyID, o.SecretAccessKey = "", regcred.Secret{}
	wantError(t, newSite(t, o).Claim(t.Context()), regcred.Unavailable, "bucket images", "there is no login", "AWS_ACCESS_KEY_ID")
}

// TestBucketInHostName says how to ask a server that has buckets in the path of URLs.
func TestBucketInHostName(t *testing.T) {
	o := fakeOptions(t, &fakeS3{})
	o.PathStyle = false
	o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
	})
	wantError(t, newSite(t, o).Claim(t.Context()), regcred.Unavailable, "no such host", "path_style", "--s3-path-style")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

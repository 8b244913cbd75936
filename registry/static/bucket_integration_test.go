//go:build integration

package static_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/regcredtest/webfront"
	"regcred.dev/registry/bucket"
	"regcred.dev/registry/static"
)

// siteOptions are those of a new bucket of a server, by way of an endpoint.
func siteOptions(t *testing.T, s *s3test.Server, endpoint string) bucket.Options {
	t.Helper()
	return bucket.Options{
		Bucket: s.Bucket(t), Prefix: "registry", Region: s.Region, Endpoint: endpoint, PathStyle: true,
		AccessKeyID: s.AccessKey, SecretAccessKey: regcred.NewSecret(s.SecretKey), Backoff: time.Millisecond,
	}
}

func openSite(t *testing.T, o bucket.Options) *bucket.Site {
	t.Helper()
	site, err := bucket.NewSite(t.Context(), o)
	if err == nil {
		err = site.Claim(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// front serves the registry of a bucket to anybody.
func front(t *testing.T, s *s3test.Server, o bucket.Options) http.Handler {
	t.Helper()
	prefix, err := url.Parse(s.Endpoint + "/" + o.Bucket + "/" + o.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	return webfront.Bucket(prefix)
}

func TestSite(t *testing.T) {
	s := s3test.Start(t)
	testObjects(t, func(t *testing.T) static.Objects { return openSite(t, siteOptions(t, s, s.Endpoint)) })
}

// TestBucketPull publishes to a bucket and pulls from it by its policy alone.
func TestBucketPull(t *testing.T) {
	s := s3test.Start(t)
	o := siteOptions(t, s, s.Endpoint)
	site := openSite(t, o)
	r, host, l := newRegistry(t, site), serve(t, front(t, s, o)), signed()
	first := mustPublish(t, r, openArchive(t, l.files), "acme/app", "1")
	mustPublish(t, r, openArchive(t, large()), "acme/app", "packed")

	if code := status(t, host, "/v2/acme/app/manifests/1"); code != http.StatusNotFound {
		t.Errorf("without a policy: status %d", code)
	}
	for _, want := range []bool{true, false} {
		if changed, err := site.LetAnybodyRead(t.Context(), static.Root); changed != want || err != nil {
			t.Fatalf("the policy was changed: %t, %v", changed, err)
		}
	}
	for _, image := range []string{"acme/app:1", "acme/app:packed", "acme/app@" + l.child.Digest.String()} {
		pull(t, host, image)
	}
	if got := tags(t, host, "acme/app"); len(got) < 3 {
		t.Errorf("tags %v", got)
	}
	for path, want := range map[string]int{"/v2/": 200, "/v2/acme/app/manifests/2": 404, "/index/sha256/" + l.child.Digest.Encoded(): 404, "/.regcred": 404} {
		if code := status(t, host, path); code != want {
			t.Errorf("%s: status %d, want %d", path, code, want)
		}
	}
	if got := mustPublish(t, r, openArchive(t, l.files), "acme/other", "1"); got.Sent != 0 || got.Present != first.Sent {
		t.Errorf("to another repository: %+v", got)
	}
	pull(t, host, "acme/other:1")
}

func status(t *testing.T, host, path string) int {
	t.Helper()
	resp, err := http.Get("http://" + host + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestHeaders looks at what a web server or CDN gets to know.
func TestHeaders(t *testing.T) {
	s := s3test.Start(t)
	o := siteOptions(t, s, s.Endpoint)
	r, l := newRegistry(t, openSite(t, o)), signed()
	mustPublish(t, r, openArchive(t, l.files), "acme/app", "1")
	mustPublish(t, r, openArchive(t, large()), "acme/app", "packed")
	client := s.Client(s.Endpoint)
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &o.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range list.Contents {
		head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &o.Bucket, Key: object.Key})
		if err != nil {
			t.Fatal(err)
		}
		cache := "max-age=60"
		if strings.Contains(*object.Key, "sha256:") {
			cache = "immutable"
		}
		if !strings.HasPrefix(*object.Key, "registry/v2/") || strings.HasSuffix(*object.Key, "/") {
			continue // for publishers alone; versitygw keeps no headers of directories
		}
		if head.CacheControl == nil || !strings.Contains(*head.CacheControl, cache) {
			t.Errorf("%s: Cache-Control %v, want %s", *object.Key, head.CacheControl, cache)
		}
		want := map[bool]string{true: "application/octet-stream", false: "json"}[strings.Contains(*object.Key, "/blobs/")]
		if head.ContentType == nil || !strings.Contains(*head.ContentType, want) {
			t.Errorf("%s: Content-Type %v, want %s", *object.Key, head.ContentType, want)
		}
	}
	if len(list.Contents) < 15 {
		t.Errorf("there are only %d objects", len(list.Contents))
	}
}

// TestBucketAgain sends nothing that is there already.
func TestBucketAgain(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := siteOptions(t, s, p.Endpoint)
	save, layout := openArchive(t, large()), openArchive(t, signed().files)
	for range 2 {
		p.Reset()
		r := newRegistry(t, openSite(t, o))
		mustPublish(t, r, layout, "acme/app", "1")
		mustPublish(t, r, save, "acme/app", "2")
	}
	if n := p.Counts(); n[http.MethodPut] != 0 || n[http.MethodPost] != 0 || n[http.MethodHead] == 0 {
		t.Errorf("publishing again makes requests %v", n)
	}
}

// TestBrokenS3 publishes while every fifth request fails, one way or another: what can be
// pulled is right at any time, and it is there in the end.
func TestBrokenS3(t *testing.T) {
	s := s3test.Start(t)
	l := signed()
	save, layout := openArchive(t, large()), openArchive(t, l.files)
	for seed := range uint64(10) {
		p := s.Proxy(t, s3test.Faults{})
		o := siteOptions(t, s, p.Endpoint)
		site := openSite(t, o)
		if _, err := site.LetAnybodyRead(t.Context(), static.Root); err != nil {
			t.Fatal(err)
		}
		host := serve(t, front(t, s, o))
		p.Set(s3test.Faults{Rate: 0.2, Seed: seed, Only: func(r *http.Request) bool { return r.URL.Path != "/"+o.Bucket }})
		published := 0
		for try := 0; published < 2 && try < 20; try++ {
			published = 0
			r, err := static.New(t.Context(), site, static.Options{SpoolDir: t.TempDir()})
			if err == nil {
				_, err = publishTo(t.Context(), r, layout, "acme/app", "1")
			}
			if err == nil {
				published++
				_, err = publishTo(t.Context(), r, save, "acme/app", "2")
			}
			if err == nil {
				published++
			} else if regcred.CodeOf(err) != regcred.Unavailable {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, tag := range []string{"1", "2"} {
				if status(t, host, "/v2/acme/app/manifests/"+tag) == http.StatusOK {
					pull(t, host, "acme/app:"+tag)
				}
			}
		}
		if published < 2 || pull(t, host, "acme/app:1") != l.index.Digest {
			t.Errorf("seed %d: it is not published", seed)
		}
		if len(p.Failed()) == 0 {
			t.Errorf("seed %d: nothing failed", seed)
		}
	}
}

// TestOthersStorage keeps a registry's storage and a static registry apart.
func TestOthersStorage(t *testing.T) {
	s := s3test.Start(t)
	o := siteOptions(t, s, s.Endpoint)
	if _, err := bucket.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	site, err := bucket.NewSite(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, site.Claim(t.Context()), regcred.Invalid)
	o = siteOptions(t, s, s.Endpoint)
	openSite(t, o)
	_, err = bucket.Open(t.Context(), o)
	wantCode(t, err, regcred.Invalid)
}

// TestCreateBucket makes a bucket that is missing.
func TestCreateBucket(t *testing.T) {
	s := s3test.Start(t)
	o := siteOptions(t, s, s.Endpoint)
	o.Bucket = "new-" + o.Bucket
	site, err := bucket.NewSite(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if created, err := site.CreateBucket(t.Context()); created != want || err != nil {
			t.Errorf("created %t, %v", created, err)
		}
	}
}

// TestResume publishes again after a layer was broken off: only its other parts are sent.
func TestResume(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := siteOptions(t, s, p.Endpoint)
	o.Concurrency = 1 // the first part is there when the second one fails
	r, save := newRegistry(t, openSite(t, o)), openArchive(t, large())
	part := func(r *http.Request) string { return r.URL.Query().Get("partNumber") }
	p.Set(s3test.Faults{Rate: 1, Kinds: []s3test.Fault{s3test.AccessDenied}, Only: func(r *http.Request) bool { return part(r) == "2" }})
	if _, err := publishTo(t.Context(), r, save, "acme/app", "1"); regcred.CodeOf(err) != regcred.Unavailable {
		t.Fatalf("error %v", err)
	}
	var mu sync.Mutex
	var sent []string
	p.Set(s3test.Faults{Before: func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n := part(r); n != "" {
			sent = append(sent, n)
		}
	}})
	mustPublish(t, r, save, "acme/app", "1")
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(sent, []string{"2"}) {
		t.Errorf("parts %v were sent, want the second alone", sent)
	}
}

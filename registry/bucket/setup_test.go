//go:build integration

package bucket_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry/bucket"
)

// statuses returns what a report says by the names of its checks.
func statuses(r bucket.Report) map[string]bucket.Status {
	all := map[string]bucket.Status{}
	for _, c := range r.Checks {
		all[c.Name] = c.Status
	}
	return all
}

func TestSetup(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Endpoint)
	o.Bucket, o.Prefix = "new-bucket", "images"

	r, err := bucket.Setup(t.Context(), o, false)
	if err != nil || r.OK() || r.Created || len(r.Checks) != 1 || !strings.Contains(r.Checks[0].Problem, "does not exist") {
		t.Errorf("of a bucket that is not there: %+v, %v", r, err)
	}
	for _, created := range []bool{true, false} {
		r, err = bucket.Setup(t.Context(), o, true)
		if err != nil || !r.OK() || r.Created != created {
			t.Errorf("%+v, %v", r, err)
		}
	}
	want := map[string]bucket.Status{}
	for _, name := range []string{
		"bucket", "list", "write", "conditional create", "conditional change", "conditional delete",
		"read", "read a range", "presigned URL for GET", "presigned URL for HEAD", "checksums",
		"upload in parts", "list uploads", "abort an upload", "delete",
	} {
		want[name] = bucket.OK
	}
	if diff := cmp.Diff(want, statuses(r)); diff != "" {
		t.Error("checks (-want +got):", diff)
	}
	list, err := s.Client(s.Endpoint).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &o.Bucket})
	if err != nil || len(list.Contents) != 0 {
		t.Errorf("it left %d objects, %v", len(list.Contents), err)
	}
	uploads, err := s.Client(s.Endpoint).ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &o.Bucket})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("it left %d uploads, %v", len(uploads.Uploads), err)
	}
}

// TestSetupRefused refuses one operation after the other, as a policy would.
func TestSetupRefused(t *testing.T) {
	s := s3test.Start(t)
	tests := []struct {
		name    string
		refused func(*http.Request) bool
		check   string
		action  string
	}{
		{"put", func(r *http.Request) bool { return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber") }, "write", "s3:PutObject"},
		{"get", func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "-setup") && !r.URL.Query().Has("X-Amz-Signature")
		}, "read", "s3:GetObject"},
		{"list", func(r *http.Request) bool { return r.URL.Query().Has("list-type") }, "list", "s3:ListBucket"},
		{"uploads", func(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Query().Has("uploads") }, "list uploads", "s3:ListBucketMultipartUploads"},
		{"abort", func(r *http.Request) bool { return r.Method == http.MethodDelete && r.URL.Query().Has("uploadId") }, "abort an upload", "s3:AbortMultipartUpload"},
		{"delete", func(r *http.Request) bool {
			return r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "-setup")
		}, "delete", "s3:DeleteObject"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := s.Proxy(t, s3test.Faults{Rate: 1, Kinds: []s3test.Fault{s3test.AccessDenied}, Only: test.refused})
			r, err := bucket.Setup(t.Context(), options(t, s, p.Endpoint), false)
			if err != nil || r.OK() {
				t.Fatalf("%+v, %v", r, err)
			}
			for _, c := range r.Checks {
				switch {
				case c.Name == test.check && (c.Status != bucket.Missing || c.Action != test.action || !strings.Contains(c.Problem, test.action)):
					t.Errorf("%+v", c)
				case c.Name != test.check && c.Status == bucket.Missing && c.Action != test.action:
					t.Errorf("missing too: %+v", c)
				}
			}
		})
	}
}

// TestPublicReadPolicy shows what the policy lets anybody do.
func TestPublicReadPolicy(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Endpoint)
	putForeign(t, s, o.Bucket, "public/v2/x", "private/x")
	c := s.Client(s.Endpoint)
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{
		Bucket: &o.Bucket, Policy: aws.String(bucket.PublicReadPolicy(o.Bucket, "public")),
	}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/public/v2/x", http.StatusOK},
		{http.MethodHead, "/public/v2/x", http.StatusOK},
		{http.MethodGet, "/private/x", http.StatusForbidden},
		{http.MethodGet, "?list-type=2", http.StatusForbidden},
		{http.MethodPut, "/public/v2/y", http.StatusForbidden},
		{http.MethodDelete, "/public/v2/x", http.StatusForbidden},
	} {
		if status, _ := request(t, test.method, s.Endpoint+"/"+o.Bucket+test.path, nil); status != test.status {
			t.Errorf("%s %s: status %d, want %d", test.method, test.path, status, test.status)
		}
	}
}

// request sends one without a login and returns the status and content of the answer.
func request(t *testing.T, method, url string, header http.Header) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, data
}

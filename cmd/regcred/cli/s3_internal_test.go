package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev/registry/bucket"
)

func TestS3Flags(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		flags s3Flags
		env   map[string]string
		want  bucket.Options
		err   string
	}{
		{name: "nothing", want: bucket.Options{}},
		{
			name:  "flags",
			flags: s3Flags{endpoint: "https://s3.example.com", region: "r", ca: ca, pathStyle: true},
			env:   map[string]string{"AWS_ENDPOINT_URL": "https://a", "AWS_CA_BUNDLE": "missing", "REGCRED_S3_PATH_STYLE": "false"},
			want:  bucket.Options{Endpoint: "https://s3.example.com", Region: "r", CA: []byte("pem"), PathStyle: true},
		},
		{
			name: "environment",
			env:  map[string]string{"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_S3": "https://b", "AWS_CA_BUNDLE": ca, "REGCRED_S3_PATH_STYLE": "1"},
			want: bucket.Options{Endpoint: "https://b", CA: []byte("pem"), PathStyle: true},
		},
		{name: "any endpoint", env: map[string]string{"AWS_ENDPOINT_URL": "https://a"}, want: bucket.Options{Endpoint: "https://a"}},
		{name: "no CA", flags: s3Flags{ca: ca + "x"}, err: "the certificates to trust for S3"},
		{name: "no style", env: map[string]string{"REGCRED_S3_PATH_STYLE": "maybe"}, err: "write true or false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.flags.options(func(key string) string { return test.env[key] }, "b", "p")
			if err != nil || test.err != "" {
				if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			test.want.Bucket, test.want.Prefix = "b", "p"
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(bucket.Options{}, "SecretAccessKey", "SessionToken")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSplitBucket(t *testing.T) {
	for rest, want := range map[string][2]string{
		"b": {"b", ""}, "b/": {"b", ""}, "b/p": {"b", "p"}, "b/p/q/": {"b", "p/q"}, "acme.bucket//p": {"acme.bucket", "p"},
	} {
		if name, prefix, err := splitBucket(rest); err != nil || name != want[0] || prefix != want[1] {
			t.Errorf("%s: %q, %q, %v", rest, name, prefix, err)
		}
	}
	for _, rest := range []string{"", "/", "/p", "key:hidden@b", "b?region=x", "b#x"} {
		if _, _, err := splitBucket(rest); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", rest, err)
		}
	}
}

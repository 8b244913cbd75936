package bucket_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/registry/bucket"
)

func TestOptions(t *testing.T) {
	tests := []struct {
		name   string
		change func(*bucket.Options)
		words  string
	}{
		{"no bucket", func(o *bucket.Options) { o.Bucket = "" }, "no bucket"},
		{"bucket with a path", func(o *bucket.Options) { o.Bucket = "a/b" }, "no bucket"},
		{"prefix with a slash at its end", func(o *bucket.Options) { o.Prefix = "a/" }, "prefix"},
		{"prefix upwards", func(o *bucket.Options) { o.Prefix = "../a" }, "prefix"},
		{"key without secret", func(o *bucket.Options) { o.SecretAccessKey = regcred.Secret{} }, "neither"},
		{"secret without key", func(o *bucket.Options) { o.AccessKeyID = "" }, "neither"},
		{"endpoint without scheme", func(o *bucket.Options) { o.Endpoint = "s3.example.com" }, "endpoint"},
		{"endpoint with a path", func(o *bucket.Options) { o.Endpoint = "https://s3.example.com/images" }, "endpoint"},
		{"endpoint with a password", func(o *bucket.Options) { o.Endpoint = "https://u:hunter2@s3.example.com" }, "endpoint"},
		{"public endpoint", func(o *bucket.Options) { o.PublicEndpoint = "ftp://s3.example.com" }, "endpoint"},
		{"no region at AWS", func(o *bucket.Options) { o.Region, o.Endpoint = "", "" }, "region"},
		{"unknown encryption", func(o *bucket.Options) { o.SSE = "rot13" }, "rot13"},
		{"KMS key without KMS", func(o *bucket.Options) { o.KMSKeyID = "k" }, "aws:kms"},
		{"small parts", func(o *bucket.Options) { o.PartSize = 1 << 20 }, "parts"},
		{"negative concurrency", func(o *bucket.Options) { o.Concurrency = -1 }, "at once"},
		{"Google without keys", func(o *bucket.Options) {
			o.Endpoint, o.AccessKeyID, o.SecretAccessKey = "https://storage.googleapis.com", "", regcred.Secret{}
		}, "HMAC"},
		{"Google with encryption", func(o *bucket.Options) { o.Endpoint, o.SSE = "https://storage.googleapis.com", "AES256" }, "Google"},
		{"CA that is none", func(o *bucket.Options) { o.CA, o.Transport = []byte("x"), nil }, "CA"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := fakeOptions(t, &fakeS3{})
			test.change(&o)
			_, err := bucket.Open(t.Context(), o)
			wantError(t, err, regcred.Invalid, test.words)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error has the password")
			}
		})
	}
}

func TestOptionsHideSecrets(t *testing.T) {
	o := fakeOptions(t, &fakeS3{})
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("options", "o", o.SecretAccessKey)
	data, err := json.Marshal(o.SecretAccessKey)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%+v %#v %s %s", o, o, &log, data); strings.Contains(all, "secret-of-the-key") {
		t.Error("options print the secret")
	}
}

func TestPolicies(t *testing.T) {
	for prefix, resource := range map[string]string{"": "arn:aws:s3:::images/*", "a/b": "arn:aws:s3:::images/a/b/*"} {
		for _, text := range []string{bucket.PublicReadPolicy("images", prefix), bucket.AccessPolicy("images", prefix)} {
			if !json.Valid([]byte(text)) || !strings.Contains(text, `"`+resource+`"`) {
				t.Errorf("prefix %q: %s", prefix, text)
			}
		}
		public := bucket.PublicReadPolicy("images", prefix)
		if strings.Contains(public, "List") || strings.Contains(public, "Put") || !strings.Contains(public, `"Principal": "*"`) {
			t.Error(public)
		}
	}
}

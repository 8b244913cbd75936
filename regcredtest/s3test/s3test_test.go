//go:build integration

package s3test_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"regcred.dev/regcredtest/s3test"
)

// client returns one that takes each answer as it is: on a connection that was used
// before, Go's transport would try some requests again.
func client(s *s3test.Server, endpoint string) *s3.Client {
	return s3.New(s.Client(endpoint).Options(), func(o *s3.Options) {
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	})
}

func TestServer(t *testing.T) {
	s := s3test.Start(t)
	bucket, key := s.Bucket(t), "a/b"
	c := client(s, s.Endpoint)
	put := func(text string, change func(*s3.PutObjectInput)) error {
		in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(text)}
		change(in)
		_, err := c.PutObject(t.Context(), in)
		return err
	}
	if err := put("one", func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }); err != nil {
		t.Fatal(err)
	}
	if put("two", func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }) == nil {
		t.Error("If-None-Match is ignored")
	}
	if put("two", func(in *s3.PutObjectInput) { in.IfMatch = aws.String(`"other"`) }) == nil {
		t.Error("If-Match is ignored")
	}
	if put("two", func(in *s3.PutObjectInput) { in.ChecksumSHA256 = aws.String("AAAA") }) == nil {
		t.Error("a wrong checksum is accepted")
	}
	wrong := *s
	wrong.SecretKey = "wrong"
	if _, err := client(&wrong, s.Endpoint).ListBuckets(t.Context(), nil); err == nil {
		t.Error("a wrong signature is accepted")
	}
}

func TestProxy(t *testing.T) {
	s := s3test.Start(t)
	bucket, key := s.Bucket(t), "a/b"
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	p := s.Proxy(t, s3test.Faults{})
	c := client(s, p.Endpoint)
	put := func() error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)})
		return err
	}
	get := func() ([]byte, error) {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key},
			func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
		if err != nil {
			return nil, err
		}
		defer out.Body.Close()
		return io.ReadAll(out.Body)
	}
	if err := put(); err != nil {
		t.Fatal("without faults: ", err)
	}
	if got, err := get(); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("without faults: %d bytes, %v", len(got), err)
	}
	tests := []struct {
		fault     s3test.Fault
		err       bool
		different bool
	}{
		{s3test.Drop, true, true},
		{s3test.DropAnswer, true, true},
		{s3test.Fail, true, true},
		{s3test.FailAfter, true, true},
		{s3test.SlowDown, true, true},
		{s3test.Truncate, true, true},
		{s3test.Shorten, false, true},
		{s3test.Wrong, false, true},
	}
	for _, test := range tests {
		p.Reset()
		p.Set(s3test.Faults{Rate: 1, Kinds: []s3test.Fault{test.fault}})
		got, err := get()
		if (err != nil) != test.err || bytes.Equal(got, content) == test.different {
			t.Errorf("%s: %d bytes, %v", test.fault, len(got), err)
		}
		if diff := cmp.Diff(map[string]int{"GET": 1}, p.Counts()); diff != "" {
			t.Errorf("%s: counts (-want +got): %s", test.fault, diff)
		}
		if p.Failed()[test.fault] != 1 {
			t.Errorf("%s: happened %d times", test.fault, p.Failed()[test.fault])
		}
	}

	// What is lost is the answer: the object is there.
	for fault, there := range map[s3test.Fault]bool{s3test.DropAnswer: true, s3test.FailAfter: true, s3test.Drop: false, s3test.Fail: false} {
		key = "lost/" + strings.ReplaceAll(string(fault), " ", "-")
		p.Set(s3test.Faults{Rate: 1, Kinds: []s3test.Fault{fault}})
		err := put()
		p.Set(s3test.Faults{})
		got, getErr := get()
		if err == nil || (getErr == nil) != there || there && !bytes.Equal(got, content) {
			t.Errorf("%s: Put %v, Get %d bytes, %v", fault, err, len(got), getErr)
		}
	}
}

// TestPresigned shows that a URL signed for the proxy is good there.
func TestPresigned(t *testing.T) {
	s := s3test.Start(t)
	bucket, key := s.Bucket(t), "k"
	if _, err := client(s, s.Endpoint).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	p := s.Proxy(t, s3test.Faults{})
	signed, err := s3.NewPresignClient(client(s, p.Endpoint)).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]int{signed.URL: http.StatusOK, signed.URL + "0": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(errors.Unwrap(err)) // without the URL
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}

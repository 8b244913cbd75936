//go:build integration

package bucket_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

func TestLocate(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := options(t, s, s.Endpoint)
	o.PublicEndpoint = p.Endpoint
	b := open(t, o)
	put(t, b, "a/k", "0123456789", registry.Condition{})
	put(t, b, "a/other", "x", registry.Condition{})
	locate := func(method string, lifetime time.Duration) *url.URL {
		u, err := b.Locate(t.Context(), "a/k", method, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(u.String(), p.Endpoint+"/") {
			t.Errorf("%s is not at the public endpoint", u.Host)
		}
		return u
	}
	get := locate(http.MethodGet, bucket.MaxLifetime)
	change := func(name, value string) string {
		u := *get
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return u.String()
	}
	tests := []struct {
		name, method, url string
		header            http.Header
		status            int
		content           string
	}{
		{"whole", http.MethodGet, get.String(), nil, http.StatusOK, "0123456789"},
		{"range", http.MethodGet, get.String(), http.Header{"Range": {"bytes=2-4"}}, http.StatusPartialContent, "234"},
		{"HEAD", http.MethodHead, locate(http.MethodHead, time.Minute).String(), nil, http.StatusOK, ""},
		{"HEAD on one for GET", http.MethodHead, get.String(), nil, http.StatusForbidden, ""},
		{"PUT", http.MethodPut, get.String(), nil, http.StatusForbidden, ""},
		{"another object", http.MethodGet, strings.Replace(get.String(), "a/k", "a/other", 1), nil, http.StatusForbidden, ""},
		{"another lifetime", http.MethodGet, change("X-Amz-Expires", "604799"), nil, http.StatusForbidden, ""},
		{"another date", http.MethodGet, change("X-Amz-Date", get.Query().Get("X-Amz-Date")[:9]+"010203Z"), nil, http.StatusForbidden, ""},
		{"without signature", http.MethodGet, s.Endpoint + get.Path, nil, http.StatusForbidden, ""},
	}
	for _, test := range tests {
		status, data := request(t, test.method, test.url, test.header)
		if status != test.status || test.content != "" && string(data) != test.content {
			t.Errorf("%s: status %d, content %q", test.name, status, data)
		}
	}

	short := locate(http.MethodGet, time.Second).String()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if status, _ := request(t, http.MethodGet, short, nil); status == http.StatusForbidden {
			break // it has expired
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("a URL for a second is good for a minute")
		}
	}
	for _, test := range []struct {
		method   string
		lifetime time.Duration
	}{{http.MethodPut, time.Minute}, {http.MethodGet, 0}, {http.MethodGet, bucket.MaxLifetime + time.Second}} {
		_, err := b.Locate(t.Context(), "a/k", test.method, test.lifetime)
		wantError(t, err, regcred.Invalid)
	}
}

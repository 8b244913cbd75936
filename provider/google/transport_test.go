package google

import (
	"net/http"
	"net/url"
	"testing"
)

// TestDirect checks that metadata servers are asked without a proxy, and all else
// through the usual one.
func TestDirect(t *testing.T) {
	usual := &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}
	proxy := direct(func(*http.Request) (*url.URL, error) { return usual, nil })
	for at, want := range map[string]*url.URL{
		"https://oauth2.googleapis.com/token":             usual,
		"http://metadata.google.internal.example.com/":    usual,
		"http://10.0.0.1/":                                usual,
		"http://169.254.169.254/computeMetadata/v1/":      nil,
		"http://169.254.169.254:80/":                      nil,
		"http://metadata.google.internal/computeMetadata": nil,
		"http://[fd00:ec2::254]/latest/":                  nil,
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := proxy(&http.Request{URL: u}); err != nil || got != want {
			t.Errorf("%s goes through %v, %v, want %v", at, got, err, want)
		}
	}
}

// Package webfront has web servers in front of a static registry, as its documentation
// describes them (docs/registry-static.md): they know nothing of registries.
package webfront

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// types are those of manifests by the ends of their files' names, in the order in which
// those are looked for.
var types = []struct{ end, contentType string }{
	{".oci-index", "application/vnd.oci.image.index.v1+json"},
	{".docker-list", "application/vnd.docker.distribution.manifest.list.v2+json"},
	{".oci-manifest", "application/vnd.oci.image.manifest.v1+json"},
	{".docker-manifest", "application/vnd.docker.distribution.manifest.v2+json"},
}

// Files serves a directory.
func Files(dir string) http.Handler {
	plain := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			plain.ServeHTTP(w, r)
			return
		}
		for _, t := range types {
			file := filepath.Join(dir, filepath.FromSlash(r.URL.Path+t.end))
			if _, err := os.Stat(file); err == nil {
				w.Header().Set("Content-Type", t.contentType)
				http.ServeFile(w, r, file)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// Bucket serves what is below a URL, that of a prefix in a bucket which anybody may read:
// it puts that URL's path before the request's, answers /v2/ with its index.html, and says
// 404 where S3 says 403 to who may not know what is there.
func Bucket(prefix *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if r.In.URL.Path == "/v2/" {
				r.Out.URL.Path = "/v2/index.html"
			}
			r.SetURL(prefix)
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusForbidden {
				r.StatusCode = http.StatusNotFound
			}
			return nil
		},
	}
}

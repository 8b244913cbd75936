package crane_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/registry/crane"
)

const (
	acceptSchema2 = "Accept: application/vnd.docker.distribution.manifest.v2+json"
	acceptList    = "Accept: application/vnd.docker.distribution.manifest.list.v2+json, application/json;q=0.5"
	acceptBoth    = acceptSchema2 + "," + "application/vnd.docker.distribution.manifest.list.v2+json;q=0.9"
)

const (
	v1NotFound = "Not Found"
	v2Unknown  = `{"errors":[{"code":"NAME_UNKNOWN","message":"there is no such repository"}]}`
	v2NoSuch   = `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"this path names no manifest"}]}`
	allowed    = "HEAD, OPTIONS, GET"
)

// row is a row of Crane's surface: a request and its answer.
type row struct {
	method, path, header string // GET where there is none
	status               int
	body                 string // JSON, or a text; "" is not looked at
	location             string
	want                 map[string]string // headers
}

var v1Rows = []row{
	{path: "/v1/_ping", status: 200, body: "true", want: map[string]string{"X-Docker-Registry-Standalone": "True", "Content-Type": "application/json"}},
	{path: "/v1/users", status: 200, body: `"OK"`, want: map[string]string{"X-Docker-Registry-Standalone": "True"}},
	{path: "/v1/users/", status: 200, body: `"OK"`},
	{method: "POST", path: "/v1/users/", status: 201, body: `"User Created"`, want: map[string]string{"X-Docker-Registry-Standalone": "True"}},
	{method: "POST", path: "/v1/users", status: 201, body: `"User Created"`},

	{path: "/v1/repositories/acme/small/images", status: 200, body: `[{"id":"b1"},{"id":"a0"}]`, want: map[string]string{"X-Docker-Endpoints": "registry.test:5000"}},
	{path: "/v1/repositories/plain/images", status: 200, body: `[{"id":"c2"}]`},
	{path: "/v1/repositories/library/plain/images", status: 200, body: `[{"id":"c2"}]`},
	{path: "/v1/repositories/acme/two/images", status: 404, body: v1NotFound},
	{path: "/v1/repositories/acme/none/images", status: 404, body: v1NotFound},
	{path: "/v1/repositories/acme/secret/images", status: 404, body: v1NotFound},
	{path: "/v1/repositories/a/b/c/images", status: 404, body: v1NotFound},
	{path: "/v1/repositories/images", status: 404, body: v1NotFound},
	{path: "/v1/repositories/acme/small/tags", status: 200, body: `{"latest":"b1","old":"a0"}`},
	{path: "/v1/repositories/library/plain/tags", status: 200, body: `{"latest":"c2"}`},
	{path: "/v1/repositories/library/plain/tags/latest", status: 200, body: `"c2"`},
	{path: "/v1/repositories/acme/small/tags/old", status: 200, body: `"a0"`},
	{path: "/v1/repositories/acme/small/tags/new", status: 404, body: v1NotFound},
	{path: "/v1/repositories/acme/secret/tags", status: 404, body: v1NotFound},
	{path: "/v1/repositories/acme/secret/tags/latest", status: 404, body: v1NotFound},
	{path: "/v1/repositories/a/b/c/tags", status: 404, body: v1NotFound},
	{path: "/v1/repositories/acme/small", status: 404, body: v1NotFound},

	{path: "/v1/images/b1/ancestry", status: 302, location: "https://files.test/v1/small/b1/ancestry"},
	{path: "/v1/images/b1/json", status: 302, location: "https://files.test/v1/small/b1/json"},
	{path: "/v1/images/c2/layer", status: 302, location: "https://files.test/v1/plain/c2/layer"},
	{path: "/v1/images/a0/layer", status: 302, location: "https://files.test/v1/small/a0/layer"}, // and not the protected one's
	{method: "HEAD", path: "/v1/images/b1/json", status: 302, location: "https://files.test/v1/small/b1/json"},
	{path: "/v1/images/b1/checksum", status: 404, body: v1NotFound},
	{path: "/v1/images/ff/json", status: 404, body: v1NotFound},
	{path: "/v1/images/d3/json", status: 404, body: v1NotFound}, // of a protected repository alone
	{path: "/v1/other", status: 404, body: v1NotFound},

	{path: "/v1/search", status: 400, body: `parameter "q" is required`},
	{path: "/v1/search?q=", status: 400, body: `parameter "q" is required`},
	{path: "/v1/search?q=nothing", status: 200, body: `{"query":"nothing","num_results":0,"results":[]}`},
	{path: "/v1/search?q=LAI", status: 200, body: `{"query":"LAI","num_results":1,"results":[` + result("plain") + `]}`},
	{path: "/v1/search?q=acme/", status: 200, body: `{"query":"acme/","num_results":3,"results":[` + result("acme/small", "acme/three", "acme/two") + `]}`},
	{path: "/v1/search?q=acme/&n=1", status: 200, body: `{"query":"acme/","num_results":1,"results":[` + result("acme/small") + `]}`},
}

var v2Rows = []row{
	{path: "/v2/", status: 200, body: `{}`, want: map[string]string{"Docker-Distribution-Api-Version": "registry/2.0"}},
	{path: "/v2", status: 200, body: `{}`},
	{path: "/v2/acme/two/tags/list", status: 302, location: "https://files.test/v2/two/tags/list"},
	{path: "/v2/acme/two/manifests/latest", header: acceptBoth, status: 302, location: "https://files.test/v2/two/manifests/latest"},
	{path: "/v2/acme/two/manifests", status: 302, location: "https://files.test/v2/two/manifests"},
	{path: "/v2/acme/two/blobs/sha256:aa", status: 302, location: "https://files.test/v2/two/blobs/sha256:aa"},
	{method: "HEAD", path: "/v2/acme/two/blobs/sha256:aa", status: 302, location: "https://files.test/v2/two/blobs/sha256:aa"},
	{path: "/v2/ns/four/blobs/sha256:aa", status: 302, location: "https://files.test/v2/four/blobs/sha256:aa"},
	{path: "/v2/ns/four/tags/list", status: 302, location: "https://files.test/v2/four/tags/list"},
	{path: "/v2/acme/none/tags/list", status: 404, body: v2Unknown},
	{path: "/v2/acme/small/tags/list", status: 404, body: v2Unknown},
	{path: "/v2/acme/hidden/tags/list", status: 404, body: v2Unknown},
	{path: "/v2/acme/hidden/manifests/latest", status: 404, body: v2Unknown},
	{path: "/v2/tags/list", status: 404, body: v2Unknown},
	{path: "/v2/acme/two", status: 404, body: v2Unknown},
	{path: "/v2/_catalog", status: 404, body: v2Unknown},
	{path: "/v2/acme/two/manifests/x/tags/list", status: 404, body: v2Unknown}, // the name ends at the rightmost keyword

	{path: "/v2/ns/four/manifests/listed", header: acceptList, status: 302, location: "https://files.test/v2/four/manifests/list/listed"},
	{path: "/v2/ns/four/manifests/listed", header: acceptBoth, status: 302, location: "https://files.test/v2/four/manifests/list/listed"},
	{path: "/v2/ns/four/manifests/sha256:11", header: acceptList, status: 302, location: "https://files.test/v2/four/manifests/list/sha256:11"},
	{path: "/v2/ns/four/manifests/listed", header: acceptSchema2, status: 302, location: "https://files.test/v2/four/manifests/2/sha256:aa"},
	{path: "/v2/ns/four/manifests/old", header: acceptSchema2, status: 302, location: "https://files.test/v2/four/manifests/1/sha256:bb"},
	{path: "/v2/ns/four/manifests/old", status: 302, location: "https://files.test/v2/four/manifests/1/sha256:bb"},
	{path: "/v2/ns/four/manifests/listed", status: 302, location: "https://files.test/v2/four/manifests/1/listed"},
	{path: "/v2/ns/four/manifests/image", header: acceptBoth, status: 302, location: "https://files.test/v2/four/manifests/2/image"},
	{path: "/v2/ns/four/manifests/image", status: 302, location: "https://files.test/v2/four/manifests/1/image"},
	{path: "/v2/ns/four/manifests/sha256:22", header: acceptSchema2, status: 302, location: "https://files.test/v2/four/manifests/2/sha256:22"},
	{path: "/v2/ns/four/manifests/other", header: acceptBoth, status: 302, location: "https://files.test/v2/four/manifests/1/other"},
	{path: "/v2/acme/three/manifests/both", header: acceptBoth, status: 302, location: "https://files.test/v2/three/manifests/2/both"},
	{path: "/v2/acme/three/manifests/both", status: 302, location: "https://files.test/v2/three/manifests/1/both"},
	{path: "/v2/acme/three/manifests/other", header: acceptBoth, status: 302, location: "https://files.test/v2/three/manifests/1/other"},
	// Crane answered 500 to these.
	{path: "/v2/ns/four/manifests", status: 404, body: v2NoSuch},
	{path: "/v2/ns/four/manifests/a/b", status: 404, body: v2NoSuch},
	{path: "/v2/acme/three/manifests", status: 404, body: v2NoSuch},
	{path: "/v2/acme/three/manifests/a/b", status: 404, body: v2NoSuch},
	// What would lead out of the repository's URL.
	{path: "/v2/acme/two/blobs/%2e%2e/%2e%2e/hidden/blobs/x", status: 404, body: v2Unknown},
	{path: "/v2/acme/two/manifests/..%2f..%2fhidden", status: 404, body: v2Unknown},
	{path: "/v2/acme/two/manifests/a%3Fb", status: 404, body: v2Unknown},
	{path: "/v2/acme/two/manifests/a%5Cb", status: 404, body: v2Unknown},
}

var otherRows = []row{
	{path: "/crane/repositories/v2", header: "Accept: application/json", status: 200, body: `{"acme/two":{"protected":false},"acme/three":{"protected":false},"ns/four":{"protected":false}}`, want: map[string]string{"Content-Type": "application/json"}},
	{path: "/crane/repositories/v3", status: 404, body: v1NotFound},
	{path: "/crane", status: 404, body: v1NotFound},

	{method: "POST", path: "/v1/_ping", status: 405, want: map[string]string{"Allow": allowed}},
	{method: "PUT", path: "/v1/images/b1/json", status: 405, want: map[string]string{"Allow": allowed}},
	{method: "DELETE", path: "/v1/users/", status: 405, want: map[string]string{"Allow": allowed + ", POST"}},
	{method: "PUT", path: "/v2/acme/two/manifests/latest", status: 405, want: map[string]string{"Allow": allowed}},
	{method: "POST", path: "/v2/", status: 405, want: map[string]string{"Allow": allowed}},
	{method: "DELETE", path: "/crane/repositories", status: 405, want: map[string]string{"Allow": allowed}},
	{method: "OPTIONS", path: "/v1/_ping", status: 200, want: map[string]string{"Allow": allowed}},
	{method: "OPTIONS", path: "/v2/acme/two/tags/list", status: 200, want: map[string]string{"Allow": allowed}},
}

// TestSurface is Crane's surface, row by row.
func TestSurface(t *testing.T) {
	h := newHandler(t, crane.Options{Directory: openDirectory(t, metadata, crane.DirectoryOptions{})})
	for _, test := range slices.Concat(v1Rows, v2Rows, otherRows) {
		method := test.method
		if method == "" {
			method = http.MethodGet
		}
		t.Run(strings.Join([]string{method, test.path, test.header}, " "), func(t *testing.T) {
			var header []string
			if test.header != "" {
				header = []string{test.header}
			}
			got := ask(t, h, method, test.path, header...)
			if got.status != test.status || got.location() != test.location {
				t.Errorf("%d %q, not %d %q", got.status, got.location(), test.status, test.location)
			}
			if test.body != "" {
				if diff := cmp.Diff(decoded(test.body), decoded(got.body)); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			}
			if strings.HasPrefix(test.path, "/v1/") {
				test.want = with(test.want, "X-Docker-Registry-Version", "0.6.6", "X-Docker-Registry-Config", "common")
			}
			for name, value := range test.want {
				if got.header.Get(name) != value {
					t.Errorf("%s is %q, not %q", name, got.header.Get(name), value)
				}
			}
		})
	}
}

// result is a result of a search for each name.
func result(names ...string) string {
	var list []string
	for _, name := range names {
		list = append(list, `{"name":"`+name+`","description":"","is_official":false,"is_trusted":false,"star_count":0}`)
	}
	return strings.Join(list, ",")
}

// decoded returns the value of a JSON, or a text as it is.
func decoded(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	return v
}

func with(m map[string]string, pairs ...string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, m)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

func TestEndpoint(t *testing.T) {
	h := newHandler(t, crane.Options{Directory: openDirectory(t, metadata, crane.DirectoryOptions{}), Endpoint: "other.test"})
	if got := ask(t, h, "GET", "/v1/repositories/plain/images").header.Get("X-Docker-Endpoints"); got != "other.test" {
		t.Errorf("the endpoint is %q", got)
	}
}

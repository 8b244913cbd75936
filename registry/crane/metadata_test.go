package crane

import (
	"net/url"
	"strings"
	"testing"
)

// TestParseRefused: each is a file that Crane skipped, or served wrongly.
func TestParseRefused(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"no JSON", `{`, "no redirect metadata"},
		{"a list", `[]`, "no redirect metadata"},
		{"more", `{} {}`, "no redirect metadata"},
		{"no version", `{"repo-registry-id":"a","url":"https://h/"}`, "version is 0"},
		{"another version", `{"version":5,"repo-registry-id":"a","url":"https://h/"}`, "version is 5"},
		{"no name", `{"version":2,"url":"https://h/"}`, "repo-registry-id"},
		{"a name of dots", `{"version":2,"repo-registry-id":"a/../b","url":"https://h/"}`, "repo-registry-id"},
		{"a name with a space", `{"version":2,"repo-registry-id":"a b","url":"https://h/"}`, "repo-registry-id"},
		{"no url", `{"version":2,"repo-registry-id":"a"}`, "url"},
		{"a path", `{"version":2,"repo-registry-id":"a","url":"/v2/a"}`, "url"},
		{"no host", `{"version":2,"repo-registry-id":"a","url":"https:///v2/a"}`, "url"},
		{"another scheme", `{"version":2,"repo-registry-id":"a","url":"javascript:alert(1)"}`, "url"},
		{"a query", `{"version":2,"repo-registry-id":"a","url":"https://h/a?b=c"}`, "url"},
		{"a password", `{"version":2,"repo-registry-id":"a","url":"https://u:canary@h/a"}`, "url"},
		{"protected in words", `{"version":2,"repo-registry-id":"a","url":"https://h/","protected":"yes"}`, "protected"},
		{"protected in another case", `{"version":2,"repo-registry-id":"a","url":"https://h/","protected":true,"Protected":false}`, `"Protected"`},
		{"no images", `{"version":1,"repo-registry-id":"a","url":"https://h/","tags":{}}`, `"images"`},
		{"no tags", `{"version":1,"repo-registry-id":"a","url":"https://h/","images":[]}`, `"tags"`},
		{"an id with a slash", `{"version":1,"repo-registry-id":"a","url":"https://h/","images":[{"id":"a/../../b"}],"tags":{}}`, "no image id"},
		{"an empty id", `{"version":1,"repo-registry-id":"a","url":"https://h/","images":[{}],"tags":{}}`, "no image id"},
		{"no schema 2", `{"version":3,"repo-registry-id":"a","url":"https://h/"}`, `"schema2_data"`},
		{"schema 2 of null", `{"version":3,"repo-registry-id":"a","url":"https://h/","schema2_data":null}`, `"schema2_data"`},
		{"no lists", `{"version":4,"repo-registry-id":"a","url":"https://h/","schema2_data":[],"manifest_list_amd64_tags":{}}`, `"manifest_list_data"`},
		{"no amd64", `{"version":4,"repo-registry-id":"a","url":"https://h/","schema2_data":[],"manifest_list_data":[]}`, `"manifest_list_amd64_tags"`},
		{"no pair", four(`["sha256:a"]`), "no pair"},
		{"schema 3", four(`["sha256:a",3]`), "schema 1 or 2"},
		{"no digest", four(`["../x",2]`), "schema 1 or 2"},
		{"a schema in words", four(`["sha256:a","2"]`), "cannot unmarshal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := parse([]byte(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
}

// four is a file of version 4 whose one tag has that pair.
func four(pair string) string {
	return `{"version":4,"repo-registry-id":"a","url":"https://h/","schema2_data":[],"manifest_list_data":[],"manifest_list_amd64_tags":{"latest":` + pair + `}}`
}

// FuzzMetadata: where clients are sent is always below the repository's URL.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"version":1,"repo-registry-id":"acme/app","url":"https://h/v1","images":[{"id":"aa"}],"tags":{"latest":"aa"}}`), "/v2/acme/app/tags/list")
	f.Add([]byte(`{"version":2,"repo-registry-id":"acme/app","url":"https://h/v2/","protected":true}`), "/v2/acme/app/manifests/latest")
	f.Add([]byte(`{"version":3,"repo-registry-id":"a","url":"http://h:1/x%20y","schema2_data":["latest"]}`), "/v2/a/manifests/latest")
	f.Add([]byte(four(`["sha256:aa",2]`)), "/v2/a/manifests/../latest")
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		r, err := parse(data)
		if err != nil {
			return
		}
		base, err := url.Parse(r.url)
		if err != nil || base.Host == "" || !strings.HasSuffix(r.url, "/") {
			t.Fatalf("the URL is %q: %v", r.url, err)
		}
		_, rest, ok := splitV2(path)
		if !ok {
			return
		}
		for _, accept := range []map[string]bool{nil, {mediaTypeManifest: true}, {mediaTypeList: true, mediaTypeManifest: true}} {
			file, ok := r.file(rest, accept)
			if !ok {
				continue
			}
			to, err := url.Parse(r.url + file)
			if err != nil || to.Host != base.Host || to.RawQuery != "" || to.Fragment != "" || !strings.HasPrefix(to.JoinPath(".").Path, base.JoinPath(".").Path) {
				t.Fatalf("%q leads to %q: %v", path, r.url+file, err)
			}
		}
	})
}

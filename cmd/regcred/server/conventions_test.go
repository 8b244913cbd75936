package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/config"
)

// ask sends a request as the admin and returns the answer, of which nothing is read yet.
func (r *running) ask(method, path string, header http.Header) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Authorization", "Bearer "+r.adminToken())
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are answers too
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestRequestIDs: each answer has an id, behind the one that a router gave the request.
func TestRequestIDs(t *testing.T) {
	r, _ := start(t, config.Default())
	seen := map[string]bool{}
	for _, test := range []struct{ name, value, path, want string }{
		{"", "", "/v3/registry_credentials", `^[A-Z2-7]{26}$`},
		{"", "", "/v3/nope", `^[A-Z2-7]{26}$`},
		{"", "", "/healthz", `^[A-Z2-7]{26}$`},
		{"X-Vcap-Request-Id", "router-1_a", "/v3/registry_credentials", `^router-1_a::[A-Z2-7]{26}$`},
		{"X-Request-Id", "of <a> proxy", "/v3/registry_credentials/none", `^ofaproxy::[A-Z2-7]{26}$`},
		{"X-Request-Id", " : ", "/v3/registry_credentials", `^[A-Z2-7]{26}$`},
		{"X-Vcap-Request-Id", strings.Repeat("x", 1000), "/v3/registry_credentials", `^x{255}::[A-Z2-7]{26}$`},
	} {
		header := http.Header{}
		if test.name != "" {
			header.Set(test.name, test.value)
		}
		id := r.ask(http.MethodGet, test.path, header).Header.Get("X-Vcap-Request-Id")
		if !regexp.MustCompile(test.want).MatchString(id) || seen[id] {
			t.Errorf("%s of %s %.20q is %q", test.path, test.name, test.value, id)
		}
		seen[id] = true
	}
}

// TestMethodsAndPaths asks in ways that clients of Cloud Foundry's API may.
func TestMethodsAndPaths(t *testing.T) {
	r, _ := start(t, config.Default())
	guid := r.create("registry.example.com", regcred.Foundation, "x").GUID
	const collection = "/v3/registry_credentials"
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", collection + "/", 200, ""},
		{"GET", collection + "/" + guid + "/", 200, ""},
		{"HEAD", collection, 200, ""},
		{"HEAD", collection + "/none", 404, ""},
		{"OPTIONS", collection, 405, "GET, HEAD, POST"},
		{"PUT", collection + "/" + guid, 405, "GET, HEAD, PATCH, DELETE"},
		{"PUT", collection + "/" + guid + "/", 405, "GET, HEAD, PATCH, DELETE"},
		{"GET", collection + "/" + guid + "/actions", 404, ""},
		{"GET", "/v3", 404, ""},
		{"GET", "/v3/registry_credential", 404, ""},
		{"GET", "/V3/registry_credentials", 404, ""},
	} {
		resp := r.ask(test.method, test.path, nil)
		if resp.StatusCode != test.status || resp.Header.Get("Allow") != test.allow {
			t.Errorf("%s %s: %d, Allow %q", test.method, test.path, resp.StatusCode, resp.Header.Get("Allow"))
		}
		if got := resp.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s has the type %q", test.method, test.path, got)
		}
	}
}

// TestPagesKeepTheQuery follows the links of a list, which keep its filters and order.
func TestPagesKeepTheQuery(t *testing.T) {
	r, _ := start(t, config.Default())
	var want []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		r.create(name+".example.com", regcred.OrgScope("o"), "x")
		r.create(name+".example.com", regcred.Foundation, "x")
		want = append([]string{name + ".example.com"}, want...)
	}
	page := func(link string) (p client.Page[client.Credential]) {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		status, body := r.doAdmin(http.MethodGet, u.RequestURI(), "")
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", link, status, body)
		}
		return p
	}
	first := page("/v3/registry_credentials?organization_guids=o,&order_by=-created_at&per_page=2&created_ats[gt]=2001-01-01T00:00:00Z")
	var got []string
	for p, previous := first, ""; ; {
		for _, c := range p.Resources {
			got = append(got, c.Location)
		}
		if p.Pagination.First != first.Pagination.First || p.Pagination.Last != first.Pagination.Last || p.Pagination.TotalResults != 5 {
			t.Errorf("pagination: %+v", p.Pagination)
		}
		if previous != "" && (p.Pagination.Previous == nil || page(p.Pagination.Previous.Href).Resources[0].Location != previous) {
			t.Errorf("previous: %+v", p.Pagination.Previous)
		}
		if p.Pagination.Next == nil {
			break
		}
		previous = p.Resources[0].Location
		p = page(p.Pagination.Next.Href)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("by its links the list is %q, want %q", got, want)
	}
	last := page(first.Pagination.Last.Href)
	if last.Pagination.Next != nil || len(last.Resources) != 1 || last.Resources[0].Location != want[4] {
		t.Errorf("the last page: %+v", last)
	}
	none := page("/v3/registry_credentials?organization_guids=none")
	if p := none.Pagination; p.TotalPages != 1 || p.Next != nil || p.Previous != nil || p.First != p.Last || none.Resources == nil {
		t.Errorf("an empty list: %+v", none)
	}
}

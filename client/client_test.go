package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/client"
)

// serve returns a client of a server that a test makes.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, regcred.NewSecret("canary-token-41"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPages wants the resources of all pages, once each.
func TestPages(t *testing.T) {
	const pages = 3
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.Query().Get("organization_guids"))
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		next := "null"
		if page < pages {
			next = `{"href": "https://elsewhere.example.com/"}`
		}
		fmt.Fprintf(w, `{"pagination": {"next": %s}, "resources": [{"id": "t%d", "guid": "c%d"}]}`, next, page, page)
	})
	tokens, err := c.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := c.Credentials(t.Context(), url.Values{"organization_guids": {"acme"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, token := range tokens {
		got = append(got, token.ID)
	}
	for _, credential := range credentials {
		got = append(got, credential.GUID)
	}
	if diff := cmp.Diff([]string{"t1", "t2", "t3", "c1", "c2", "c3"}, got); diff != "" {
		t.Error(diff)
	}
	tokensPath, credentialsPath := "/regcred/v1/tokens?", "/v3/registry_credentials?acme"
	want := []string{tokensPath, tokensPath, tokensPath, credentialsPath, credentialsPath, credentialsPath}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

// TestErrors maps answers to errors: by the code in the body, else by the status.
func TestErrors(t *testing.T) {
	body := func(code int) string {
		return fmt.Sprintf(`{"errors": [{"code": %d, "title": "T", "detail": "what is wrong"}]}`, code)
	}
	for _, test := range []struct {
		status int
		body   string
		want   regcred.Code
		text   string
	}{
		{400, body(1001), regcred.Invalid, "what is wrong"},
		{400, body(10005), regcred.Invalid, "what is wrong"},
		{422, body(10008), regcred.Invalid, "what is wrong"},
		{401, body(1000), regcred.Unauthenticated, "what is wrong"},
		{401, body(10002), regcred.Unauthenticated, "what is wrong"},
		{403, body(10003), regcred.Denied, "what is wrong"},
		{404, body(10010), regcred.NotFound, "what is wrong"},
		{409, body(390001), regcred.ReadOnly, "what is wrong"},
		{409, body(390002), regcred.Stale, "what is wrong"},
		{409, body(390003), regcred.Held, "what is wrong"},
		{413, body(390004), regcred.TooLarge, "what is wrong"},
		{503, body(390005), regcred.Unavailable, "what is wrong"},
		{500, body(390006), regcred.Corrupt, "what is wrong"},
		{500, body(10001), regcred.Internal, "what is wrong"},
		{404, body(4711), regcred.NotFound, "what is wrong"},
		{502, "<html>Bad Gateway</html>", regcred.Unavailable, "502 Bad Gateway"},
		{404, "", regcred.NotFound, "404 Not Found: is this regcred's address?"},
		{302, "", regcred.Unavailable, "302 Found"},
		{200, "<html>Welcome</html>", regcred.Unavailable, "is this its address?"},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		})
		_, err := c.Status(t.Context())
		if err == nil || regcred.CodeOf(err) != test.want || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%d %s: got %s, %v; want %s, %q", test.status, test.body, regcred.CodeOf(err), err, test.want, test.text)
		}
	}
}

// TestLargeAnswer refuses an answer over the limit, which it could only cut.
func TestLargeAnswer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"version": "1"}`)
		blank := []byte(strings.Repeat(" ", 1<<20))
		for range 64 {
			_, _ = w.Write(blank)
		}
	})
	_, err := c.Status(t.Context())
	if regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("got %v", err)
	}
}

// TestServerURL refuses what is no server's URL, and shows no password in it.
func TestServerURL(t *testing.T) {
	for _, test := range []struct{ in, shown string }{
		{"ftp://example.com", `"ftp://example.com"`},
		{"http://user:hidden@example.com", `"http://***@example.com"`},
		{"http://user:hid%zzden@example.com", `"http://***@example.com"`},
		{"http://user:hid/den@example.com", `"http://***@example.com"`},
		{"http://user:hid://den@example.com", `"http://***@example.com"`},
		{"user:hidden@example.com", `"***@example.com"`},
		{"http://example.com:port", `"http://example.com:port"`},
		{"example.com:8440", `"example.com:8440"`},
		{"http://", `"http://"`},
		{"", `""`},
	} {
		_, err := client.New(test.in, regcred.Secret{})
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.shown) || strings.Contains(err.Error(), "hid") {
			t.Errorf("New(%q): %v; want it to show %s", test.in, err, test.shown)
		}
	}
}

// TestRelationships tells a relationship that names nothing from none.
func TestRelationships(t *testing.T) {
	for _, test := range []struct {
		body, want string
		scope      regcred.Scope
	}{
		{`{}`, "", regcred.Foundation},
		{`{"organization": {"data": {"guid": "acme"}}}`, "", regcred.OrgScope("acme")},
		{`{"organization": {"data": {"guid": "acme"}}, "space": {"data": {"guid": "dev"}}}`, "", regcred.SpaceScope("acme", "dev")},
		{`{"organization": {"data": null}}`, "relationships.organization.data.guid", regcred.Foundation},
		{`{"organization": {}}`, "relationships.organization.data.guid", regcred.Foundation},
		{`{"organization": {"data": {"guid": "acme"}}, "space": {"data": {"guid": ""}}}`, "relationships.space.data.guid", regcred.OrgScope("acme")},
		{`{"app": {"data": {}}}`, "relationships.app.data.guid", regcred.Foundation},
	} {
		var r client.Relationships
		if err := json.Unmarshal([]byte(test.body), &r); err != nil {
			t.Fatal(err)
		}
		err := r.Validate()
		if test.want == "" && err != nil || test.want != "" && (regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.body, err, test.want)
		}
		if got := r.Scope(); got != test.scope {
			t.Errorf("%s: scope %v, want %v", test.body, got, test.scope)
		}
		if err == nil {
			if diff := cmp.Diff(r, client.RelationshipsOf(test.scope)); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// TestUpdateRequest sends null for a setting that goes, and nothing for what stays.
func TestUpdateRequest(t *testing.T) {
	value := "v"
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.RequestURI() + " " + string(data)
		_, _ = io.WriteString(w, `{}`)
	})
	in := client.UpdateRequest{Settings: map[string]*string{"a": &value, "b": nil}}
	for want, o := range map[string]client.UpdateOptions{
		`PATCH /v3/registry_credentials/g {"settings":{"a":"v","b":null}}`:                        {},
		`PATCH /v3/registry_credentials/g?check=true&revoke=true {"settings":{"a":"v","b":null}}`: {Check: true, Revoke: true},
	} {
		if _, err := c.UpdateCredential(t.Context(), "g", in, o); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
}

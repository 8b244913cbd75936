package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/config"
)

// TestListSelects lists with each filter of the public reference of the resource.
func TestListSelects(t *testing.T) {
	r, _ := start(t, config.Default())
	create := func(location string, s regcred.Scope, labels map[string]string) client.Credential {
		c, err := r.local.CreateCredential(t.Context(), client.CreateRequest{
			Location: location, Username: "u", Password: "p", Relationships: client.RelationshipsOf(s),
			Metadata: &client.Metadata{Labels: labels},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := create("a.example.com", regcred.Foundation, map[string]string{"env": "prod"})
	b := create("b.example.com", regcred.OrgScope("o"), map[string]string{"env": "dev"})
	c := create("c.example.com", regcred.SpaceScope("o", "s"), nil)
	create("d.example.com", regcred.AppScope("o", "s", "app"), nil)
	another := "another"
	if _, err := r.local.UpdateCredential(t.Context(), a.GUID, client.UpdateRequest{Username: &another}, client.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                          "abcd",
		"order_by=created_at":       "abcd",
		"order_by=-created_at":      "dcba",
		"order_by=updated_at":       "bcda",
		"order_by=-updated_at":      "adcb",
		"guids=" + b.GUID + ",none": "b",
		"guids=":                    "",
		"scopes=foundation,app":     "ad",
		"organization_guids=o":      "bcd",
		"organization_guids=x":      "",
		"space_guids=s":             "cd",
		"app_guids=app":             "d",
		"locations=b.example.com:443,C.example.com": "bc",
		"label_selector=env":                        "ab",
		"label_selector=env=prod":                   "a",
		"label_selector=!env":                       "cd",
		"label_selector=env+in+(dev,test)":          "b",
		"created_ats[lt]=2001-01-01T00:00:00Z":      "",
		"updated_ats[gte]=2001-01-01T00:00:00Z":     "abcd",
		"created_ats=" + c.CreatedAt.Format("2006-01-02T15:04:05Z") + "&guids=" + c.GUID: "c",
		"organization_guids=o&scopes=space,app&per_page=1&page=2":                        "d",
	} {
		status, body := r.doAdmin(http.MethodGet, "/v3/registry_credentials?"+query, "")
		var page client.Page[client.Credential]
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", query, status, body)
		}
		got := ""
		for _, found := range page.Resources {
			got += found.Location[:1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, bad := range []string{"order_by=location", "label_selector=a+b", "created_ats=now", "updated_ats[ne]=2001-01-01T00:00:00Z", "order_by=--created_at", "guids=" + strings.Repeat(",", 5000)} {
		if status, body := r.doAdmin(http.MethodGet, "/v3/registry_credentials?"+bad, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
}

// TestMetadataMerges changes labels and annotations as Cloud Foundry's API does: what
// is not named stays, null removes.
func TestMetadataMerges(t *testing.T) {
	r, _ := start(t, config.Default())
	c := r.create("registry.example.com", regcred.Foundation, "x")
	path := "/v3/registry_credentials/" + c.GUID
	for _, step := range []struct{ change, want string }{
		{`{"labels": {"a": "1", "b": "2"}, "annotations": {"note": "any text, at length"}}`, `{"labels":{"a":"1","b":"2"},"annotations":{"note":"any text, at length"}}`},
		{`{"labels": {"a": null, "c": "3"}}`, `{"labels":{"b":"2","c":"3"},"annotations":{"note":"any text, at length"}}`},
		{`{"labels": {"none": null}, "annotations": {"note": null}}`, `{"labels":{"b":"2","c":"3"},"annotations":{}}`},
	} {
		status, body := r.doAdmin(http.MethodPatch, path, `{"metadata": `+step.change+`}`)
		var got struct{ Metadata json.RawMessage }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", step.change, status, body)
		}
		if diff := cmp.Diff(step.want, string(got.Metadata)); diff != "" {
			t.Errorf("%s: %s", step.change, diff)
		}
	}
	status, body := r.doAdmin(http.MethodPatch, path, `{"metadata": {"labels": {"a b": "x"}}}`)
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "Metadata label key error") {
		t.Errorf("a bad key: %d %s", status, body)
	}
}

// TestQueriesAreReadWhole: no route does half of what was asked for as if it were all.
func TestQueriesAreReadWhole(t *testing.T) {
	r, _ := start(t, config.Default())
	for _, route := range api.Routes() {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{guid}", "x", "{id}", "x", "{name}", "x").Replace(path)
		for _, query := range []string{"no_such=1", "page=1&page=2", "page=1;per_page=2", "page=%zz"} {
			status, body := r.doAdmin(method, path+"?"+query, "")
			if status != http.StatusBadRequest || !strings.Contains(body, "CF-BadQueryParameter") {
				t.Errorf("%s?%s: %d %s", route, query, status, body)
			}
		}
	}
	if status, body := r.doAdmin(http.MethodGet, "/regcred/v1/audit?callers="+strings.Repeat(",", 40_000), ""); status != http.StatusBadRequest {
		t.Errorf("a long list: %d %.200s", status, body)
	}
	for _, rest := range []string{"}", "]", "{}", "x"} {
		body := `{"location": "registry.example.com", "username": "u", "password": "p"}` + rest
		if status, answer := r.doAdmin(http.MethodPost, "/v3/registry_credentials", body); status != http.StatusBadRequest {
			t.Errorf("with %q behind the body: %d %s", rest, status, answer)
		}
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/config"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakefoundation"
)

// inFoundation starts a server for the users of a Cloud Foundry, and stores a credential
// at each of its scopes: what they are, by location.
func inFoundation(t *testing.T) (*running, *fakefoundation.Foundation, map[string]string) {
	t.Helper()
	f := fakefoundation.Start(t)
	cfg := config.Default()
	cfg.CloudFoundry = &config.CloudFoundry{API: f.API}
	r, _ := start(t, cfg)
	guids := map[string]string{}
	for location, scope := range map[string]regcred.Scope{
		"foundation.example.com": regcred.Foundation,
		"acme.example.com":       regcred.OrgScope("acme-guid"),
		"dev.example.com":        regcred.SpaceScope("acme-guid", "dev-guid"),
		"web.example.com":        regcred.AppScope("acme-guid", "dev-guid", "web-guid"),
		"prod.example.com":       regcred.SpaceScope("acme-guid", "prod-guid"),
		"other.example.com":      regcred.OrgScope("other-guid"),
	} {
		guids[location] = r.create(location, scope, "x").GUID
	}
	return r, f, guids
}

func (r *running) list(token string) (locations string) {
	r.t.Helper()
	status, body := r.do(http.MethodGet, "/v3/registry_credentials", token, "")
	var page client.Page[client.Credential]
	if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
		r.t.Fatalf("list: %d %s", status, body)
	}
	var names []string
	for _, c := range page.Resources {
		names = append(names, strings.TrimSuffix(c.Location, ".example.com"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestFoundationReads lists as each of a foundation's users.
func TestFoundationReads(t *testing.T) {
	r, f, guids := inFoundation(t)
	for user, want := range map[string]string{
		fakefoundation.Root:      "acme dev foundation other prod web",
		fakefoundation.Manager:   "acme foundation",
		fakefoundation.Developer: "acme dev foundation web",
		fakefoundation.Auditor:   "acme dev foundation web",
		fakefoundation.Nobody:    "foundation",
	} {
		if got := r.list(f.UAA.Token(user)); got != want {
			t.Errorf("%s sees %q, want %q", user, got, want)
		}
		for location, guid := range guids {
			status, _ := r.do(http.MethodGet, "/v3/registry_credentials/"+guid, f.UAA.Token(user), "")
			sees := slices.Contains(strings.Fields(want), strings.TrimSuffix(location, ".example.com"))
			if sees != (status == http.StatusOK) || !sees && status != http.StatusNotFound {
				t.Errorf("%s gets %s: %d", user, location, status)
			}
		}
	}
	for token, title := range map[string]string{
		f.UAA.Refresh(fakefoundation.Root): "CF-InvalidAuthToken", f.UAA.Token(fakefoundation.Root) + "x": "CF-InvalidAuthToken", "": "CF-NotAuthenticated",
	} {
		if status, body := r.do(http.MethodGet, "/v3/registry_credentials", token, ""); status != http.StatusUnauthorized || !strings.Contains(body, title) {
			t.Errorf("want %s: %d %s", title, status, body)
		}
	}
}

// TestFoundationWrites creates and deletes at each scope as each of a foundation's users,
// by bodies as Cloud Foundry's API has them: a space is named without its organization.
func TestFoundationWrites(t *testing.T) {
	r, f, guids := inFoundation(t)
	space := func(guid string) string { return `{"space": {"data": {"guid": "` + guid + `"}}}` }
	org := func(guid string) string { return `{"organization": {"data": {"guid": "` + guid + `"}}}` }
	for _, test := range []struct {
		user, relationships string
		want                int
	}{
		{fakefoundation.Root, `{}`, 201},
		{fakefoundation.Root, org("acme-guid"), 201},
		{fakefoundation.Root, space("lab-guid"), 201},
		{fakefoundation.Root, org("none-guid"), 422},
		{fakefoundation.Root, space("none-guid"), 422},
		{fakefoundation.Root, `{"organization": {"data": {"guid": "other-guid"}}, "space": {"data": {"guid": "dev-guid"}}}`, 422},
		{fakefoundation.Manager, `{}`, 403},
		{fakefoundation.Manager, org("acme-guid"), 201},
		{fakefoundation.Manager, org("other-guid"), 422},
		{fakefoundation.Manager, space("lab-guid"), 422},
		{fakefoundation.Developer, `{}`, 403},
		{fakefoundation.Developer, org("acme-guid"), 403},
		{fakefoundation.Developer, space("dev-guid"), 201},
		{fakefoundation.Developer, space("prod-guid"), 422},
		{fakefoundation.Developer, `{"organization": {"data": {"guid": "other-guid"}}, "space": {"data": {"guid": "dev-guid"}}}`, 422},
		{fakefoundation.Auditor, space("dev-guid"), 403},
		{fakefoundation.Nobody, org("acme-guid"), 422},
		{fakefoundation.Developer, `{"app": {"data": {"guid": "web-guid"}}}`, 422},
		{fakefoundation.Root, `{"app": {"data": {"guid": "web-guid"}}}`, 422},
	} {
		body := `{"location": "new.example.com/` + test.user + `", "username": "u", "password": "p", "relationships": ` + test.relationships + `}`
		status, answer := r.do(http.MethodPost, "/v3/registry_credentials", f.UAA.Token(test.user), body)
		if status != test.want {
			t.Errorf("%s creates at %s: %d, want %d: %s", test.user, test.relationships, status, test.want, answer)
		}
		if status == http.StatusUnprocessableEntity && !strings.Contains(answer, "Ensure that the ") && !strings.Contains(answer, "Unknown field(s): 'app'") {
			t.Errorf("%s at %s is told %s", test.user, test.relationships, answer)
		}
	}
	// An organization's manager may not alter what is a space's.
	if status, _ := r.do(http.MethodDelete, "/v3/registry_credentials/"+guids["dev.example.com"], f.UAA.Token(fakefoundation.Manager), ""); status != http.StatusNotFound {
		t.Errorf("the manager deletes a space's: %d", status)
	}
	if status, _ := r.do(http.MethodDelete, "/v3/registry_credentials/"+guids["web.example.com"], f.UAA.Token(fakefoundation.Auditor), ""); status != http.StatusForbidden {
		t.Errorf("the auditor deletes an app's: %d", status)
	}
	if status, _ := r.do(http.MethodDelete, "/v3/registry_credentials/"+guids["web.example.com"], f.UAA.Token(fakefoundation.Developer), ""); status != http.StatusNoContent {
		t.Errorf("the developer deletes an app's: %d", status)
	}
}

// match returns the location of what an image resolves to at the scope of a query, ""
// where nothing matches.
func (r *running) match(token, image, query string) string {
	r.t.Helper()
	status, body := r.do(http.MethodGet, "/regcred/v1/resolve?image="+image+query, token, "")
	var got client.Resolution
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
		r.t.Fatalf("resolve %s%s: %d %s", image, query, status, body)
	}
	if got.Match == nil {
		return ""
	}
	return got.Match.Location
}

// TestStoredCredentialsServeApps resolves images for apps, whose space and organization
// are asked for.
func TestStoredCredentialsServeApps(t *testing.T) {
	r, f, _ := inFoundation(t)
	f.CAPI.AddApp("worker-guid", "worker", "dev-guid")
	f.CAPI.AddApp("lab-app-guid", "lab-app", "lab-guid")
	r.create("dev.example.com/of-web", regcred.AppScope("acme-guid", "dev-guid", "web-guid"), "x")
	developer, root := f.UAA.Token(fakefoundation.Developer), f.UAA.Token(fakefoundation.Root)
	for _, test := range []struct{ token, app, image, want string }{
		{developer, "web-guid", "foundation.example.com/x", "foundation.example.com"},
		{developer, "web-guid", "acme.example.com/x", "acme.example.com"},
		{developer, "web-guid", "dev.example.com/x", "dev.example.com"},
		{developer, "web-guid", "web.example.com/x", "web.example.com"},
		{developer, "web-guid", "dev.example.com/of-web/x", "dev.example.com/of-web"}, // the app's own comes first
		{developer, "web-guid", "prod.example.com/x", ""},
		{developer, "web-guid", "other.example.com/x", ""},
		{developer, "web-guid", "public.example.org/x", ""},
		{developer, "worker-guid", "acme.example.com/x", "acme.example.com"},
		{developer, "worker-guid", "dev.example.com/x", "dev.example.com"},
		{developer, "worker-guid", "dev.example.com/of-web/x", "dev.example.com"},
		{developer, "worker-guid", "web.example.com/x", ""}, // another app's
		{root, "lab-app-guid", "foundation.example.com/x", "foundation.example.com"},
		{root, "lab-app-guid", "other.example.com/x", "other.example.com"},
		{root, "lab-app-guid", "acme.example.com/x", ""},
	} {
		if got := r.match(test.token, test.image, "&app="+test.app); got != test.want {
			t.Errorf("%s for %s resolves to %q, want %q", test.image, test.app, got, test.want)
		}
	}
}

// TestDeletedStopsResolving deletes what serves an app: the next one serves it, or none.
func TestDeletedStopsResolving(t *testing.T) {
	r, f, guids := inFoundation(t)
	next := r.create("dev.example.com", regcred.OrgScope("acme-guid"), "x").GUID
	developer := f.UAA.Token(fakefoundation.Developer)
	for _, step := range []struct{ user, guid, before, after string }{
		{fakefoundation.Developer, guids["dev.example.com"], "dev.example.com", "dev.example.com"},
		{fakefoundation.Manager, next, "dev.example.com", ""},
	} {
		if got := r.match(developer, "dev.example.com/x", "&app=web-guid"); got != step.before {
			t.Errorf("before: %q, want %q", got, step.before)
		}
		if status, body := r.do(http.MethodDelete, "/v3/registry_credentials/"+step.guid, f.UAA.Token(step.user), ""); status != http.StatusNoContent {
			t.Fatalf("%s deletes: %d %s", step.user, status, body)
		}
		if got := r.match(developer, "dev.example.com/x", "&app=web-guid"); got != step.after {
			t.Errorf("after: %q, want %q", got, step.after)
		}
	}
}

// TestFoundationIsDown denies everything to those whose roles cannot be asked for.
func TestFoundationIsDown(t *testing.T) {
	r, f, guids := inFoundation(t)
	r.list(f.UAA.Token(fakefoundation.Root)) // where the UAA is, and its keys, are known by now
	var down fakecapi.Quirks
	down.Status = http.StatusInternalServerError
	f.CAPI.Set(down)
	for _, request := range [][2]string{
		{http.MethodGet, "/v3/registry_credentials"}, {http.MethodGet, "/v3/registry_credentials/" + guids["dev.example.com"]},
		{http.MethodDelete, "/v3/registry_credentials/" + guids["dev.example.com"]},
	} {
		if status, body := r.do(request[0], request[1], f.UAA.Token(fakefoundation.Developer), ""); status != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d %s", request[0], request[1], status, body)
		}
	}
	if status, _ := r.do(http.MethodGet, "/v3/registry_credentials", f.UAA.Token(fakefoundation.Root), ""); status != http.StatusOK {
		t.Errorf("an admin, whose role is in the token: %d", status)
	}
	for relationships, want := range map[string]int{
		`{}`: http.StatusCreated,
		`{"organization": {"data": {"guid": "acme-guid"}}}`:                                          http.StatusServiceUnavailable,
		`{"organization": {"data": {"guid": "acme-guid"}}, "space": {"data": {"guid": "dev-guid"}}}`: http.StatusServiceUnavailable,
	} {
		body := `{"location": "new.example.com", "username": "u", "password": "p", "relationships": ` + relationships + `}`
		if status, answer := r.do(http.MethodPost, "/v3/registry_credentials", f.UAA.Token(fakefoundation.Root), body); status != want {
			t.Errorf("an admin creates at %s: %d, want %d: %s", relationships, status, want, answer)
		}
	}
}

package fakecattle_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev/regcredtest/fakecattle"
)

// ask sends a request as the key "env", and returns the status and the answer.
func ask(t *testing.T, h http.Handler, key, method, path, body string) (status int, answer map[string]any, header http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, "http://rancher.test:8080"+path, strings.NewReader(body))
	r.SetBasicAuth(key, "secret")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: no JSON: %s", method, path, text)
	}
	return w.Code, answer, w.Header()
}

func newServer(o fakecattle.Options) *fakecattle.Server {
	o.Keys = map[string]fakecattle.Key{
		"env": {Secret: "secret", Environment: "1a5"}, "account": {Secret: "secret"},
		"reader": {Secret: "secret", Environment: "1a5", Role: fakecattle.ReadOnly},
	}
	o.Environments = []string{"1a5", "1a7"}
	return fakecattle.New(o)
}

func TestStatuses(t *testing.T) {
	s := newServer(fakecattle.Options{})
	registry := s.AddRegistry("1a5", "Registry.example.com")
	credential := s.AddCredential("1a5", registry, "AWS", "token")
	base := "/v1/projects/1a5"
	for _, test := range []struct {
		key, method, path, body string
		status                  int
		code                    string
	}{
		{"nobody", "GET", base, "", 401, "Unauthorized"},
		{"env", "GET", base, "", 200, ""},
		{"env", "GET", "/v1/projects/1a7", "", 403, "Forbidden"},
		{"account", "GET", "/v1/projects/1a7", "", 200, ""},
		{"account", "GET", "/v1/projects/1a9", "", 404, "NotFound"},
		{"env", "GET", "/v3", "", 404, "NotFound"},
		{"env", "POST", base + "/registries", `{}`, 422, "MissingRequired"},
		{"env", "POST", base + "/registries", `nonsense`, 400, "InvalidBodyContent"},
		{"env", "POST", base + "/registries", `{"serverAddress":"REGISTRY.example.com"}`, 400, "ServerAddressUsed"},
		{"env", "POST", base + "/registries", `{"serverAddress":"other.example.com","links":null}`, 201, ""},
		{"env", "POST", base + "/registryCredentials", `{"registryId":"` + registry + `","publicValue":"AWS"}`, 422, "MissingRequired"},
		{"env", "POST", "/v2-beta/projects/1a5/registryCredentials", `{"registryId":"` + registry + `","publicValue":"AWS"}`, 201, ""},
		{"env", "POST", base + "/registryCredentials", `{"registryId":"1sp99","email":"x"}`, 422, "InvalidReference"},
		{"env", "PUT", base + "/registryCredentials/" + credential, `{"description":"` + strings.Repeat("x", 1025) + `"}`, 422, "MaxLengthExceeded"},
		{"env", "PUT", base + "/registryCredentials/" + credential, `{"secretValue":"new"}`, 200, ""},
		{"env", "DELETE", base + "/registryCredentials/" + credential, "", 405, "MethodNotAllowed"},
		{"env", "GET", base + "/registryCredentials/1c99", "", 404, "NotFound"},
		{"reader", "PUT", base + "/registryCredentials/" + credential, `{}`, 405, "MethodNotAllowed"},
		{"reader", "POST", base + "/registryCredentials/" + credential + "/?action=deactivate", ``, 405, "MethodNotAllowed"},
		{"account", "POST", "/v1/registries", `{"serverAddress":"x"}`, 405, "MethodNotAllowed"},
	} {
		status, answer, _ := ask(t, s, test.key, test.method, test.path, test.body)
		code, _ := answer["code"].(string)
		if status != test.status || code != test.code {
			t.Errorf("%s: %s %s %s: %d %q, want %d %q", test.key, test.method, test.path, test.body, status, code, test.status, test.code)
		}
	}
}

// TestStates takes a credential through its life, each change of which takes a second.
func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(fakecattle.Options{Settle: time.Second})
		registry := s.AddRegistry("1a5", "r.example.com")
		collection := "/v1/projects/1a5/registryCredentials"
		_, answer, _ := ask(t, s, "env", "POST", collection, `{"registryId":"`+registry+`","publicValue":"AWS","secretValue":"token","email":"x"}`)
		if answer["secretValue"] != "token" || answer["state"] != "registering" || answer["transitioning"] != "yes" {
			t.Errorf("created: %v", answer)
		}
		self := collection + "/" + answer["id"].(string)
		for _, step := range []struct {
			method, query string
			status        int
			then, settled string
		}{
			{"PUT", "", 409, "", "active"},
			{"POST", "/?action=activate", 422, "", "active"},
			{"PUT", "", 200, "updating-active", "active"},
			{"POST", "/?action=deactivate", 202, "deactivating", "inactive"},
			{"PUT", "", 200, "updating-inactive", "inactive"},
			{"POST", "/?action=activate", 202, "activating", "active"},
			{"POST", "/?action=deactivate", 202, "deactivating", "inactive"},
			{"DELETE", "", 200, "removing", "removed"},
			{"POST", "/?action=purge", 202, "purging", "purged"},
		} {
			status, answer, _ := ask(t, s, "env", step.method, self+step.query, `{"secretValue":"2"}`)
			if state, _ := answer["state"].(string); status != step.status || state != step.then {
				t.Errorf("%s %s: %d, %q, want %d, %q", step.method, step.query, status, state, step.status, step.then)
			}
			<-time.After(time.Second)
			_, answer, _ = ask(t, s, "env", "GET", self, "")
			if state, _ := answer["state"].(string); state != step.settled || answer["secretValue"] != nil {
				t.Errorf("after %s %s it is %v, want %q without its password", step.method, step.query, answer, step.settled)
			}
		}
	})
}

func TestPages(t *testing.T) {
	pages := 0
	s := newServer(fakecattle.Options{BetweenPages: func() { pages++ }})
	for i := range 250 {
		s.AddRegistry("1a5", strings.Repeat("x", i+1))
	}
	path, found := "/v1/projects/1a5/registries", 0
	for range 3 {
		_, answer, header := ask(t, s, "env", "GET", path, "")
		found += len(answer["data"].([]any))
		if got := header.Get("X-Api-Schemas"); got != "http://rancher.test:8080/v1/projects/1a5/schemas" {
			t.Errorf("X-API-Schemas: %q", got)
		}
		next, _ := answer["pagination"].(map[string]any)["next"].(string)
		path = strings.TrimPrefix(next, "http://rancher.test:8080")
	}
	if found != 250 || path != "" || pages != 2 {
		t.Errorf("%d registries, and then %q", found, path)
	}
	if _, answer, _ := ask(t, s, "env", "GET", "/v1/projects/1a5/registries?limit=3000", ""); len(answer["data"].([]any)) != 250 {
		t.Error("a limit of 3000 did not give all")
	}
}

// TestLogin: what Rancher would use for an image.
func TestLogin(t *testing.T) {
	s := newServer(fakecattle.Options{})
	first := s.AddRegistry("1a5", "R.example.com")
	s.Change(s.AddCredential("1a5", first, "old", "1"), map[string]string{"state": "inactive"})
	s.AddCredential("1a5", first, "new", "2")
	s.AddCredential("1a5", first, "later", "3")
	if user, password, ok := s.Login("1a5", "r.EXAMPLE.com"); !ok || user != "new" || password != "2" {
		t.Errorf("the login is %s:%s", user, password)
	}
	if _, _, ok := s.Login("1a7", "r.example.com"); ok {
		t.Error("another environment has the login")
	}
}

func TestBreak(t *testing.T) {
	s := newServer(fakecattle.Options{})
	s.Break(http.StatusServiceUnavailable)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
	s.Break(0)
	if status, _, _ := ask(t, s, "env", "GET", "/v1", ""); status != 200 {
		t.Errorf("status %d after the outage", status)
	}
}

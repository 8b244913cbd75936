package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

// patience bounds every wait for a server.
const patience = 20 * time.Second

// running is a server under test.
type running struct {
	t     *testing.T
	url   string
	dir   string
	local *client.Client
	log   *lockedBuffer
}

// start runs a server in dir until the test ends, or stop is called.
func start(t *testing.T, cfg config.Config) (r *running, stop func()) {
	t.Helper()
	r, stop = launch(t, cfg)
	r.eventually(func() error { return r.get("/readyz", "") })
	return r, stop
}

// startTLS is start for a server of which the test's process trusts no certificate.
func startTLS(t *testing.T, cfg config.Config) *running {
	t.Helper()
	r, _ := launch(t, cfg)
	r.eventually(func() error { _, err := r.local.Status(t.Context()); return err })
	return r
}

// launch is start without the wait for the server.
func launch(t *testing.T, cfg config.Config) (r *running, stop func()) {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	cfg.Listen = "127.0.0.1:0"
	log := new(lockedBuffer)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, cfg, "test", slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return &running{t: t, url: s.URL(), dir: cfg.DataDir, log: log, local: client.NewLocal(filepath.Join(cfg.DataDir, server.SocketName))}, stop
}

func (r *running) client(token regcred.Secret) *client.Client {
	r.t.Helper()
	c, err := client.New(r.url, token)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *running) eventually(f func() error) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %v", patience, err)
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // polling over real sockets
	}
}

// get returns an error where a page is not 200.
func (r *running) get(path, token string) error {
	status, body := r.do(http.MethodGet, path, token, "")
	if status != http.StatusOK {
		return fmt.Errorf("%s answered %d: %s", path, status, body)
	}
	return nil
}

func (r *running) do(method, path, token, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	checkContract(r.t, method, path, resp.StatusCode, string(data))
	return resp.StatusCode, string(data)
}

// create stores a static credential.
func (r *running) create(location string, scope regcred.Scope, password string) client.Credential {
	r.t.Helper()
	c, err := r.local.CreateCredential(r.t.Context(), client.CreateRequest{
		Location: location, Username: "user", Password: password, Relationships: client.RelationshipsOf(scope),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestFilesHaveMode0600(t *testing.T) {
	r, _ := start(t, config.Default())
	r.create("registry.example.com", regcred.Foundation, "x")
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCredentialResource(t *testing.T) {
	r, _ := start(t, config.Default())
	status, body := r.doAdmin(http.MethodPost, "/v3/registry_credentials", `{
		"location": "Registry.example.com:443", "username": "u", "password": "p",
		"relationships": {"organization": {"data": {"guid": "acme"}}},
		"metadata": {"labels": {"team": "a"}, "annotations": {}}}`)
	if status != http.StatusCreated {
		t.Fatalf("create answered %d: %s", status, body)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	guid, _ := got["guid"].(string)
	for _, key := range []string{"created_at", "updated_at"} {
		if _, err := time.Parse("2006-01-02T15:04:05Z", got[key].(string)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		delete(got, key)
	}
	login, _ := got["login"].(map[string]any)
	delete(login, "minted_at")
	want := map[string]any{
		"guid": guid, "location": "Registry.example.com:443", "canonical_location": "registry.example.com",
		"username": "u", "scope": "organization", "provider": "static", "origin": "api",
		"relationships": map[string]any{"organization": map[string]any{"data": map[string]any{"guid": "acme"}}},
		"metadata":      map[string]any{"labels": map[string]any{"team": "a"}, "annotations": map[string]any{}},
		"links": map[string]any{
			"self":         map[string]any{"href": r.url + "/v3/registry_credentials/" + guid},
			"organization": map[string]any{"href": r.url + "/v3/organizations/acme"},
		},
		"login": map[string]any{"expires_at": nil, "renew_at": nil, "failures": 0.0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// doAdmin is do with the admin's token.
func (r *running) doAdmin(method, path, body string) (int, string) {
	r.t.Helper()
	return r.do(method, path, r.adminToken(), body)
}

func (r *running) adminToken() string {
	r.t.Helper()
	token, err := os.ReadFile(filepath.Join(r.dir, server.AdminTokenName))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

func TestAPIErrors(t *testing.T) {
	r, _ := start(t, config.Default())
	first := r.create("registry.example.com", regcred.OrgScope("acme"), "x")
	const collection = "/v3/registry_credentials"
	for _, test := range []struct {
		name, method, path, body string
		status, code             int
		detail                   string
	}{
		{"not JSON", "POST", collection, "{", 400, 1001, "Request invalid due to parse error"},
		{"no body", "POST", collection, "", 400, 1001, "the body is empty"},
		{"two values", "POST", collection, `{} {}`, 400, 1001, "malformed JSON at byte 4"},
		{"unknown field", "POST", collection, `{"colour": "red"}`, 422, 10008, "Unknown field(s): 'colour'"},
		{"app scope", "POST", collection, `{"relationships": {"app": {"data": {"guid": "a"}}}}`, 422, 10008, "Relationships Unknown field(s): 'app'"},
		{"no login", "POST", collection, `{"location": "r.example.com"}`, 422, 10008, "username"},
		{"bad location", "POST", collection, `{"location": "http://r.example.com", "username": "u", "password": "p"}`, 422, 10008, "leave out the protocol"},
		{"space without organization", "POST", collection, `{"location": "r.example.com", "username": "u", "password": "p", "relationships": {"space": {"data": {"guid": "s"}}}}`, 422, 10008, "needs its organization"},
		{"place taken", "POST", collection, `{"location": "registry.example.com:443", "username": "u", "password": "p", "relationships": {"organization": {"data": {"guid": "acme"}}}}`, 422, 10008, first.GUID},
		{"change of location", "PATCH", collection + "/" + first.GUID, `{"location": "other.example.com"}`, 422, 10008, "Unknown field(s): 'location'"},
		{"no such credential", "GET", collection + "/nope", "", 404, 10010, "there is no credential"},
		{"no such path", "GET", "/v3/nope", "", 404, 10000, "Unknown request: there is nothing at /v3/nope"},
		{"page 0", "GET", collection + "?page=0", "", 400, 10005, "The query parameter is invalid: Page must be a positive integer"},
		{"no page", "GET", collection + "?page=", "", 400, 10005, "Page must be a positive integer"},
		{"per_page 0", "GET", collection + "?per_page=0", "", 400, 10005, "Per page must be a positive integer"},
		{"per_page", "GET", collection + "?per_page=5001", "", 400, 10005, "Per page must be between 1 and 5000"},
		{"per_page without end", "GET", collection + "?per_page=" + strings.Repeat("9", 30), "", 400, 10005, "Per page must be between 1 and 5000"},
		{"unknown parameters", "GET", collection + "?colour=red&size=3", "", 400, 10005, "Unknown query parameter(s): 'colour', 'size'. Valid parameters are: 'page', "},
		{"order", "GET", collection + "?order_by=location", "", 400, 10005, "Order by can only be: 'created_at', 'updated_at'"},
		{"no time", "GET", collection + "?created_ats=now", "", 400, 10005, "Created ats has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'"},
		{"times to compare with", "GET", collection + "?updated_ats[gt]=2026-01-31T15:04:05Z,2026-01-31T15:04:05Z", "", 400, 10005, "Updated ats only accepts one value when using a relational operator"},
		{"no selector", "GET", collection + "?label_selector=", "", 400, 10005, "Missing label_selector value"},
		{"bad selector", "GET", collection + "?label_selector=a+b", "", 400, 10005, "Invalid label_selector value"},
		{"long selector", "GET", collection + "?label_selector=" + strings.Repeat("a,", 51), "", 400, 10005, "Too many label_selector requirements (maximum is 50)"},
		{"no organization", "POST", collection, `{"location": "r.example.com", "username": "u", "password": "p", "relationships": {"organization": {"data": {"guid": ""}}}}`, 422, 10008, "organization"},
		{"organization that is null", "POST", collection, `{"location": "r.example.com", "username": "u", "password": "p", "relationships": {"organization": null}}`, 422, 10008, "organization"},
		{"null organization", "POST", collection, `{"location": "r.example.com", "username": "u", "password": "p", "relationships": {"organization": {"data": null}}}`, 422, 10008, "organization"},
		{"token for no organization", "POST", "/regcred/v1/tokens", `{"name": "ci", "role": "target", "relationships": {"organization": {"data": null}}}`, 422, 10008, "organization"},
		{"resolve for no organization", "GET", "/regcred/v1/resolve?image=a&organization=", "", 400, 10005, "organization is empty"},
		{"resolve, misspelled", "GET", "/regcred/v1/resolve?image=a&org=acme", "", 400, 10005, "'org'"},
		{"wrong method", "PUT", collection, "", 405, 10000, "PUT is not possible here"},
		{"wrong method", "POST", "/metrics", "", 405, 10000, "POST is not possible here"},
		{"reader of repositories", "POST", "/regcred/v1/tokens", `{"name": "ci", "role": "reader", "repositories": ["acme/*"]}`, 422, 10008, "the role puller or pusher"},
		{"half a pattern", "POST", "/regcred/v1/tokens", `{"name": "ci", "role": "puller", "repositories": ["acme*"]}`, 422, 10008, "is no repository"},
		{"bad dialect", "GET", "/regcred/v1/docker_config?for=klingon", "", 400, 10005, "klingon"},
		{"bad image", "GET", "/regcred/v1/resolve?image=A", "", 422, 10008, "lower"},
		{"bad lifetime", "POST", "/regcred/v1/tokens", `{"name": "ci", "role": "reader", "lifetime": "soon"}`, 422, 10008, "Lifetime must be a duration such as 90d or 12h"},
		{"bad role", "POST", "/regcred/v1/tokens", `{"name": "ci", "role": "king"}`, 422, 10008, "no role"},
		{"too large", "POST", collection, `{"location": "` + strings.Repeat("x", 1<<20) + `"}`, 413, 390004, "larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := r.doAdmin(test.method, test.path, test.body)
			var e client.ErrorBody
			if err := json.Unmarshal([]byte(body), &e); err != nil || len(e.Errors) != 1 {
				t.Fatalf("answered %d %s", status, body)
			}
			if status != test.status || e.Errors[0].Code != test.code || !strings.Contains(e.Errors[0].Detail, test.detail) {
				t.Errorf("answered %d %+v; want %d, code %d, %q", status, e.Errors[0], test.status, test.code, test.detail)
			}
		})
	}
}

func TestListPages(t *testing.T) {
	r, _ := start(t, config.Default())
	for i := range 5 {
		r.create(fmt.Sprintf("r%d.example.com", i), regcred.Foundation, "x")
	}
	_, body := r.doAdmin(http.MethodGet, "/v3/registry_credentials?page=2&per_page=2", "")
	var page client.Page[client.Credential]
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	p := page.Pagination
	if p.TotalResults != 5 || p.TotalPages != 3 || len(page.Resources) != 2 || page.Resources[0].Location != "r2.example.com" {
		t.Errorf("page 2: %s", body)
	}
	for name, link := range map[string]client.Link{"1": p.First, "3": p.Last} {
		if want := r.url + "/v3/registry_credentials?page=" + name + "&per_page=2"; link.Href != want {
			t.Errorf("link %q, want %q", link.Href, want)
		}
	}
	if p.Next == nil || p.Previous == nil || !strings.Contains(p.Next.Href, "page=3") || !strings.Contains(p.Previous.Href, "page=1") {
		t.Errorf("links: %s", body)
	}
	all, err := r.local.Credentials(t.Context(), map[string][]string{"locations": {"R3.example.com:443"}})
	if err != nil || len(all) != 1 || all[0].Canonical != "r3.example.com" {
		t.Errorf("by location: %+v, %v", all, err)
	}
}

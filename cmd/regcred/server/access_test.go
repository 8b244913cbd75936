package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/config"
)

// access is a request, and the status that each role gets.
type access struct {
	method, path, body string
	want               want
}

type want map[regcred.Role]int

// upkeepAccess are the requests of the registry's upkeep.
func upkeepAccess(adminOnly func(status int) want) []access {
	return []access{
		{"GET", "/regcred/v1/registry/repositories", "", adminOnly(200)},
		{"GET", "/regcred/v1/registry/tags?repository=acme/app", "", adminOnly(404)},
		{"GET", "/regcred/v1/registry/history?repository=acme/app&tag=1", "", adminOnly(404)},
		{"GET", "/regcred/v1/registry/statistics", "", adminOnly(200)},
		{"POST", "/regcred/v1/registry/tags/actions/rollback?repository=acme/app&tag=1", "", adminOnly(404)},
		{"DELETE", "/regcred/v1/registry/tags?repository=acme/app&tag=1", "", adminOnly(404)},
		{"DELETE", "/regcred/v1/registry/manifests?repository=acme/app&digest=sha256:" + strings.Repeat("0", 64), "", adminOnly(404)},
		{"POST", "/regcred/v1/registry/actions/collect", "", adminOnly(200)},
		{"POST", "/regcred/v1/registry/actions/collect?dry_run=true", "", adminOnly(200)},
		{"POST", "/regcred/v1/registry/actions/check?deep=true", "", adminOnly(200)},
	}
}

// TestAccess is the authorization matrix: every route, for every role that an API
// token can have, at its own scope, a narrower, a wider and a foreign one.
func TestAccess(t *testing.T) {
	r, _ := start(t, config.Default())
	own := r.create("own.example.com", regcred.SpaceScope("acme", "dev"), "x").GUID
	wide := r.create("wide.example.com", regcred.Foundation, "x").GUID
	foreign := r.create("foreign.example.com", regcred.OrgScope("other"), "x").GUID
	tokens := map[regcred.Role]string{}
	for _, role := range regcred.Roles {
		scope := regcred.OrgScope("acme")
		switch level, only := role.Level(); {
		case only && level == regcred.LevelFoundation:
			scope = regcred.Foundation
		case level == regcred.LevelSpace:
			scope = regcred.SpaceScope("acme", "dev")
		}
		tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "test", Role: string(role), Relationships: client.RelationshipsOf(scope)})
		if err != nil {
			t.Fatal(err)
		}
		tokens[role] = tok.Secret
	}
	const create = `{"location": "new.example.com", "username": "u", "password": "p"}`
	const createApp = `{"location": "new.example.com", "username": "u", "password": "p", "relationships": {"organization": {"data": {"guid": "acme"}}, "space": {"data": {"guid": "dev"}}, "app": {"data": {"guid": "web"}}}}`
	// A puller may pull, and know of no credential; to the API a pusher is the same.
	scoped := func(status, puller int) want { // what the scope's own callers get
		return want{regcred.RoleAdmin: 200, regcred.RoleReader: status, regcred.RoleTarget: status, regcred.RolePuller: puller}
	}
	adminOnly := func(status int) want {
		return want{regcred.RoleAdmin: status, regcred.RoleReader: 403, regcred.RoleTarget: 403, regcred.RolePuller: 403}
	}
	change := func(status int) want {
		return want{regcred.RoleAdmin: status, regcred.RoleReader: 403, regcred.RoleTarget: 403, regcred.RolePuller: 404}
	}
	targetsOnly := want{regcred.RoleAdmin: 200, regcred.RoleReader: 403, regcred.RoleTarget: 200, regcred.RolePuller: 403}
	uncovered := map[string]bool{}
	for _, pattern := range api.Routes() {
		uncovered[pattern] = true
	}
	for _, test := range slices.Concat(upkeepAccess(adminOnly), []access{
		{"GET", "/v3/registry_credentials", "", scoped(200, 200)}, // none for the puller
		{"GET", "/v3/registry_credentials/" + own, "", scoped(200, 404)},
		{"GET", "/v3/registry_credentials/" + wide, "", scoped(200, 404)},
		{"GET", "/v3/registry_credentials/" + foreign, "", scoped(404, 404)},
		{"PATCH", "/v3/registry_credentials/" + own, `{"username": "v"}`, change(200)},
		{"PATCH", "/v3/registry_credentials/" + foreign, `{"username": "v"}`, scoped(404, 404)},
		{"POST", "/regcred/v1/registry_credentials/" + own + "/actions/refresh", "", change(200)},
		{"POST", "/regcred/v1/registry_credentials/" + foreign + "/actions/refresh", "", scoped(404, 404)},
		{"POST", "/regcred/v1/registry_credentials/" + own + "/actions/refresh?revoke=true", "", change(422)}, // of a password that is stored
		{"PATCH", "/v3/registry_credentials/" + own + "?check=true&revoke=true", `{"password": "v"}`, change(200)},
		{"POST", "/regcred/v1/registry_credentials/" + own + "/actions/check", "", change(200)},
		{"POST", "/regcred/v1/registry_credentials/" + foreign + "/actions/check?repository=x", "", scoped(404, 404)},
		{"GET", "/regcred/v1/providers", "", scoped(200, 200)},
		{"GET", "/regcred/v1/providers/ecr", "", scoped(200, 200)},
		{"GET", "/regcred/v1/resolve?image=own.example.com/x&organization=acme&space=dev", "", scoped(200, 403)},
		{"GET", "/regcred/v1/resolve?image=own.example.com/x&organization=other", "", scoped(403, 403)},
		{"GET", "/regcred/v1/resolve?image=own.example.com/x", "", scoped(403, 403)},
		{"GET", "/regcred/v1/docker_config?organization=acme", "", targetsOnly},
		{"GET", "/regcred/v1/docker_config?organization=acme&space=dev", "", targetsOnly},
		{"GET", "/regcred/v1/docker_config?organization=other", "", adminOnly(200)},
		{"GET", "/regcred/v1/docker_config", "", adminOnly(200)},
		{"POST", "/regcred/v1/kubelet/login", `{"image": "own.example.com/x"}`, targetsOnly},
		{"GET", "/regcred/v1/status", "", adminOnly(200)},
		{"POST", "/regcred/v1/targets/actions/confirm?name=none", "", adminOnly(404)},
		{"GET", "/regcred/v1/tokens", "", adminOnly(200)},
		{"GET", "/regcred/v1/audit", "", adminOnly(200)},
		{"POST", "/regcred/v1/tokens", `{"name": "x", "role": "reader"}`, adminOnly(201)},
		{"POST", "/regcred/v1/tokens", `{"name": "x", "role": "pusher", "repositories": ["acme/*"]}`, adminOnly(201)},
		{"DELETE", "/regcred/v1/tokens/none", "", adminOnly(404)},
		{"POST", "/v3/registry_credentials", create, adminOnly(201)},
		{"POST", "/regcred/v1/app_registry_credentials", createApp, adminOnly(201)},
		{"DELETE", "/v3/registry_credentials/" + foreign, "", want{regcred.RoleReader: 404, regcred.RoleTarget: 404, regcred.RolePuller: 404, regcred.RoleAdmin: 204}},
		{"DELETE", "/v3/registry_credentials/" + own, "", change(204)},
	}) {
		name := test.method + " " + test.path
		delete(uncovered, patternOf(test.method, test.path))
		for _, nobody := range []string{"", "rcat_unknown_token", tokens[regcred.RoleAdmin] + "x"} {
			if status, body := r.do(test.method, test.path, nobody, test.body); status != http.StatusUnauthorized {
				t.Errorf("%s as nobody (%.5q): %d %s", name, nobody, status, body)
			}
		}
		// The admin last: it is the one who changes things.
		test.want[regcred.RolePusher] = test.want[regcred.RolePuller]
		for _, role := range []regcred.Role{regcred.RoleReader, regcred.RoleTarget, regcred.RolePuller, regcred.RolePusher, regcred.RoleAdmin} {
			status, body := r.do(test.method, test.path, tokens[role], test.body)
			if status != test.want[role] {
				t.Errorf("%s as %s: %d, want %d: %s", name, role, status, test.want[role], body)
			}
			if (role == regcred.RolePuller || role == regcred.RolePusher) && strings.Contains(body, own) && !strings.Contains(test.path, own) {
				t.Errorf("%s as puller shows a credential: %s", name, body)
			}
			if role != regcred.RoleAdmin && strings.Contains(body, foreign) && !strings.Contains(test.path, foreign) {
				t.Errorf("%s as %s shows a foreign credential: %s", name, role, body)
			}
		}
	}
	for pattern := range uncovered {
		t.Errorf("%s is not in the matrix", pattern)
	}
}

// patternOf returns the pattern of the API that serves a request.
func patternOf(method, path string) string {
	mux := http.NewServeMux()
	for _, pattern := range api.Routes() {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	u, err := url.Parse(path)
	if err != nil {
		return ""
	}
	_, pattern := mux.Handler(&http.Request{Method: method, URL: u, Host: "x"})
	return pattern
}

// TestTokenUse: when a token was last used is known after a restart too, though it is
// not written at each use.
func TestTokenUse(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	r, stop := start(t, cfg)
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "customer", Role: "puller", Repositories: []string{"acme/*"}})
	if err != nil || tok.LastUsedAt != nil {
		t.Fatalf("%+v, %v", tok, err)
	}
	if status, body := r.do(http.MethodGet, "/regcred/v1/providers", tok.Secret, ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	stop()
	r, _ = start(t, cfg)
	list, err := r.local.Tokens(t.Context())
	if err != nil || len(list) != 2 || list[1].LastUsedAt == nil || list[1].LastUsedAt.Before(tok.CreatedAt) || len(list[1].Repositories) != 1 {
		t.Errorf("tokens: %+v, %v", list, err)
	}
}

func TestTokenEnds(t *testing.T) {
	r, _ := start(t, config.Default())
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "ci", Role: "reader"})
	if err != nil {
		t.Fatal(err)
	}
	c := r.client(regcred.NewSecret(tok.Secret))
	if _, err := c.Credentials(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	list, err := r.local.Tokens(t.Context())
	if err != nil || len(list) != 2 || list[1].ID != tok.ID || list[1].Secret != "" {
		t.Errorf("tokens: %+v, %v", list, err)
	}
	if err := r.local.DeleteToken(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Credentials(t.Context(), nil); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Errorf("a deleted token: %v", err)
	}
}

package registry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

var scopedPolicy = registry.Policy{
	{Pattern: "acme/dev/*", Scope: regcred.SpaceScope("acme", "dev")},
	{Pattern: "acme/ops/*", Scope: regcred.SpaceScope("acme", "ops")},
	{Pattern: "acme/*", Scope: regcred.OrgScope("acme")},
	{Pattern: "other/*", Scope: regcred.OrgScope("other")},
}

// scoped are repositories of each scope.
var scoped = []string{"acme/dev/app", "acme/ops/app", "acme/app", "other/app", "base/os"}

// TestScopes holds who may pull and push the repositories of which scope, with the
// token itself and with a Bearer token made from it.
func TestScopes(t *testing.T) {
	h := newPolicyHarness(t, scopedPolicy)
	for _, repo := range scoped {
		pushImage(t, h.storage, repo, "v1")
	}
	acme, dev := regcred.OrgScope("acme"), regcred.SpaceScope("acme", "dev")
	web := regcred.AppScope("acme", "dev", "web")
	repos := func(list ...string) []string { return list }
	for _, test := range []struct {
		name       string
		token      regcred.APIToken
		pull, push []string
	}{
		{"puller of all", regcred.APIToken{Role: regcred.RolePuller}, scoped, nil},
		{"pusher of all", regcred.APIToken{Role: regcred.RolePusher}, scoped, scoped},
		{"admin", regcred.APIToken{Role: regcred.RoleAdmin}, scoped, scoped},
		{"puller of acme", regcred.APIToken{Role: regcred.RolePuller, Scope: acme}, repos("acme/dev/app", "acme/ops/app", "acme/app", "base/os"), nil},
		{"target of acme", regcred.APIToken{Role: regcred.RoleTarget, Scope: acme}, repos("acme/dev/app", "acme/ops/app", "acme/app", "base/os"), nil},
		{"puller of a space", regcred.APIToken{Role: regcred.RolePuller, Scope: dev}, repos("acme/dev/app", "acme/app", "base/os"), nil},
		{"puller of an app", regcred.APIToken{Role: regcred.RolePuller, Scope: web}, repos("acme/dev/app", "acme/app", "base/os"), nil},
		{"pusher of acme", regcred.APIToken{Role: regcred.RolePusher, Scope: acme}, repos("acme/dev/app", "acme/ops/app", "acme/app", "base/os"), repos("acme/dev/app", "acme/ops/app", "acme/app")},
		{"pusher of a space", regcred.APIToken{Role: regcred.RolePusher, Scope: dev}, repos("acme/dev/app", "acme/app", "base/os"), repos("acme/dev/app")},
		{"pusher of an app", regcred.APIToken{Role: regcred.RolePusher, Scope: web}, repos("acme/dev/app", "acme/app", "base/os"), nil},
		{"pusher of no scope of ours", regcred.APIToken{Role: regcred.RolePusher, Scope: regcred.OrgScope("acm")}, repos("base/os"), nil},
		{"customer", regcred.APIToken{Role: regcred.RolePuller, Repositories: repos("acme/*", "base/os")}, repos("acme/dev/app", "acme/ops/app", "acme/app", "base/os"), nil},
		{"customer of a space", regcred.APIToken{Role: regcred.RolePuller, Scope: dev, Repositories: repos("acme/*")}, repos("acme/dev/app", "acme/app"), nil},
		{"builder", regcred.APIToken{Role: regcred.RolePusher, Scope: acme, Repositories: repos("acme/dev/app", "base/*")}, repos("acme/dev/app", "base/os"), repos("acme/dev/app")},
		{"reader", regcred.APIToken{Role: regcred.RoleReader}, nil, nil},
		{"auditor", regcred.APIToken{Role: regcred.RoleAuditor}, nil, nil},
		{"org manager", regcred.APIToken{Role: regcred.RoleOrgManager, Scope: acme}, nil, nil},
	} {
		test.token.Name = test.name
		_, secret, err := h.tokens.CreateAPIToken(t.Context(), test.token)
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{"basic", "bearer"} {
			var pull, push []string
			for _, repo := range scoped {
				if h.may(t, way, secret, repo, call{method: "GET", path: "/v2/" + repo + "/manifests/v1"}) {
					pull = append(pull, repo)
				}
				if h.may(t, way, secret, repo, call{method: "POST", path: "/v2/" + repo + "/blobs/uploads/"}) {
					push = append(push, repo)
				}
			}
			if diff := cmp.Diff([][]string{test.pull, test.push}, [][]string{pull, push}); diff != "" {
				t.Errorf("%s by %s: pull and push (-want +got): %s", test.name, way, diff)
			}
		}
		if len(test.pull) == 0 {
			continue
		}
		bearer := h.token(t, secret, "registry:catalog:*").Token
		for way, got := range map[string][]string{"basic": h.catalog(t, secret, ""), "bearer": h.catalog(t, regcred.Secret{}, bearer)} {
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.pull)), got); diff != "" {
				t.Errorf("%s by %s: the catalog (-want +got): %s", test.name, way, diff)
			}
		}
	}
}

// may reports whether a request is carried out, by HTTP Basic authentication or by a
// Bearer token for its repository.
func (h *harness) may(t *testing.T, way string, secret regcred.Secret, repo string, c call) bool {
	t.Helper()
	if way == "bearer" {
		c.header = map[string]string{"Authorization": "Bearer " + h.token(t, secret, "repository:"+repo+":pull,push,delete").Token}
		secret = regcred.Secret{}
	}
	a := h.do(t, secret, c)
	switch a.status {
	case 200, 202:
		return true
	case 401, 403:
		return false
	}
	t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
	return false
}

// TestScopeMoves: whose a repository is counts when a Bearer token is used, not when
// it is made.
func TestScopeMoves(t *testing.T) {
	h := newPolicyHarness(t, scopedPolicy)
	pushImage(t, h.storage, "acme/dev/app", "v1")
	secret := h.apiToken(t, regcred.RolePuller, regcred.SpaceScope("acme", "dev"))
	bearer := call{
		method: "GET", path: "/v2/acme/dev/app/manifests/v1",
		header: map[string]string{"Authorization": "Bearer " + h.token(t, secret, "repository:acme/dev/app:pull").Token},
	}
	if got := h.from("127.0.0.1:1", bearer); got != 200 {
		t.Fatalf("status %d", got)
	}
	moved := newPolicyHarness(t, registry.Policy{{Pattern: "acme/dev/*", Scope: regcred.SpaceScope("acme", "ops")}})
	server, err := registry.New(registry.Options{Storage: moved.storage, Tokens: h.tokens})
	if err != nil {
		t.Fatal(err)
	}
	moved.Config.Handler = server
	if got := moved.from("127.0.0.1:1", bearer); got != 401 {
		t.Errorf("of a repository that is another scope's now: %d", got)
	}
}

// TestBearerEndsWithItsAPIToken: a Bearer token does not outlive the API token that it
// was made from.
func TestBearerEndsWithItsAPIToken(t *testing.T) {
	h := newHarness(t)
	made, secret, err := h.tokens.CreateAPIToken(t.Context(), regcred.APIToken{
		Name: "customer", Role: regcred.RolePuller, ExpiresAt: time.Now().Add(30 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := h.token(t, secret, "repository:a:pull")
	claims, err := h.tokens.Verify(time.Now(), got.Token, token.UseAccess)
	if err != nil {
		t.Fatal(err)
	}
	if claims.ExpiresAt.After(made.ExpiresAt) || got.ExpiresIn > 30 {
		t.Errorf("the token ends at %s, in %d s; the API token at %s", claims.ExpiresAt, got.ExpiresIn, made.ExpiresAt)
	}
}

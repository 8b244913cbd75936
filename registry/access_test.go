package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

const tokenPath = registry.TokenPath

// TestAccess holds what each kind of login may do with each kind of request.
func TestAccess(t *testing.T) {
	h := newHarness(t)
	other := newTokens(t, "registry.test")
	pull, all := grant("acme/app", token.Pull), token.Actions
	space := regcred.SpaceScope("o", "s")
	logins := map[string]regcred.Secret{
		"nobody":        {},
		"wrong":         regcred.NewSecret("secret"),
		"admin":         h.admin(t),
		"puller":        h.apiToken(t, regcred.RolePuller, regcred.Foundation),
		"target":        h.apiToken(t, regcred.RoleTarget, regcred.Foundation),
		"reader":        h.apiToken(t, regcred.RoleReader, regcred.Foundation),
		"space puller":  h.apiToken(t, regcred.RolePuller, space),
		"pull":          h.login(t, time.Minute, pull),
		"push":          h.login(t, time.Minute, grant("acme/app", token.Push)),
		"all of acme":   h.login(t, time.Minute, grant("acme/*", all...)),
		"no grants":     h.login(t, time.Minute),
		"other server":  sign(t, other, token.UseLogin, time.Minute, grant("*", all...)),
		"bearer as pwd": sign(t, h.tokens, token.UseAccess, time.Minute, grant("*", all...)),
	}
	const app, missing = "/v2/acme/app/", "/v2/acme/none/"
	h.pushBlob(t, "acme/app", "content")
	zero := "sha256:" + strings.Repeat("0", 64)
	// What each may do, as the status of requests: ping, list tags (200 allowed),
	// get a missing manifest (404 allowed), start an upload (202), delete a missing
	// manifest (404), the catalog (200), tags of a repository that is not there
	// (404), and of one that no login is for.
	calls := []call{
		{method: "GET", path: "/v2/"},
		{method: "GET", path: app + "tags/list"},
		{method: "HEAD", path: app + "manifests/none"},
		{method: "POST", path: app + "blobs/uploads/"},
		{method: "DELETE", path: app + "manifests/" + zero},
		{method: "GET", path: "/v2/_catalog"},
		{method: "GET", path: missing + "tags/list"},
		{method: "GET", path: "/v2/other/tags/list"},
	}
	want := map[string][]int{
		"nobody":        {401, 401, 401, 401, 401, 401, 401, 401},
		"wrong":         {401, 401, 401, 401, 401, 401, 401, 401},
		"admin":         {200, 200, 404, 202, 404, 200, 404, 404},
		"puller":        {200, 200, 404, 403, 403, 200, 404, 404},
		"target":        {200, 200, 404, 403, 403, 200, 404, 404},
		"reader":        {200, 403, 403, 403, 403, 403, 403, 403},
		"space puller":  {200, 200, 404, 403, 403, 200, 404, 404}, // what the foundation has
		"pull":          {200, 200, 404, 403, 403, 200, 403, 403},
		"push":          {200, 403, 403, 202, 403, 403, 403, 403},
		"all of acme":   {200, 200, 404, 202, 404, 200, 404, 403},
		"no grants":     {200, 403, 403, 403, 403, 403, 403, 403},
		"other server":  {401, 401, 401, 401, 401, 401, 401, 401},
		"bearer as pwd": {401, 401, 401, 401, 401, 401, 401, 401},
	}
	for who, login := range logins {
		var got []int
		for _, c := range calls {
			got = append(got, h.do(t, login, c).status)
		}
		if diff := cmp.Diff(want[who], got); diff != "" {
			t.Errorf("%s (-want +got): %s", who, diff)
		}
	}
}

// TestBearer holds what a Bearer token allows, which is what it was asked for.
func TestBearer(t *testing.T) {
	h := newHarness(t)
	h.pushBlob(t, "acme/app", "content")
	other := newTokens(t, "registry.test")
	pull := grant("acme/app", token.Pull)
	now := time.Now()
	expired, err := h.tokens.Sign(token.Claims{
		Subject: "x", Use: token.UseAccess, Grants: []token.Grant{pull},
		IssuedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		raw    string
		path   string
		status int
		reason string // of the challenge
	}{
		{"pull", sign(t, h.tokens, token.UseAccess, time.Minute, pull).Reveal(), "/v2/acme/app/tags/list", 200, ""},
		{"ping", sign(t, h.tokens, token.UseAccess, time.Minute).Reveal(), "/v2/", 200, ""},
		{"other repository", sign(t, h.tokens, token.UseAccess, time.Minute, pull).Reveal(), "/v2/acme/other/tags/list", 401, "insufficient_scope"},
		{"no grants", sign(t, h.tokens, token.UseAccess, time.Minute).Reveal(), "/v2/acme/app/tags/list", 401, "insufficient_scope"},
		{"expired", expired.Reveal(), "/v2/acme/app/tags/list", 401, "invalid_token"},
		{"other server", sign(t, other, token.UseAccess, time.Minute, pull).Reveal(), "/v2/acme/app/tags/list", 401, "invalid_token"},
		{"a login", h.login(t, time.Minute, pull).Reveal(), "/v2/acme/app/tags/list", 401, "invalid_token"},
		{"an API token", h.admin(t).Reveal(), "/v2/acme/app/tags/list", 401, "invalid_token"},
		{"garbage", "garbage", "/v2/", 401, "invalid_token"},
		{"nothing", "", "/v2/", 401, "invalid_token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := h.do(t, regcred.Secret{}, call{method: "GET", path: test.path, header: map[string]string{"Authorization": "Bearer " + test.raw}})
			if a.status != test.status {
				t.Errorf("status %d, want %d: %s", a.status, test.status, a.body)
			}
			challenge := a.header.Get("WWW-Authenticate")
			if test.reason != "" && !strings.Contains(challenge, fmt.Sprintf(`error=%q`, test.reason)) {
				t.Errorf("challenge is %s", challenge)
			}
		})
	}
}

// TestRevoked ends a login and a Bearer token made from it.
func TestRevoked(t *testing.T) {
	h := newHarness(t)
	login := h.login(t, time.Minute, grant("acme/app", token.Pull))
	bearer := map[string]string{"Authorization": "Bearer " + h.token(t, login, "repository:acme/app:pull").Token}
	ping := func() []int {
		return []int{
			h.do(t, login, call{method: "GET", path: "/v2/"}).status,
			h.do(t, regcred.Secret{}, call{method: "GET", path: "/v2/", header: bearer}).status,
			h.do(t, login, call{method: "GET", path: tokenPath}).status,
		}
	}
	if diff := cmp.Diff([]int{200, 200, 200}, ping()); diff != "" {
		t.Fatal(diff)
	}
	if err := h.tokens.Revoke(t.Context(), "credential-1", time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{401, 401, 401}, ping()); diff != "" {
		t.Error("after the revocation (-want +got):", diff)
	}
}

// TestAPITokenDeleted ends an API token and a Bearer token made from it.
func TestAPITokenDeleted(t *testing.T) {
	h := newHarness(t)
	secret := h.admin(t)
	bearer := map[string]string{"Authorization": "Bearer " + h.token(t, secret, "").Token}
	id, _ := token.APITokenID(secret.Reveal())
	if err := h.tokens.DeleteAPIToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{
		h.do(t, secret, call{method: "GET", path: "/v2/"}).status,
		h.do(t, regcred.Secret{}, call{method: "GET", path: "/v2/", header: bearer}).status,
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("status %d after the API token was deleted", status)
		}
	}
}

func TestChallenge(t *testing.T) {
	h := newHarness(t)
	zero := "sha256:" + strings.Repeat("0", 64)
	for path, want := range map[string]struct{ method, scope string }{
		"/v2/":                                    {"GET", ""},
		"/v2/_catalog":                            {"GET", "registry:catalog:*"},
		"/v2/a/b/tags/list":                       {"GET", "repository:a/b:pull"},
		"/v2/a/b/manifests/v1":                    {"PUT", "repository:a/b:pull,push"},
		"/v2/a/blobs/" + zero:                     {"DELETE", "repository:a:delete"},
		"/v2/a/blobs/uploads/":                    {"POST", "repository:a:pull,push"},
		"/v2/a/blobs/uploads/manifests/v1":        {"GET", "repository:a/blobs/uploads:pull"},
		"/v2/a/blobs/uploads/some-id":             {"PATCH", "repository:a:pull,push"},
		"/v2/a/manifests/x/blobs/uploads/":        {"POST", "repository:a/manifests/x:pull,push"},
		"/v2/tags/list/tags/list":                 {"GET", "repository:tags/list:pull"},
		"/v2/a%2Fb/tags/list":                     {"GET", "repository:a/b:pull"},
		"/v2/a/referrers/" + zero + "?x=1":        {"GET", "repository:a:pull"},
		"/v2/a/manifests/" + zero:                 {"HEAD", "repository:a:pull"},
		"/v2/a/blobs/uploads/?mount=x&from=y":     {"POST", "repository:a:pull,push repository:y:pull"},
		"/v2/a/blobs/uploads/?mount=x&from=../y":  {"POST", "repository:a:pull,push"},
		"/v2/a/tags/list?scope=repository:b:pull": {"GET", "repository:a:pull"},
	} {
		a := h.do(t, regcred.Secret{}, call{method: want.method, path: path})
		challenge := fmt.Sprintf(`Bearer realm="%s",service="%s"`, h.URL+tokenPath, h.host)
		if want.scope != "" {
			challenge += fmt.Sprintf(",scope=%q", want.scope)
		}
		if got := a.header.Get("WWW-Authenticate"); a.status != 401 || got != challenge {
			t.Errorf("%s: %d, challenge\n%s, want\n%s", path, a.status, got, challenge)
		}
	}
}

// TestRealm holds where clients are sent for a token.
func TestRealm(t *testing.T) {
	public, err := url.Parse("https://public.example.com/base/?x=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		public  *url.URL
		target  string
		realm   string
		service string
	}{
		{nil, "http://registry.test:8440/v2/", "http://registry.test:8440" + tokenPath, "registry.test:8440"},
		{nil, "https://registry.test/v2/", "https://registry.test" + tokenPath, "registry.test"},
		{public, "http://10.0.0.1:8440/v2/", "https://public.example.com/base" + tokenPath, "public.example.com"},
	} {
		server, err := registry.New(registry.Options{
			Storage: openStorage(t, t.TempDir()), Tokens: newTokens(t, "x"), PublicURL: test.public,
		})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.target, nil))
		want := fmt.Sprintf("Bearer realm=%q,service=%q", test.realm, test.service)
		if got := w.Header().Get("WWW-Authenticate"); got != want {
			t.Errorf("challenge is\n%s, want\n%s", got, want)
		}
	}
}

// tokenAnswer is the JSON of the token endpoint.
type tokenAnswer struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
}

// token asks the token endpoint for scopes.
func (h *harness) token(t *testing.T, login regcred.Secret, scopes ...string) tokenAnswer {
	t.Helper()
	query := url.Values{"service": {h.host}, "scope": scopes}
	a := h.do(t, login, call{method: "GET", path: tokenPath + "?" + query.Encode()})
	var got tokenAnswer
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
		t.Fatalf("the token endpoint answered %d: %s", a.status, a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers are %v", a.header)
	}
	return got
}

// TestTokenEndpoint holds which grants a Bearer token gets.
func TestTokenEndpoint(t *testing.T) {
	h := newHarness(t)
	login := h.login(t, time.Hour, grant("acme/*", token.Pull), grant("acme/app", token.Push))
	tests := []struct {
		name   string
		login  regcred.Secret
		scopes []string
		want   []token.Grant
	}{
		{"nothing asked", login, nil, nil},
		{"less than allowed", login, []string{"repository:acme/app:pull"}, []token.Grant{grant("acme/app", token.Pull)}},
		{"more than allowed", login, []string{"repository:acme/app:pull,push,delete"}, []token.Grant{grant("acme/app", token.Pull, token.Push)}},
		{"all actions", login, []string{"repository:acme/other:*"}, []token.Grant{grant("acme/other", token.Pull)}},
		{"another repository", login, []string{"repository:other:pull"}, nil},
		{"two parameters", login, []string{"repository:acme/a:pull", "repository:acme/b:pull"}, []token.Grant{grant("acme/a", token.Pull), grant("acme/b", token.Pull)}},
		{"one list", login, []string{"repository:acme/a:pull repository:acme/b:pull"}, []token.Grant{grant("acme/a", token.Pull), grant("acme/b", token.Pull)}},
		{"patterns", login, []string{"repository:*:pull", "repository:acme/*:pull"}, nil},
		{"malformed", login, []string{"repository:acme/app", "acme/app:pull", ":::", "repository:acme/app:", "repository:../x:pull", "repository:acme/app:pull:push"}, nil},
		{"the catalog", login, []string{"registry:catalog:*"}, []token.Grant{grant("acme/*", token.Pull)}},
		{"the catalog, admin", h.admin(t), []string{"registry:catalog:*"}, []token.Grant{grant("*", token.Pull)}},
		{"admin", h.admin(t), []string{"repository:x/y:delete,push"}, []token.Grant{grant("x/y", token.Push, token.Delete)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := h.token(t, test.login, test.scopes...)
			claims, err := h.tokens.Verify(time.Now(), got.Token, token.UseAccess)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, claims.Grants); diff != "" {
				t.Error("grants (-want +got):", diff)
			}
			if got.AccessToken != got.Token || got.ExpiresIn != 300 || got.IssuedAt.IsZero() {
				t.Errorf("answer is %d s from %s on", got.ExpiresIn, got.IssuedAt)
			}
		})
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	h := newHarness(t)
	many := strings.Repeat("&scope=repository:a:pull", 65)
	bearer := "Bearer " + sign(t, h.tokens, token.UseAccess, time.Minute).Reveal()
	for _, test := range []struct {
		name   string
		login  regcred.Secret
		call   call
		status int
	}{
		{"nobody", regcred.Secret{}, call{method: "GET", path: tokenPath}, 401},
		{"wrong", regcred.NewSecret("x"), call{method: "GET", path: tokenPath}, 401},
		{"bearer", regcred.Secret{}, call{method: "GET", path: tokenPath, header: map[string]string{"Authorization": bearer}}, 401},
		{"delete", h.admin(t), call{method: "DELETE", path: tokenPath}, 405},
		{"too many scopes", h.admin(t), call{method: "GET", path: tokenPath + "?service=x" + many}, 400},
	} {
		a := h.do(t, test.login, test.call)
		if a.status != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.name, a.status, test.status, a.body)
		}
		if challenge := a.header.Get("WWW-Authenticate"); (a.status == 401) != strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%s: challenge %q", test.name, challenge)
		}
	}
}

// TestTokenLifetime gives a Bearer token no longer life than its login has.
func TestTokenLifetime(t *testing.T) {
	h := newHarness(t)
	got := h.token(t, h.login(t, 30*time.Second, grant("a", token.Pull)), "repository:a:pull")
	claims, err := h.tokens.Verify(time.Now(), got.Token, token.UseAccess)
	if err != nil {
		t.Fatal(err)
	}
	if got.ExpiresIn > 30 || time.Until(claims.ExpiresAt) > 30*time.Second {
		t.Errorf("a token of a 30 s login lives %d s, until %s", got.ExpiresIn, claims.ExpiresAt)
	}
}

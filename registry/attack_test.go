package registry_test

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/registry"
	"regcred.dev/token"
)

// attackedPolicy opens what it can beside what is attacked.
var attackedPolicy = registry.Policy{
	{Pattern: "acme/dev/*", Scope: regcred.SpaceScope("acme", "dev")},
	{Pattern: "open/*", Public: true, PushFrom: prefixes("127.0.0.0/8")},
	{Pattern: "acme/*", Scope: regcred.OrgScope("acme"), Public: true},
	{Pattern: "other/*", Scope: regcred.OrgScope("other")},
}

// TestEveryRouteKeepsStrangersOut asks by every route for a repository of a scope that
// is not the caller's, by tag, digest and upload (CVE-2026-45808, CVE-2026-55774,
// CVE-2026-40264): none is answered but by a refusal, so none says what there is.
func TestEveryRouteKeepsStrangersOut(t *testing.T) {
	h := newPolicyHarness(t, attackedPolicy)
	const repo = "acme/dev/app"
	want := pushImage(t, h.storage, repo, "v1")
	stranger := h.apiToken(t, regcred.RolePusher, regcred.OrgScope("other"))
	neighbour := h.apiToken(t, regcred.RolePusher, regcred.SpaceScope("acme", "ops"))
	customer, err := h.customer(t, regcred.RolePusher, "acme/dev/other", "acme/dev/app/*", "open/*")
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(password regcred.Secret, scopes ...string) map[string]string {
		return map[string]string{"Authorization": "Bearer " + h.token(t, password, scopes...).Token}
	}
	const ask = "repository:" + repo + ":pull,push,delete"
	for name, who := range map[string]struct {
		password regcred.Secret
		header   map[string]string
	}{
		"nobody":                        {},
		"a Bearer token of nobody":      {header: bearer(regcred.Secret{}, ask, "repository:open/app:pull")},
		"another organization's":        {password: stranger},
		"the same by Bearer token":      {header: bearer(stranger, ask)},
		"another space's":               {password: neighbour},
		"the same by Bearer":            {header: bearer(neighbour, ask, "registry:catalog:*")},
		"for other repositories":        {password: customer},
		"the same with a Bearer":        {header: bearer(customer, ask)},
		"a login for other ones":        {password: h.login(t, time.Minute, grant("acme/dev/app/*", token.Actions...), grant("acme/dev", token.Actions...))},
		"an admin's, for other ones":    {header: bearer(h.admin(t), "repository:open/app:pull,push,delete")},
		"a reader":                      {password: h.apiToken(t, regcred.RoleReader, regcred.Foundation)},
		"a developer of the very space": {password: h.apiToken(t, regcred.RoleSpaceDeveloper, regcred.SpaceScope("acme", "dev"))},
	} {
		for _, request := range registry.EveryRequest(repo) {
			a := h.do(t, who.password, call{method: request[0], path: request[1], header: who.header})
			if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
				t.Errorf("%s: %s %s: %d %s", name, request[0], request[1], a.status, a.body)
			}
		}
	}
	if desc, err := h.storage.ResolveTag(t.Context(), repo, "v1"); err != nil || desc.Digest != want {
		t.Errorf("the tag is now %v, %v", desc, err)
	}
}

// customer makes an API token for some repositories.
func (h *harness) customer(t testing.TB, role regcred.Role, repositories ...string) (regcred.Secret, error) {
	t.Helper()
	_, secret, err := h.tokens.CreateAPIToken(t.Context(), regcred.APIToken{Name: "customer", Role: role, Repositories: repositories})
	return secret, err
}

// TestMountAcrossScopes: stored once is not shared (CVE-2024-39897, CVE-2026-31801,
// CVE-2026-41888). A mount takes blobs along only from where the caller may pull.
func TestMountAcrossScopes(t *testing.T) {
	h := newPolicyHarness(t, attackedPolicy)
	for _, from := range []string{"acme/dev/app", "acme/base", "open/base", "other/app"} {
		h.pushBlob(t, from, "content of "+from)
	}
	pusher := h.apiToken(t, regcred.RolePusher, regcred.OrgScope("other"))
	for from, status := range map[string]int{
		"acme/dev/app": http.StatusAccepted, // an upload of one's own: no mount
		"acme/none":    http.StatusAccepted,
		"acme/base":    http.StatusCreated, // it is public
		"open/base":    http.StatusCreated,
		"other/app":    http.StatusCreated,
	} {
		blob := h.pushBlob(t, "elsewhere", "content of "+from)
		path := "/v2/other/mine/blobs/uploads/?mount=" + blob.String() + "&from=" + from
		if a := h.do(t, pusher, call{method: "POST", path: path}); a.status != status {
			t.Errorf("from %s: %d, want %d: %s", from, a.status, status, a.body)
		}
		has := h.do(t, pusher, call{method: "HEAD", path: "/v2/other/mine/blobs/" + blob.String()}).status == http.StatusOK
		if has != (status == http.StatusCreated) {
			t.Errorf("from %s: the blob is there %t", from, has)
		}
	}
}

// TestNoFailOpen: while logins cannot be checked, who sends one gets nothing, not even
// what nobody in particular gets; and who sends none gets no more than that
// (GHSA-2v5f-5r6w-p67r).
func TestNoFailOpen(t *testing.T) {
	h := newPolicyHarness(t, attackedPolicy)
	for _, repo := range []string{"acme/dev/app", "open/app"} {
		pushImage(t, h.storage, repo, "v1")
	}
	for _, fault := range []error{
		regcred.Errorf(regcred.Unavailable, "the store is away"), regcred.Errorf(regcred.Throttled, "too many"),
	} {
		server, err := registry.New(registry.Options{Storage: h.storage, Tokens: failingTokens{fault}})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(method, path, authorization, body string) int {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			return w.Code
		}
		for _, path := range []string{"/v2/", "/v2/acme/dev/app/manifests/v1", "/v2/open/app/manifests/v1", "/v2/_catalog", tokenPath} {
			for _, authorization := range []string{"Bearer x", "Basic " + base64.StdEncoding.EncodeToString([]byte("x:a.b.c"))} {
				if got := ask("GET", path, authorization, ""); got < 500 {
					t.Errorf("%v: %s with %.6s: %d", fault, path, authorization, got)
				}
			}
		}
		if got := ask("POST", tokenPath, "", "grant_type=password&password=a.b.c&scope=repository:open/app:pull"); got < 500 {
			t.Errorf("%v: a form: %d", fault, got)
		}
		if open, closed := ask("GET", "/v2/open/app/manifests/v1", "", ""), ask("GET", "/v2/acme/dev/app/manifests/v1", "", ""); open != 200 || closed != 401 {
			t.Errorf("%v: nobody gets %d of what is open, and %d of what is not", fault, open, closed)
		}
	}
}

// TestHugeLogins: what is too long is refused, and not worked on (CVE-2025-27144,
// CVE-2025-30204, CVE-2025-59043).
func TestHugeLogins(t *testing.T) {
	h := newPolicyHarness(t, attackedPolicy)
	const size = 10 << 20
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+password))
	}
	for name, authorization := range map[string]string{
		"Bearer of dots":       "Bearer " + strings.Repeat(".", size),
		"Bearer of spaces":     "Bearer " + strings.Repeat(" ", size) + "x",
		"Bearer of brackets":   "Bearer " + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", size/2))) + ".e30.e30",
		"Basic of dots":        basic(strings.Repeat(".", size)),
		"Basic of a JWT":       basic(strings.Repeat("A", size) + ".e30.e30"),
		"Basic of an API one":  basic("rcat_" + strings.Repeat("0", size)),
		"Basic that is no use": "Basic " + strings.Repeat("!", size),
		"no scheme":            strings.Repeat("x", size),
	} {
		for _, path := range []string{"/v2/acme/dev/app/tags/list", tokenPath} {
			if got := h.from("127.0.0.1:1", call{method: "GET", path: path, header: map[string]string{"Authorization": authorization}}); got != http.StatusUnauthorized {
				t.Errorf("%s: %s: %d", name, path, got)
			}
		}
	}
	scope := "repository:" + strings.Repeat("a/", size/2) + ":" + strings.Repeat("pull,", 100)
	r := httptest.NewRequest(http.MethodGet, tokenPath+"?scope="+url.QueryEscape(scope), nil)
	w := httptest.NewRecorder()
	h.Config.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.Len() > 2<<10 { // a token for nothing, which does not repeat it
		t.Errorf("a huge scope: %d, %d bytes", w.Code, w.Body.Len())
	}
}

// TestRealmIsOurs: no header but Host says where clients send their logins
// (CVE-2026-48978, CVE-2026-33540, CVE-2026-33990), and with a public URL not even that.
func TestRealmIsOurs(t *testing.T) {
	public := &url.URL{Scheme: "https", Host: "registry.example.com"}
	server, err := registry.New(registry.Options{Storage: openStorage(t, t.TempDir()), Tokens: newTokens(t, "x"), PublicURL: public})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v2/", "/v2/a%22,realm=%22http:%2f%2fevil.example/tags/list", "/v2/a/tags/list?service=evil.example"} {
		r := httptest.NewRequest(http.MethodGet, "http://evil.example"+path, nil)
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-Url", "Origin"} {
			r.Header.Set(name, "http://evil.example")
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		challenge := w.Header().Get("WWW-Authenticate")
		if strings.Contains(challenge, "evil") || w.Code == 401 && !strings.HasPrefix(challenge, `Bearer realm="https://registry.example.com`+tokenPath+`",service="registry.example.com"`) {
			t.Errorf("%s: %d, %s", path, w.Code, challenge)
		}
	}
}

// TestRemovedTokenIsOut: an API token that was deleted is out at once, with all that
// was made from it, also where another process deleted it (CVE-2025-23208).
func TestRemovedTokenIsOut(t *testing.T) {
	h := newPolicyHarness(t, attackedPolicy)
	pushImage(t, h.storage, "acme/dev/app", "v1")
	secret, err := h.customer(t, regcred.RolePusher, "acme/dev/*")
	if err != nil {
		t.Fatal(err)
	}
	pull := call{method: "GET", path: "/v2/acme/dev/app/manifests/v1"}
	bearer := pull
	bearer.header = map[string]string{"Authorization": "Bearer " + h.token(t, secret, "repository:acme/dev/app:pull").Token}
	statuses := func() []int {
		exchange := h.post(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {secret.Reveal()}})
		return []int{h.do(t, secret, pull).status, h.do(t, regcred.Secret{}, bearer).status, exchange.status}
	}
	for i, status := range statuses() {
		if status != http.StatusOK {
			t.Errorf("way %d before: %d", i, status)
		}
	}
	id, _ := token.APITokenID(secret.Reveal())
	if err := h.tokens.DeleteAPIToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for i, status := range statuses() {
		if status != http.StatusUnauthorized {
			t.Errorf("way %d after: %d", i, status)
		}
	}
}

// TestNoLoginIsLogged sends logins in every way there is, good and bad, and looks for
// them in the log (CVE-2020-8564, CVE-2025-48374, CVE-2025-62705, CVE-2023-22649).
func TestNoLoginIsLogged(t *testing.T) {
	h := newPolicyHarness(t, attackedPolicy)
	log := new(syncBuffer)
	server, err := registry.New(registry.Options{
		Storage: h.storage, Tokens: h.tokens, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Config.Handler = server
	admin, login := h.admin(t).Reveal(), h.login(t, time.Minute, grant("acme/*", token.Pull)).Reveal()
	access := sign(t, h.tokens, token.UseAccess, time.Minute, grant("acme/*", token.Pull)).Reveal()
	for _, secret := range []string{admin, admin + "0", login, login[:len(login)-3] + "abc", access, "canary-71c3/+"} {
		var said string
		for _, authorization := range []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+secret)), "Bearer " + secret, secret} {
			for _, path := range []string{"/v2/", "/v2/acme/app/tags/list", tokenPath} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Authorization", authorization)
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				said += w.Header().Get("WWW-Authenticate") + w.Header().Get("Location")
				if path != tokenPath {
					said += w.Body.String()
				}
			}
		}
		for _, field := range []string{"password", "refresh_token"} {
			for _, grantType := range []string{"password", "refresh_token", "x"} {
				a := h.post(t, url.Values{"grant_type": {grantType}, field: {secret}})
				if a.status != http.StatusOK {
					said += a.body
				}
			}
		}
		if found := regcredtest.Leaks([]byte(log.String()+said), secret); len(found) > 0 {
			t.Errorf("a login of %d bytes is said: %v", len(secret), found)
		}
	}
	if !strings.Contains(log.String(), tokenPath) {
		t.Error("nothing was logged at all")
	}
}

package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/token"
)

// newPolicyHarness is newHarness with a policy, and proxies that it trusts.
func newPolicyHarness(t testing.TB, policy registry.Policy, proxies ...netip.Prefix) *harness {
	t.Helper()
	return newHarnessOf(t, policy, registry.Options{TrustedProxies: proxies})
}

// newHarnessOf is newHarness with a policy, and a server of those options.
func newHarnessOf(t testing.TB, policy registry.Policy, o registry.Options) *harness {
	t.Helper()
	h := &harness{dir: t.TempDir(), log: new(syncBuffer), tokens: newTokens(t, "registry.test")}
	blobs, err := blob.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	h.storage = registry.NewStorage(blobs, registry.StorageOptions{Policy: policy})
	o.Storage, o.Tokens = h.storage, h.tokens
	server, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(server)
	t.Cleanup(h.Close)
	h.host = strings.TrimPrefix(h.URL, "http://")
	return h
}

var publicPolicy = registry.Policy{
	{Pattern: "public/secret"},
	{Pattern: "public/*", Public: true},
}

// TestPublic holds what is there without a login: public repositories, and nothing
// that says what else there is.
func TestPublic(t *testing.T) {
	h := newPolicyHarness(t, publicPolicy)
	for _, repo := range []string{"public/app", "public/secret", "private/app"} {
		pushImage(t, h.storage, repo, "v1")
	}
	content := h.pushBlob(t, "public/app", "content")
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v2/", 401}, // where clients find out how to log in
		{"GET", "/v2/public/app/manifests/v1", 200},
		{"HEAD", "/v2/public/app/manifests/v1", 200},
		{"GET", "/v2/public/app/blobs/" + content.String(), 200},
		{"GET", "/v2/public/app/tags/list", 200},
		{"GET", "/v2/public/app/referrers/" + content.String(), 200},
		{"GET", "/v2/public/none/tags/list", 404},
		{"GET", "/v2/public/secret/manifests/v1", 401},
		{"GET", "/v2/public/secret/blobs/" + content.String(), 401},
		{"GET", "/v2/private/app/tags/list", 401},
		{"GET", "/v2/private/none/tags/list", 401},
		{"GET", "/v2/public/tags/list", 401},
		{"PUT", "/v2/public/app/manifests/v2", 401},
		{"POST", "/v2/public/app/blobs/uploads/", 401},
		{"DELETE", "/v2/public/app/manifests/v1", 401},
		{"DELETE", "/v2/public/app/blobs/" + content.String(), 401},
	} {
		if a := h.do(t, regcred.Secret{}, call{method: test.method, path: test.path}); a.status != test.status {
			t.Errorf("%s %s: %d, want %d: %s", test.method, test.path, a.status, test.status, a.body)
		}
	}
	want := []string{"public/app"}
	if diff := cmp.Diff(want, h.catalog(t, regcred.Secret{}, "")); diff != "" {
		t.Errorf("the catalog (-want +got): %s", diff)
	}
}

// catalog lists the repositories, by Bearer token where there is one.
func (h *harness) catalog(t testing.TB, password regcred.Secret, bearer string) []string {
	t.Helper()
	c := call{method: "GET", path: "/v2/_catalog"}
	if bearer != "" {
		c.header = map[string]string{"Authorization": "Bearer " + bearer}
	}
	a := h.do(t, password, c)
	var list struct{ Repositories []string }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
		t.Fatalf("the catalog answered %d: %s", a.status, a.body)
	}
	return list.Repositories
}

// TestPublicByToken takes the way of docker: without a login a client asks for a
// token, which lets it pull what is public.
func TestPublicByToken(t *testing.T) {
	h := newPolicyHarness(t, publicPolicy)
	pushImage(t, h.storage, "public/app", "v1")
	pushImage(t, h.storage, "private/app", "v1")
	for _, scope := range []string{"", "repository:public/app:pull", "registry:catalog:*"} {
		got := h.token(t, regcred.Secret{}, strings.Fields(scope)...)
		claims, err := h.tokens.Verify(time.Now(), got.Token, token.UseAccess)
		if err != nil || len(claims.Grants) != 0 || claims.Subject != "nobody" {
			t.Errorf("%q: the token of nobody says %+v, %v", scope, claims, err)
		}
		bearer := map[string]string{"Authorization": "Bearer " + got.Token}
		for path, status := range map[string]int{
			"/v2/":                        200,
			"/v2/public/app/manifests/v1": 200, "/v2/private/app/manifests/v1": 401,
		} {
			if a := h.do(t, regcred.Secret{}, call{method: "GET", path: path, header: bearer}); a.status != status {
				t.Errorf("%q: %s: %d, want %d", scope, path, a.status, status)
			}
		}
		if diff := cmp.Diff([]string{"public/app"}, h.catalog(t, regcred.Secret{}, got.Token)); diff != "" {
			t.Errorf("%q: the catalog (-want +got): %s", scope, diff)
		}
	}
	for _, scope := range []string{"repository:private/app:pull", "repository:public/app:push", "repository:public/secret:pull,push"} {
		query := url.Values{"scope": {scope}}
		if a := h.do(t, regcred.Secret{}, call{method: "GET", path: tokenPath + "?" + query.Encode()}); a.status != 401 {
			t.Errorf("%q without a login: %d %s", scope, a.status, a.body)
		}
	}
	if a := h.do(t, regcred.NewSecret("wrong"), call{method: "GET", path: tokenPath + "?scope=repository:public/app:pull"}); a.status != 401 {
		t.Errorf("a wrong password for what is public: %d", a.status)
	}
	if a := h.do(t, regcred.NewSecret("wrong"), call{method: "GET", path: "/v2/public/app/manifests/v1"}); a.status != 401 {
		t.Errorf("a wrong password where none is needed: %d", a.status)
	}
}

// TestPublicByClient pulls with a real client that has no login.
func TestPublicByClient(t *testing.T) {
	h := newPolicyHarness(t, publicPolicy)
	admin := h.admin(t)
	for _, repo := range []string{"public/app", "private/app"} {
		if err := remote.Write(h.ref(t, repo+":v1"), randomImage(t), remote.WithAuth(authFor(admin))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := remote.Image(h.ref(t, "public/app:v1"), remote.WithAuth(authn.Anonymous)); err != nil {
		t.Error("what is public:", err)
	}
	if _, err := remote.Image(h.ref(t, "private/app:v1"), remote.WithAuth(authn.Anonymous)); err == nil || !strings.Contains(err.Error(), "log in first") {
		t.Error("what is not public:", err)
	}
	if err := remote.Write(h.ref(t, "public/app:v2"), randomImage(t), remote.WithAuth(authn.Anonymous)); err == nil {
		t.Error("nobody pushed")
	}
}

// TestNoToken: where nothing is public, nobody gets a token.
func TestNoToken(t *testing.T) {
	h := newHarness(t)
	for _, query := range []string{"", "?scope=repository:a:pull", "?scope=registry:catalog:*", "?scope=x"} {
		a := h.do(t, regcred.Secret{}, call{method: "GET", path: tokenPath + query})
		if a.status != 401 || a.header.Get("WWW-Authenticate") != `Basic realm="regcred"` {
			t.Errorf("%q: %d, %v", query, a.status, a.header)
		}
	}
}

// TestCatalogOfALogin lists what a login may pull, by Basic authentication and by
// Bearer token.
func TestCatalogOfALogin(t *testing.T) {
	h := newPolicyHarness(t, publicPolicy)
	for _, repo := range []string{"public/app", "acme/app", "acme/tools/make", "other/app"} {
		pushImage(t, h.storage, repo, "v1")
	}
	for name, test := range map[string]struct {
		login regcred.Secret
		want  []string
	}{
		"acme":  {h.login(t, time.Minute, grant("acme/*", token.Pull)), []string{"acme/app", "acme/tools/make", "public/app"}},
		"push":  {h.login(t, time.Minute, grant("acme/app", token.Push)), []string{"public/app"}},
		"none":  {h.login(t, time.Minute), []string{"public/app"}},
		"admin": {h.admin(t), []string{"acme/app", "acme/tools/make", "other/app", "public/app"}},
	} {
		basic := h.catalog(t, test.login, "")
		bearer := h.catalog(t, regcred.Secret{}, h.token(t, test.login, "registry:catalog:*").Token)
		for _, got := range [][]string{basic, bearer} {
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got): %s", name, diff)
			}
		}
	}
	// Pages have as many as were asked for, whatever lies between.
	a := h.do(t, h.login(t, time.Minute, grant("other/*", token.Pull)), call{method: "GET", path: "/v2/_catalog?n=1"})
	if want := `{"repositories":["other/app"]}`; a.body != want || !strings.Contains(a.header.Get("Link"), "last=other%2Fapp") {
		t.Errorf("a page: %s, %v", a.body, fmt.Sprint(a.header))
	}
}

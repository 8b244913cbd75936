package registry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

// visitor returns who sends a request with an Authorization header.
func visitor(t *testing.T, s *registry.Server, authorization string) (registry.Visitor, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", authorization)
	return s.Visitor(r)
}

func basicHeader(password regcred.Secret) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth("anyone", password.Reveal())
	return r.Header.Get("Authorization")
}

func TestVisitor(t *testing.T) {
	h := newHarness(t)
	policy := registry.Policy{{Pattern: "public/*", Public: true}}
	storage := registry.NewStorage(nil, registry.StorageOptions{Policy: policy})
	s, err := registry.New(registry.Options{Storage: storage, Tokens: h.tokens})
	if err != nil {
		t.Fatal(err)
	}
	puller, all := h.login(t, time.Minute, grant("acme/app", token.Pull)), h.login(t, time.Minute, grant("*", token.Pull, token.Push))
	for _, test := range []struct {
		name, authorization     string
		pull, push, public, all bool
	}{
		{"nobody", "", false, false, true, false},
		{"a puller", basicHeader(puller), true, false, true, false},
		{"who may all", basicHeader(all), true, true, true, true},
		{"an admin", basicHeader(h.admin(t)), true, true, true, true},
		{"a puller of an organization", basicHeader(h.apiToken(t, regcred.RolePuller, regcred.OrgScope("acme"))), true, false, true, false},
	} {
		v, err := visitor(t, s, test.authorization)
		if err != nil {
			t.Fatal(err)
		}
		if v.MayPull("acme/app") != test.pull || v.MayPush("acme/app") != test.push || v.MayPull("public/app") != test.public || v.MayPullAll() != test.all {
			t.Errorf("%s: may pull %v, push %v, pull what is public %v, all %v", test.name,
				v.MayPull("acme/app"), v.MayPush("acme/app"), v.MayPull("public/app"), v.MayPullAll())
		}
	}
	if v, err := visitor(t, s, basicHeader(regcred.NewSecret("guess"))); regcred.CodeOf(err) != regcred.Unauthenticated || v.MayPull("public/app") {
		t.Errorf("a password that is none: %v", err)
	}
	if (registry.Visitor{}).MayPull("public/app") {
		t.Error("the zero Visitor may pull")
	}
}

// TestPullToken: it is good for pulling from one repository, ends with the login that
// it was made from, and makes no others.
func TestPullToken(t *testing.T) {
	h := newHarness(t)
	s, err := registry.New(registry.Options{Storage: h.storage, Tokens: h.tokens})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	v, err := visitor(t, s, basicHeader(h.login(t, time.Minute, grant("*", token.Actions...))))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := v.PullToken(now, "acme/app")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := h.tokens.Verify(now, raw.Reveal(), token.UseAccess)
	if err != nil {
		t.Fatal(err)
	}
	if left := claims.ExpiresAt.Sub(now); left > 2*time.Minute || claims.Subject != "credential-1" {
		t.Errorf("the token is good for %v, of %q", left, claims.Subject)
	}
	bearer, err := visitor(t, s, "Bearer "+raw.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if !bearer.MayPull("acme/app") || bearer.MayPush("acme/app") || bearer.MayPull("acme/other") || bearer.MayPullAll() {
		t.Error("the token is not for pulling from its repository, or for more")
	}
	if again, err := bearer.PullToken(now, "acme/app"); err != nil || !again.IsZero() {
		t.Errorf("a token made another: %v", err)
	}
	nobody, err := visitor(t, s, "")
	if err != nil {
		t.Fatal(err)
	}
	if none, err := nobody.PullToken(now, "acme/app"); err != nil || !none.IsZero() {
		t.Errorf("nobody got a token: %v", err)
	}
}

func TestHasManifests(t *testing.T) {
	h := newHarness(t)
	h.pushBlob(t, "acme/app", "content")
	for _, name := range []string{"acme/app", "acme/none", "No/Name", ""} {
		if has, err := h.storage.HasManifests(t.Context(), name); has || err != nil {
			t.Errorf("%q: %v, %v", name, has, err)
		}
	}
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	if _, err := h.storage.PushManifest(t.Context(), "acme/app", "", []byte(manifest), "application/vnd.oci.image.index.v1+json"); err != nil {
		t.Fatal(err)
	}
	if has, err := h.storage.HasManifests(t.Context(), "acme/app"); !has || err != nil {
		t.Errorf("%v, %v", has, err)
	}
}

// TestElsewhere: who has no login gets a token for what another handler serves, with
// which they can do nothing here.
func TestElsewhere(t *testing.T) {
	h := newHarness(t)
	s, err := registry.New(registry.Options{Storage: h.storage, Tokens: h.tokens, Elsewhere: func(_ *http.Request, repo string) bool { return repo == "old/app" }})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"scope=repository:old/app:pull":                                200,
		"scope=repository:old/app:pull&scope=repository:acme/app:pull": 200,
		"scope=repository:old/app:push":                                401,
		"scope=repository:acme/app:pull":                               401,
		"":                                                             401,
		"scope=registry:catalog:*":                                     401,
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, registry.TokenPath+"?"+query, nil))
		if w.Code != want {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
}

package registry_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/token"
)

// TestPushAndPull pushes and pulls with go-containerregistry, by Bearer tokens
// and by Basic authentication on each request.
func TestPushAndPull(t *testing.T) {
	h := newHarness(t)
	login := h.login(t, time.Minute, grant("acme/*", token.Pull, token.Push))
	for name, option := range map[string]remote.Option{
		"bearer": remote.WithAuth(authFor(login)),
		"basic":  remote.WithTransport(basicTransport{login}),
	} {
		t.Run(name, func(t *testing.T) {
			img := randomImage(t)
			ref := h.ref(t, "acme/"+name+":v1")
			if err := remote.Write(ref, img, option); err != nil {
				t.Fatal(err)
			}
			pulled, err := remote.Image(ref, option)
			if err != nil {
				t.Fatal(err)
			}
			wantSameDigest(t, img, pulled)
			if err := validate.Image(pulled); err != nil {
				t.Error(err)
			}
			// Docker's own kind of manifest, which is another manifest.
			docker := mutate.MediaType(img, types.DockerManifestSchema2)
			if err := remote.Write(h.ref(t, "acme/"+name+":v2"), docker, option); err != nil {
				t.Fatal(err)
			}
			tags, err := remote.List(ref.Context(), option)
			if diff := cmp.Diff([]string{"v1", "v2"}, tags); err != nil || diff != "" {
				t.Errorf("tags (-want +got): %s, %v", diff, err)
			}
		})
	}
}

func TestPushAndPullIndex(t *testing.T) {
	h := newHarness(t)
	option := remote.WithAuth(authFor(h.admin(t)))
	index, err := random.Index(5_000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	ref := h.ref(t, "acme/multi:v1")
	if err := remote.WriteIndex(ref, index, option); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(ref, option)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(pulled); err != nil {
		t.Error(err)
	}
	names, err := remote.Catalog(t.Context(), ref.Context().Registry, option)
	if diff := cmp.Diff([]string{"acme/multi"}, names); err != nil || diff != "" {
		t.Errorf("catalog (-want +got): %s, %v", diff, err)
	}
}

// TestMountByClient lets go-containerregistry mount layers of another repository:
// with rights on it they are not sent again, without they are.
func TestMountByClient(t *testing.T) {
	h := newHarness(t)
	img := randomImage(t)
	source := h.ref(t, "source/app:v1")
	if err := remote.Write(source, img, remote.WithAuth(authFor(h.admin(t)))); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(source, remote.WithAuth(authFor(h.admin(t))))
	if err != nil {
		t.Fatal(err)
	}
	for name, grants := range map[string][]token.Grant{
		"with":    {grant("target/*", token.Pull, token.Push), grant("source/app", token.Pull)},
		"without": {grant("target/*", token.Pull, token.Push)},
	} {
		t.Run(name, func(t *testing.T) {
			option := remote.WithAuth(authFor(h.login(t, time.Minute, grants...)))
			ref := h.ref(t, "target/"+name+":v1")
			if err := remote.Write(ref, pulled, option); err != nil {
				t.Fatal(err)
			}
			copied, err := remote.Image(ref, option)
			if err != nil {
				t.Fatal(err)
			}
			wantSameDigest(t, img, copied)
		})
	}
}

// TestConcurrentPushes pushes the same image from several clients at once, to the
// same repository and to others.
func TestConcurrentPushes(t *testing.T) {
	h := newHarness(t)
	option := remote.WithAuth(authFor(h.admin(t)))
	img := randomImage(t)
	var wg sync.WaitGroup
	for _, repo := range []string{"acme/app", "acme/app", "acme/app", "acme/other", "acme"} {
		wg.Go(func() {
			if err := remote.Write(h.ref(t, repo+":v1"), img, option); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, repo := range []string{"acme/app", "acme/other", "acme"} {
		pulled, err := remote.Image(h.ref(t, repo+":v1"), option)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(pulled); err != nil {
			t.Errorf("%s: %v", repo, err)
		}
	}
}

// TestSecretsAreNotShown looks for passwords and tokens in logs, metrics and on
// disk after they were used in every way, right and wrong.
func TestSecretsAreNotShown(t *testing.T) {
	h := newHarness(t)
	admin, login := h.admin(t), h.login(t, time.Minute, grant("acme/app", token.Pull))
	bearer := sign(t, h.tokens, token.UseAccess, time.Minute, grant("acme/app", token.Pull))
	wrong := regcred.NewSecret("wrong-password-canary-7f31")
	var seen strings.Builder
	for _, secret := range []regcred.Secret{admin, login, bearer, wrong} {
		for _, path := range []string{"/v2/", "/v2/acme/app/tags/list", "/v2/other/tags/list", "/nowhere", tokenPath + "?scope=repository:acme/app:pull"} {
			for _, scheme := range []string{"Basic", "Bearer"} {
				c := call{method: http.MethodGet, path: path}
				password := secret
				if scheme == "Bearer" {
					c.header = map[string]string{"Authorization": "Bearer " + secret.Reveal()}
					password = regcred.Secret{}
				}
				a := h.do(t, password, c)
				if a.status != http.StatusOK { // an answer of the token endpoint is a token, but another one
					seen.WriteString(a.body)
				}
			}
		}
	}
	seen.WriteString(h.log.String())
	seen.WriteString(metricsText(t, h))
	for _, secret := range []regcred.Secret{admin, login, bearer, wrong} {
		if leaks := regcredtest.Leaks([]byte(seen.String()), secret.Reveal()); len(leaks) > 0 {
			t.Errorf("a secret is shown as %v", leaks)
		}
	}
	if !strings.Contains(h.log.String(), "subject=credential-1") {
		t.Error("the log does not say who asked")
	}
}

func wantSameDigest(t *testing.T, want, got v1.Image) {
	t.Helper()
	w, err := want.Digest()
	if err != nil {
		t.Fatal(err)
	}
	g, err := got.Digest()
	if err != nil || w != g {
		t.Errorf("digest is %s, want %s, %v", g, w, err)
	}
}

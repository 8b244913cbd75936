package clients_test

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"pgregory.net/rapid"

	"regcred.dev/keyring"
)

// kubeletKey returns the key under which the kubelet files an entry, and the host
// and path that it matches images by (k8s.io/kubernetes 1.35,
// pkg/credentialprovider/keyring.go, BasicDockerKeyring.Add).
func kubeletKey(t testing.TB, key string) (filed, host, prefix string) {
	if !strings.Contains(key, "://") {
		key = "https://" + key
	}
	u, err := url.Parse(key)
	must(t, err)
	if strings.HasPrefix(u.Path, "/v1/") || strings.HasPrefix(u.Path, "/v2/") {
		u.Path = u.Path[3:]
	}
	if u.Path == "/" {
		u.Path = ""
	}
	return u.Host + u.Path, u.Host, u.Path
}

// kubeletMatches does what URLsMatch does there: globs within the labels of the
// host, equal ports, and a plain string prefix of the path.
func kubeletMatches(t testing.TB, host, prefix, imageHost, imagePath string) bool {
	split := func(hostport string) ([]string, string) {
		h, port, err := net.SplitHostPort(hostport)
		if err != nil {
			h, port = hostport, ""
		}
		return strings.Split(h, "."), port
	}
	labels, port := split(host)
	imageLabels, imagePort := split(imageHost)
	return port == imagePort && strings.HasPrefix(imagePath, prefix) &&
		slices.EqualFunc(labels, imageLabels, func(glob, label string) bool {
			ok, err := path.Match(glob, label)
			must(t, err)
			return ok
		})
}

// tried is a key that the kubelet tries for an image.
type tried struct {
	key, prefix string
	login       login
}

// kubeletTries returns what the kubelet tries for an image, in its order.
func kubeletTries(t testing.TB, r keyring.Rendering, image string) []tried {
	named, err := reference.ParseNormalizedNamed(image)
	must(t, err)
	host, imagePath := reference.Domain(named), "/"+reference.Path(named)
	var list []tried
	for _, a := range r.Auths {
		filed, keyHost, prefix := kubeletKey(t, a.Key)
		if keyHost == "index.docker.io" {
			t.Fatalf("key %s: the kubelet would also use it for images at localhost", a.Key)
		}
		if kubeletMatches(t, keyHost, prefix, host, imagePath) {
			list = append(list, tried{filed, prefix, login{a.Username, a.Password.Reveal()}})
		}
	}
	slices.SortFunc(list, func(a, b tried) int { return strings.Compare(b.key, a.key) })
	return list
}

// TestKubelet holds the rule for the kubelet's matching, written out above from
// its source: the first login that it tries is what regcred gives. Others may
// follow only below a path that has a key, and only they are tried at the very
// path.
func TestKubelet(t *testing.T) {
	all := images()
	var given, globbed int
	rapid.Check(t, func(r *rapid.T) {
		book := draw(r)
		k := book.Keyring(rapid.SampledFrom(scopes).Draw(r, "scope asked for"))
		rendering, err := k.Render(keyring.Kubelet, keyring.RenderOptions{})
		must(t, err)
		for _, a := range rendering.Auths {
			if strings.HasPrefix(a.Key, "*.") {
				globbed++
			}
		}
		for _, image := range rapid.SliceOfN(rapid.SampledFrom(all), 20, 20).Draw(r, "images") {
			tries := kubeletTries(t, rendering, image)
			if atKey(rendering, image) {
				continue
			}
			if len(tries) == 0 {
				check(r, k, book, keyring.Kubelet, image, login{})
				continue
			}
			given++
			check(r, k, book, keyring.Kubelet, image, tries[0].login)
			for _, next := range tries[1:] {
				if next.login != tries[0].login && tries[0].prefix == "" {
					r.Fatalf("%s: the kubelet also tries %s, and no path of the image has a key", image, next.key)
				}
			}
		}
	})
	if given == 0 || globbed == 0 {
		t.Errorf("the kubelet got %d logins and %d keys with globs", given, globbed)
	}
}

// atKey reports whether an image's repository is the very path of a key, which
// the kubelet does not match.
func atKey(r keyring.Rendering, image string) bool {
	named, err := reference.ParseNormalizedNamed(image)
	return err == nil && slices.ContainsFunc(r.Auths, func(a keyring.Auth) bool { return a.Key == named.Name()+"/" })
}

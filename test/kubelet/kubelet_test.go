package kubelet_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/test/books"
)

// TestKubelet holds the rule of dialect kubelet: what a node tries first for an image
// is what regcred gives for it. Others may follow only where a key has a path that the
// image is at or below; an image at the very path, which the kubelet does not match,
// may have those alone. What can be said is there.
func TestKubelet(t *testing.T) {
	images := books.Images()
	n := counts{}
	rapid.Check(t, func(r *rapid.T) {
		c := newCase(t, r, keyring.Kubelet)
		if slices.ContainsFunc(c.rendering.Auths, func(a keyring.Auth) bool { return strings.HasPrefix(a.Key, "*.") }) {
			n["with a glob"]++
		}
		for _, image := range images {
			c.checkKubelet(r, image, n)
		}
	})
	n.want(t, "right", "fallback", "at a path", "no login", "with a glob")
}

// TestDeis holds the rule of dialect deis, which pods of Deis Workflow pull with: a
// node tries nothing but what regcred gives.
func TestDeis(t *testing.T) {
	images := books.Images()
	n := counts{}
	rapid.Check(t, func(r *rapid.T) {
		c := newCase(t, r, keyring.Deis)
		for _, image := range images {
			tries := c.tries(image)
			// Docker Hub's key also counts for images at a host of one word.
			if len(tries) == 0 || strings.HasPrefix(image, "localhost/") {
				continue
			}
			if want, ok := c.resolve(image); !ok || len(tries) > 1 || tries[0] != want {
				r.Fatalf("%s: the kubelet tries %v, regcred gives %v\n%s", image, tries, want, c.file)
			}
			n["right"]++
		}
	})
	n.want(t, "right")
}

// counts say what the drawn cases came to.
type counts map[string]int

// want fails where there was no case of some kind, so that a test does not pass for
// want of cases.
func (n counts) want(t *testing.T, kinds ...string) {
	t.Helper()
	for _, kind := range kinds {
		if n[kind] == 0 {
			t.Errorf("no case was %q: %v", kind, n)
		}
	}
	t.Log(n)
}

// aCase is a keyring, written in a dialect, and what a node makes of it.
type aCase struct {
	book      *keyring.Book
	keyring   keyring.Keyring
	rendering keyring.Rendering
	file      []byte
	tries     func(image string) []login
}

// newCase draws one. Where a keyring cannot be written in the dialect, the node has
// nothing.
func newCase(t rapid.TB, r *rapid.T, d keyring.Dialect) aCase {
	t.Helper()
	c := aCase{book: books.Draw(r)}
	c.keyring = c.book.Keyring(rapid.SampledFrom(books.Scopes).Draw(r, "scope asked for"))
	var err error
	c.rendering, err = c.keyring.Render(d, keyring.RenderOptions{})
	if code := regcred.CodeOf(err); d == keyring.Deis && (code == regcred.NotFound || code == regcred.Invalid) {
		err = nil
	}
	must(t, err)
	c.file, err = c.rendering.DockerConfig()
	must(t, err)
	c.tries = node(t, c.file)
	return c
}

// resolve returns the login that regcred gives for an image, however it is written,
// and whether there is one.
func (c aCase) resolve(image string) (want login, ok bool) {
	for i, spelling := range books.Spellings(image) {
		given, err := books.Resolve(c.book, c.keyring.Scope(), spelling)
		l := login{given.Username, given.Password.Reveal()}
		if err != nil || i > 0 && l != want {
			return login{}, false
		}
		want = l
	}
	return want, true
}

func (c aCase) checkKubelet(r *rapid.T, image string, n counts) {
	tries := c.tries(image)
	want, ok := c.resolve(image)
	path, at := c.deepest(repository(r, image))
	switch {
	case at:
		n["at a path"]++
	case len(tries) == 0 && ok && c.sayable(image):
		r.Fatalf("%s: the kubelet has nothing to try, regcred gives %v\n%s", image, want, c.file)
	case len(tries) == 0:
		n["no login"]++
	case !ok || tries[0] != want:
		r.Fatalf("%s: the kubelet tries %v, regcred gives %v\n%s", image, tries, want, c.file)
	default:
		n["right"]++
	}
	for _, try := range tries {
		if ok && try == want {
			continue
		}
		if path == "" {
			r.Fatalf("%s: the kubelet also tries %v, and no path of the image has a key\n%s", image, try, c.file)
		}
		n["fallback"]++
	}
}

// deepest returns the longest path with a key that a repository is at or below, ""
// where there is none, and whether it is at that very path.
func (c aCase) deepest(repository string) (path string, at bool) {
	for _, a := range c.rendering.Auths {
		key, isPath := strings.CutSuffix(a.Key, "/")
		if isPath && len(key) > len(path) && strings.HasPrefix(repository+"/", a.Key) {
			path, at = key, key == repository
		}
	}
	return path, at
}

// sayable reports whether the dialect has to give the login for an image: the keyring
// names the image's host, and nothing says that the credential is left out there.
func (c aCase) sayable(image string) bool {
	img, err := imageref.ParseImage(image)
	if err != nil {
		return false
	}
	m, _ := c.book.Lookup(c.keyring.Scope(), img)
	omitted := slices.ContainsFunc(c.rendering.Omitted, func(o keyring.Omission) bool { return o.GUID == m.Entry.GUID })
	return !omitted && slices.ContainsFunc(c.keyring.Entries(), func(e *keyring.Entry) bool {
		return e.Location.Host() == img.Host()
	})
}

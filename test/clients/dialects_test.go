package clients_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"pgregory.net/rapid"

	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/test/books"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// rapid's default of 100 cases finds too little here.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("1000"); err != nil {
			panic(err)
		}
	}
	// go.podman.io/image logs each entry without a login as a warning.
	logrus.SetLevel(logrus.ErrorLevel)
	os.Exit(m.Run())
}

// TestClients holds the rule of every dialect: no client gets a login that
// regcred would not give for the image; and it holds that what a dialect can say
// is there.
func TestClients(t *testing.T) {
	for _, test := range []struct {
		client  client
		dialect keyring.Dialect
	}{
		{dockerClient, keyring.Docker},
		{craneClient, keyring.Docker},
		{containersClient, keyring.Docker},
		{containersClient, keyring.Containers},
	} {
		t.Run(test.client.name+" reads "+string(test.dialect), func(t *testing.T) {
			dir := isolate(t)
			all := books.Images()
			var given int
			rapid.Check(t, func(r *rapid.T) {
				book := books.Draw(r)
				scope := rapid.SampledFrom(books.Scopes).Draw(r, "scope asked for")
				k := book.Keyring(scope)
				write(t, configFile(dir), k, test.dialect)
				for _, image := range rapid.SliceOfN(rapid.SampledFrom(all), 20, 20).Draw(r, "images") {
					got := test.client.find(t, dir, image)
					if got != (login{}) {
						given++
					}
					check(r, k, book, test.dialect, image, got)
				}
			})
			if given == 0 {
				t.Error("no client got any login in any case")
			}
		})
	}
}

// write renders a keyring into a file.
func write(t testing.TB, file string, k keyring.Keyring, d keyring.Dialect) {
	t.Helper()
	rendering, err := k.Render(d, keyring.RenderOptions{})
	must(t, err)
	data, err := rendering.DockerConfig()
	must(t, err)
	must(t, os.WriteFile(file, data, 0o600))
}

// check fails where a client got what it should not, or not what it could.
func check(t *rapid.T, k keyring.Keyring, book *keyring.Book, d keyring.Dialect, image string, got login) {
	var want login
	missing := true // whether the client should have got something
	for i, spelling := range books.Spellings(image) {
		given, err := books.Resolve(book, k.Scope(), spelling)
		l := login{given.Username, given.Password.Reveal()}
		if got != (login{}) && (err != nil || got != l) {
			t.Fatalf("%s: the client got %v, regcred gives %v, %v", spelling, got, l, err)
		}
		missing = missing && err == nil && (i == 0 || l == want) && sayable(k, d, image, l)
		want = l
	}
	if missing && got == (login{}) {
		t.Fatalf("%s: the client got none, regcred gives %v", image, want)
	}
}

// sayable reports whether a dialect has to give the login for an image.
func sayable(k keyring.Keyring, d keyring.Dialect, image string, l login) bool {
	img, err := imageref.ParseImage(image)
	if err != nil || l.username == "" || strings.Contains(l.username, ":") {
		return false
	}
	var known, paths bool
	for _, e := range k.Entries() {
		if e.Location.Host() == img.Host() {
			known = true
			paths = paths || e.Location.Path() != ""
		}
	}
	// Podman takes registry-1.docker.io for Docker Hub.
	if !known || img.Host() == "registry-1.docker.io" {
		return false
	}
	return d == keyring.Containers || !paths
}

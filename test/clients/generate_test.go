package clients_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// The scopes, hosts and paths are few, so that credentials meet often.
var (
	scopes = []regcred.Scope{
		regcred.Foundation, regcred.OrgScope("acme"), regcred.SpaceScope("acme", "dev"),
		regcred.AppScope("acme", "dev", "web"), regcred.OrgScope("other"),
	}
	hosts = []string{
		"example.com", "registry.example.com", "a.registry.example.com", "b.example.com",
		"example.com:5000", "registry.example.com:5000", "10.0.0.1:5000", "localhost:5000",
		"docker.io", "docker.io", "registry-1.docker.io",
	}
	paths = []string{"", "", "", "/acme", "/acme/app", "/acme/app/web", "/acme-b", "/library", "/library/nginx", "/v2/acme"}

	imagePaths = []string{
		"nginx", "acme", "acme/app", "acme/app2", "acme/app/web", "acme/app/web/x", "acme-b/app",
		"library/nginx", "library/nginx/x", "other/app", "v2/acme/app", "acme/app/v1",
	}
	unknownHosts = []string{"c.example.com", "example.org", "c.example.com:5000", "c.b.example.com"}
)

// images are all images that a case is asked for. An empty host is Docker Hub
// left out.
func images() []string {
	var list []string
	for _, host := range slices.Concat([]string{""}, hosts, unknownHosts) {
		for _, path := range imagePaths {
			if host != "" {
				path = host + "/" + path
			}
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// draw returns a book of up to 9 credentials in all states that they can be in.
func draw(t *rapid.T) *keyring.Book {
	book := new(keyring.Book)
	taken := map[string]bool{}
	for i := range rapid.IntRange(1, 9).Draw(t, "credentials") {
		scope := rapid.SampledFrom(scopes).Draw(t, "scope")
		location := rapid.SampledFrom(hosts).Draw(t, "host") + rapid.SampledFrom(paths).Draw(t, "path")
		if place := scope.String() + " " + location; taken[place] {
			continue
		} else {
			taken[place] = true
		}
		change := regcred.Change{
			Revision:   uint64(i + 1),
			Credential: regcred.Credential{GUID: fmt.Sprint("credential-", i), Scope: scope, Location: parse(location), Provider: "p", Version: 1},
			Login:      drawLogin(t, i),
		}
		book = book.Apply(regcred.Batch{Changes: []regcred.Change{change}, Revision: change.Revision})
		if rapid.IntRange(0, 19).Draw(t, "corrupt") == 0 {
			change.Err = regcred.Errorf(regcred.Corrupt, "the row was changed")
			book = book.Apply(regcred.Batch{Changes: []regcred.Change{change}, Revision: change.Revision})
		}
	}
	return book
}

func drawLogin(t *rapid.T, i int) *regcred.Login {
	l := &regcred.Login{Username: fmt.Sprint("user-", i), Password: regcred.NewSecret(fmt.Sprint("password:", i))}
	switch rapid.IntRange(0, 11).Draw(t, "login") {
	case 0, 1:
		return nil
	case 2:
		l.ExpiresAt = time.Unix(1, 0)
	case 3:
		l.Username += ":colon"
	case 4:
		l.Username = ""
	case 5, 6:
		l.Hosts = rapid.SliceOfN(rapid.SampledFrom(hosts), 1, 3).Draw(t, "hosts")
	}
	return l
}

func parse(location string) imageref.Location {
	l, err := imageref.ParseLocation(location)
	if err != nil {
		panic(err)
	}
	return l
}

// errNoMatch is what resolve says where no credential matches.
var errNoMatch = errors.New("no credential matches")

// resolve returns the login that regcred itself gives for an image, expired or not.
func resolve(book *keyring.Book, scope regcred.Scope, image string) (login, error) {
	img, err := imageref.ParseImage(image)
	if err != nil {
		return login{}, err
	}
	m, ok := book.Lookup(scope, img)
	if !ok {
		return login{}, errNoMatch
	}
	l, err := m.Login(time.Time{}, img)
	return login{l.Username, l.Password.Reveal()}, err
}

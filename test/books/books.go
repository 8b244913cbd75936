// Package books draws random books of credentials, and names images to look up in
// them, for the tests that ask registry clients of others what they make of a docker
// config file. Those tests are in modules of their own, below test.
package books

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// Scopes are those of the credentials, and those that tests ask for. Scopes, hosts
// and paths are few, so that credentials meet often.
var Scopes = []regcred.Scope{
	regcred.Foundation, regcred.OrgScope("acme"), regcred.SpaceScope("acme", "dev"),
	regcred.AppScope("acme", "dev", "web"), regcred.OrgScope("other"),
}

var (
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
	unknownHosts = []string{"localhost", "c.example.com", "example.org", "c.example.com:5000", "c.b.example.com"}
)

// Images returns all images that a book may be asked for, sorted: at the hosts of its
// credentials, beside them, and on Docker Hub with its name left out.
func Images() []string {
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

// Draw returns a book of up to 9 credentials in all states that they can be in.
func Draw(t *rapid.T) *keyring.Book {
	book := new(keyring.Book)
	taken := map[string]bool{}
	for i := range rapid.IntRange(1, 9).Draw(t, "credentials") {
		scope := rapid.SampledFrom(Scopes).Draw(t, "scope")
		location := rapid.SampledFrom(hosts).Draw(t, "host") + rapid.SampledFrom(paths).Draw(t, "path")
		place := scope.String() + " " + location
		if taken[place] {
			continue
		}
		taken[place] = true
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

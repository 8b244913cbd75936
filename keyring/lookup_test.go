package keyring_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// TestSeed has the examples and the precedence of Cloud Foundry's document on
// registry credentials, each named by its sentence.
func TestSeed(t *testing.T) {
	const img = "registry.example.com/repo/image:tag"
	listing := []credential{ // its example of `cf registry-credentials`
		{"myuser", app, "docker.io/library", nil},
		{"spaceuser", space, "registry.example.com", nil},
		{"orguser", org, "registry.example.com/repo", nil},
		{"docker-user", foundation, "docker.io/library", nil},
		{"private-repo-user", foundation, "registry.example.com/repo", nil},
	}
	at := func(s regcred.Scope, locations ...string) []credential {
		var list []credential
		for _, l := range locations {
			list = append(list, credential{s.Level().String() + " " + l, s, l, nil})
		}
		return list
	}
	join := func(lists ...[]credential) []credential {
		var all []credential
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	const host, repo, domain = "registry.example.com", "registry.example.com/repo", "example.com"
	for _, test := range []struct {
		sentence    string
		credentials []credential
		scope       regcred.Scope
		image, want string
	}{
		{"the Registry Credential is selected by the following order of precedence: 1. App-scoped",
			join(at(app, host), at(space, host), at(org, host), at(foundation, host)), app, img, "app " + host},
		{"2. Space-scoped Registry Credential", join(at(space, host), at(org, host), at(foundation, host)), app, img, "space " + host},
		{"3. Organization-scoped Registry Credential", join(at(org, host), at(foundation, host)), app, img, "organization " + host},
		{"4. Foundation-scoped Registry Credential", at(foundation, host), app, img, "foundation " + host},
		{"searched for in the following order: 1. registry.example.com/repo", at(app, domain, host, repo), app, img, "app " + repo},
		{"2. registry.example.com", at(app, domain, host), app, img, "app " + host},
		{"3. example.com", at(app, domain), app, img, "app " + domain},
		{"If no App-scoped Registry Credential is found, the same search is performed for Space-scoped",
			join(at(app, "other.example.org"), at(space, domain), at(org, repo)), app, img, "space " + domain},
		{"then Organization-scoped Registry Credentials", join(at(org, domain), at(foundation, repo)), app, img, "organization " + domain},
		{"and finally, Foundation-scoped Registry Credentials", at(foundation, domain), app, img, "foundation " + domain},
		{"If no matching Registry Credential is found, the app push continues as normal", at(app, "other.example.org"), app, img, ""},
		{"REPO/IMAGE:TAG search for docker.io/libary", at(org, "docker.io", "docker.io/library"), app, "acme/app:1", "organization docker.io/library"},
		{"or docker.io", at(org, "docker.io"), app, "acme/app:1", "organization docker.io"},
		{"may include paths and/or ports; for example, registry.example.com/path/to/repo:5000",
			at(org, "registry.example.com/path/to/repo:5000"), app, "registry.example.com:5000/path/to/repo/image", "organization registry.example.com/path/to/repo:5000"},
		{"available to all Apps on the platform", at(foundation, host), regcred.AppScope("other", "other", "other"), img, "foundation " + host},
		{"available to Apps within the Organization", at(org, host), regcred.SpaceScope("acme", "test"), img, "organization " + host},
		{"and to none of another", at(org, host), regcred.SpaceScope("other", "dev"), img, ""},
		{"available to all Apps within the Space", at(space, host), regcred.AppScope("acme", "dev", "api"), img, "space " + host},
		{"and to none of another space", at(space, host), regcred.AppScope("acme", "test", "api"), img, ""},
		{"only available to the App and cannot be shared with other Apps", at(app, host), regcred.AppScope("acme", "dev", "api"), img, ""},
		{"it takes precedence over any other Registry Credential for that particular private registry",
			join(at(app, domain), at(space, repo), at(org, repo)), app, img, "app " + domain},
		{"docker.io/library app myuser myapp", listing, app, "nginx", "myuser"},
		{"docker.io/libary foundation docker-user", listing, space, "nginx", "docker-user"},
		{"registry.example.com space spaceuser", listing, app, img, "spaceuser"},
		{"registry.example.com/repo organization orguser", listing, org, img, "orguser"},
		{"registry.example.com/repo foundation private-repo-user", listing, foundation, img, "private-repo-user"},
		{"If no space or organization is targeted, only Registry Credentials available to the foundation",
			join(at(org, host), at(space, host)), foundation, img, ""},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			if got := found(t, book(t, test.credentials...), test.scope, test.image); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	b := book(t,
		credential{"repository", org, "registry.example.com/repo/image", nil},
		credential{"prefix", org, "registry.example.com/re", nil},
		credential{"domain with a port", org, "example.com:5000", nil},
		credential{"no location", org, "", nil},
		credential{"hub", org, "docker.io/acme", nil},
		credential{"library", foundation, "docker.io/library", nil},
		credential{"no login", space, "registry.example.com/repo", noLogin},
	)
	for _, test := range []struct {
		name  string
		scope regcred.Scope
		image string
		want  string
	}{
		{"the repository itself comes first", org, "registry.example.com/repo/image", "repository"},
		{"a nearer scope wins, though it has no login", space, "registry.example.com/repo/image", "no login"},
		{"segments match whole", org, "registry.example.com/repo/other", ""},
		{"a parent domain keeps the port", org, "registry.example.com:5000/x", "domain with a port"},
		{"and does not match another", org, "registry.example.com:5001/x", ""},
		{"the more specific one before docker.io/library", org, "acme/app", "hub"},
		{"docker.io/library serves images without a host", org, "other/app", "library"},
		{"but not those with one", org, "docker.io/other/app", ""},
		{"unless it is in the path", org, "docker.io/library/nginx", "library"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := found(t, b, test.scope, test.image); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	b := book(t,
		credential{"farthest", foundation, "example.com", nil},
		credential{"other", space, "registry.example.org", nil},
	)
	for _, img := range []imageref.Image{image(t, "registry.example.com/repo/image"), image(t, "quay.io/a/b/c/d")} {
		if n := testing.AllocsPerRun(100, func() { b.Lookup(app, img) }); n != 0 {
			t.Errorf("%s: %v allocations", img, n)
		}
	}
}

func TestMatchLogin(t *testing.T) {
	const img = "registry.example.com/repo/image"
	b := book(t,
		credential{"good", regcred.OrgScope("good"), "registry.example.com", nil},
		credential{"none", regcred.OrgScope("none"), "registry.example.com", noLogin},
		credential{"expired", regcred.OrgScope("expired"), "registry.example.com", expired},
		credential{"hosts", regcred.OrgScope("hosts"), "example.com", loginFor("a.example.com", "b.example.com")},
		credential{"corrupt", regcred.OrgScope("corrupt"), "registry.example.com", nil},
	)
	b = apply(b, regcred.Change{Revision: 9, Credential: regcred.Credential{GUID: "corrupt"}, Err: regcred.Errorf(regcred.Corrupt, "bad")})
	dropped := change(t, credential{"dropped", regcred.OrgScope("dropped"), "registry.example.com", noLogin}, 10)
	dropped.Credential.DropRevision = 10
	b = apply(b, dropped)
	for _, test := range []struct {
		org  string
		code regcred.Code
		want string
	}{
		{"none", regcred.Unavailable, "the credential for registry.example.com at organization none (none) has no login yet"},
		{"dropped", regcred.Unavailable, "the login of the credential for registry.example.com at organization dropped (dropped) was revoked, and there is no new one yet"},
		{"expired", regcred.Unavailable, "expired at 2026-01-02T03:04:05Z and was not renewed"},
		{"hosts", regcred.Denied, "is for a.example.com, b.example.com, not for registry.example.com"},
		{"corrupt", regcred.Corrupt, "the credential for registry.example.com at organization corrupt (corrupt) is corrupt in the store"},
		{"unknown", regcred.NotFound, "no credential matches registry.example.com/repo/image; the image may be public"},
	} {
		m, _ := b.Lookup(regcred.OrgScope(test.org), image(t, img))
		_, err := m.Login(now, image(t, img))
		if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v: %v, want %v: %s", test.org, regcred.CodeOf(err), err, test.code, test.want)
		}
	}
	m, _ := b.Lookup(regcred.OrgScope("good"), image(t, img))
	if l, err := m.Login(now, image(t, img)); err != nil || l.Username != "good" {
		t.Errorf("got %v, %v", l.Username, err)
	}
}

func TestExplain(t *testing.T) {
	const img = "registry.example.com/repo/image:tag"
	for _, test := range []struct {
		name        string
		credentials []credential
		why         string
		searched    map[string][]string
	}{
		{"none", []credential{{"c", space, "quay.io", nil}}, "no credential matches; the image may be public", map[string][]string{}},
		{"one", []credential{{"c", foundation, "example.com", nil}},
			"the foundation has a credential for example.com, the only match", map[string][]string{"foundation": {"c"}}},
		{"farther", []credential{{"c", space, "registry.example.com/repo", nil}, {"d", org, "registry.example.com", nil}},
			"space acme/dev has a credential for registry.example.com/repo, the most specific match; the organization's at registry.example.com is farther",
			map[string][]string{"space acme/dev": {"c"}, "organization acme": {"d"}}},
		{"less specific", []credential{{"c", space, "registry.example.com/repo", nil}, {"d", space, "example.com", nil}},
			"space acme/dev has a credential for registry.example.com/repo, the most specific match; its credential for example.com is less specific",
			map[string][]string{"space acme/dev": {"c", "d"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := book(t, test.credentials...).Explain(app, image(t, img))
			if x.Why != test.why {
				t.Errorf("got  %s\nwant %s", x.Why, test.why)
			}
			var order []string
			searched := map[string][]string{}
			for _, f := range x.Searched {
				order = append(order, f.Scope.String())
				for _, m := range f.Matches {
					searched[f.Scope.String()] = append(searched[f.Scope.String()], m.Entry.GUID)
				}
			}
			if diff := cmp.Diff([]string{"app acme/dev/web", "space acme/dev", "organization acme", "foundation"}, order); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.searched, searched); diff != "" {
				t.Error(diff)
			}
			if m, _ := book(t, test.credentials...).Lookup(app, image(t, img)); (m.Entry == nil) != (x.Match.Entry == nil) || m.Location != x.Match.Location {
				t.Errorf("Lookup gives %v, Explain %v", m, x.Match)
			}
		})
	}
}

var _ keyring.Watcher = regcred.Store(nil)

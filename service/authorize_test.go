package service_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/cloudfoundry"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
	"regcred.dev/service"
)

// places are all scopes of these tests, by letters: an organization, its sibling, the
// first one's spaces, the other's space, and an app in a space of each.
var places = map[byte]regcred.Scope{
	'F': regcred.Foundation,
	'A': regcred.OrgScope("o-acme"), 'O': regcred.OrgScope("o-other"),
	'D': regcred.SpaceScope("o-acme", "s-dev"), 'P': regcred.SpaceScope("o-acme", "s-prod"), 'L': regcred.SpaceScope("o-other", "s-lab"),
	'W': regcred.AppScope("o-acme", "s-dev", "a-web"), 'X': regcred.AppScope("o-other", "s-lab", "a-job"),
	// A space that is said to be in an organization which it is not in.
	'Z': regcred.SpaceScope("o-other", "s-dev"),
}

// everywhere are the letters of places.
const everywhere = "FAODPLWXZ"

// person is a user of Cloud Foundry: its roles there, and what it may do at which
// places.
type person struct {
	roles  map[string]string // by the guid of an organization or a space
	scopes []string          // of its token; nil: those of every user
	read   string
	write  string
}

var people = map[string]person{
	"admin":   {scopes: []string{"cloud_controller.admin"}, read: everywhere, write: everywhere},
	"auditor": {scopes: []string{"cloud_controller.global_auditor"}, read: everywhere},
	"read-only admin who develops": {
		scopes: []string{"cloud_controller.admin_read_only", "cloud_controller.write"},
		roles:  map[string]string{"s-dev": "space_developer"}, read: everywhere, write: "DW",
	},
	"org manager":           {roles: map[string]string{"o-acme": "organization_manager"}, read: "FA", write: "A"},
	"org user":              {roles: map[string]string{"o-acme": "organization_user"}, read: "FA"},
	"org auditor":           {roles: map[string]string{"o-acme": "organization_auditor"}, read: "FA"},
	"billing manager":       {roles: map[string]string{"o-acme": "organization_billing_manager"}, read: "FA"},
	"space developer":       {roles: map[string]string{"o-acme": "organization_user", "s-dev": "space_developer"}, read: "FADW", write: "DW"},
	"space manager":         {roles: map[string]string{"o-acme": "organization_user", "s-dev": "space_manager"}, read: "FADW"},
	"space auditor":         {roles: map[string]string{"o-acme": "organization_user", "s-dev": "space_auditor"}, read: "FADW"},
	"space supporter":       {roles: map[string]string{"o-acme": "organization_user", "s-dev": "space_supporter"}, read: "FADW"},
	"developer elsewhere":   {roles: map[string]string{"o-other": "organization_user", "s-lab": "space_developer"}, read: "FOLX", write: "LX"},
	"manager and developer": {roles: map[string]string{"o-acme": "organization_manager", "s-prod": "space_developer"}, read: "FAP", write: "AP"},
	"nothing granted":       {read: "F"},
	"developer who only reads": {
		roles: map[string]string{"o-acme": "organization_manager", "s-dev": "space_developer"}, scopes: []string{"cloud_controller.read"}, read: "FADW",
	},
}

// platform is a fake Cloud Foundry with all people.
type platform struct {
	*cloudfoundry.Foundation
	uaa  *fakeuaa.Server
	capi *fakecapi.Server
}

// firstKey is that of all fakes: a key takes a while to make.
var firstKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newPlatform(t *testing.T) platform {
	t.Helper()
	const api, login = "https://api.sys.example.com", "https://uaa.sys.example.com"
	users := map[string]fakeuaa.User{}
	for name, p := range people {
		users[name] = fakeuaa.User{GUID: "u-" + name, Scopes: p.scopes}
	}
	p := platform{uaa: fakeuaa.New(fakeuaa.Options{URL: login, Users: users, FirstKey: firstKey()})}
	p.capi = fakecapi.New(fakecapi.Options{URL: api, UAA: login, Verify: p.uaa.Verify})
	for _, s := range places {
		switch s.Level() {
		case regcred.LevelOrganization:
			p.capi.AddOrg(s.Org, s.Org)
		case regcred.LevelSpace:
			if s != places['Z'] {
				p.capi.AddSpace(s.Space, s.Space, s.Org)
			}
		case regcred.LevelApp:
			p.capi.AddApp(s.App, s.App, s.Space)
		case regcred.LevelFoundation:
		}
	}
	for name, who := range people {
		for at, role := range who.roles {
			p.capi.Grant("u-"+name, role, at)
		}
	}
	f, err := cloudfoundry.New(cloudfoundry.Options{API: api, Transport: regcredtest.HandlerTransport{"api.sys.example.com": p.capi, "uaa.sys.example.com": p.uaa}})
	if err != nil {
		t.Fatal(err)
	}
	p.Foundation = f
	return p
}

// as returns somebody with a token that is new.
func (p platform) as(t *testing.T, name string) regcred.Caller {
	t.Helper()
	c, err := p.Authenticate(t.Context(), time.Now(), p.uaa.Token(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// operations are what a caller does with a credential that is stored at a place.
var operations = map[string]struct {
	write bool
	do    func(b bench, c regcred.Caller, guid string) error
}{
	"get": {false, func(b bench, c regcred.Caller, guid string) error {
		_, err := b.Get(b.Context(), c, guid)
		return err
	}},
	"refresh": {true, func(b bench, c regcred.Caller, guid string) error {
		_, err := b.Refresh(b.Context(), c, guid, false)
		return err
	}},
	"check": {true, func(b bench, c regcred.Caller, guid string) error {
		_, err := b.Check(b.Context(), c, guid, "")
		return err
	}},
	"update": {true, func(b bench, c regcred.Caller, guid string) error {
		user := "another"
		_, err := b.Update(b.Context(), c, guid, service.CredentialUpdate{Username: &user})
		return err
	}},
	"update, checked": {true, func(b bench, c regcred.Caller, guid string) error {
		password := regcred.NewSecret("another")
		_, err := b.Update(b.Context(), c, guid, service.CredentialUpdate{Password: &password, Check: true})
		return err
	}},
	"delete": {true, func(b bench, c regcred.Caller, guid string) error { return b.Delete(b.Context(), c, guid) }},
}

// stock stores a credential at every place, as an admin.
func (b bench) stock(host string) map[byte]service.Credential {
	b.Helper()
	stored := map[byte]service.Credential{}
	for letter, s := range places {
		stored[letter] = b.put(host, s)
	}
	return stored
}

// codeOf returns the code of an error, "done" where there is none.
func codeOf(err error) string {
	if err == nil {
		return "done"
	}
	return regcred.CodeOf(err).String()
}

// TestMatrix holds who may do what where: roles, by operations, by own, parent, child,
// sibling and foreign scopes.
func TestMatrix(t *testing.T) {
	for name, who := range people {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(b bench) {
				p := newPlatform(b.T)
				b.hold(func() regcred.Caller { return p.as(b.T, name) }, who.read, who.write, true)
			})
		})
	}
}

// hold holds a caller to what it may read and write. member says that it is one of the
// people, who learn of what they may not see that it is not there.
func (b bench) hold(ask func() regcred.Caller, read, write string, member bool) {
	b.Helper()
	for operation, o := range operations {
		for letter, c := range b.stock(strings.ReplaceAll(operation, ", ", "-") + ".example.com") {
			want := "not-found"
			switch {
			case o.write && strings.ContainsRune(write, rune(letter)), !o.write && strings.ContainsRune(read, rune(letter)):
				want = "done"
			case strings.ContainsRune(read, rune(letter)):
				want = "denied"
			}
			if got := codeOf(o.do(b, ask(), c.GUID)); got != want {
				b.Errorf("%s at %s: %s, want %s", operation, c.Scope, got, want)
			}
		}
	}
	b.holdCreate(ask, read, write, member)
	b.holdResolve(ask, read, member)
	b.holdList(ask, read)
}

func (b bench) holdCreate(ask func() regcred.Caller, read, write string, member bool) {
	b.Helper()
	for letter, s := range places {
		caller := ask()
		want := "denied"
		switch {
		case caller.Role == "":
			want = "unauthenticated"
		case letter == 'Z' && caller.IsAdmin() && caller.Members != nil:
			want = "invalid" // Cloud Foundry has no such place
		case strings.ContainsRune(write, rune(letter)) && (s.App == "" || caller.IsAdmin()):
			want = "done"
		case s.App == "" && member && !strings.ContainsRune(read, rune(letter)):
			want = "invalid"
		}
		_, err := b.CreateCredential(b.Context(), caller, service.NewCredential{
			Scope: s, Location: "create.example.com", Username: "user", Password: regcred.NewSecret("p"),
		})
		if got := codeOf(err); got != want {
			b.Errorf("create at %s: %s, want %s (%v)", s, got, want, err)
		}
	}
}

func (b bench) holdResolve(ask func() regcred.Caller, read string, member bool) {
	b.Helper()
	b.stock("resolve.example.com")
	for letter, s := range places {
		caller := ask()
		want := "denied"
		switch {
		case caller.Role == "":
			want = "unauthenticated"
		case strings.ContainsRune(read, rune(letter)):
			want = "done"
		case member:
			want = "not-found"
		}
		x, err := b.Resolve(b.Context(), caller, "resolve.example.com/x", s)
		if got := codeOf(err); got != want {
			b.Errorf("resolve at %s: %s, want %s (%v)", s, got, want, err)
		}
		if (x.Match.Entry != nil) != (err == nil) {
			b.Errorf("resolve at %s: %+v", s, x.Match)
		}
	}
}

func (b bench) holdList(ask func() regcred.Caller, read string) {
	b.Helper()
	b.stock("list.example.com")
	list, total, err := b.List(b.Context(), ask(), catalog.Query{Locations: []string{"list.example.com"}, Limit: 100})
	var got []byte
	for _, c := range list {
		for letter, s := range places {
			if c.Scope == s {
				got = append(got, letter)
			}
		}
	}
	want := []byte(read)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" || total != len(want) {
		b.Errorf("list: %v, %d in all %s", err, total, diff)
	}
}

// TestMatrixOfOthers does the same for API tokens, workloads, callers by rules on claims,
// and nobody.
func TestMatrixOfOthers(t *testing.T) {
	token := func(role regcred.Role, place byte) regcred.Caller {
		return regcred.Caller{Name: "token", Role: role, Scope: places[place]}
	}
	claims := func(held ...regcred.Membership) regcred.Caller {
		return regcred.Caller{Name: "alice", Role: regcred.RoleUser, Members: regcred.Memberships(held)}
	}
	readOnly := token(regcred.RoleAdmin, 'F')
	readOnly.ReadOnly = true
	for name, test := range map[string]struct {
		caller      regcred.Caller
		read, write string
		member      bool
	}{
		"admin token":            {token(regcred.RoleAdmin, 'F'), everywhere, everywhere, false},
		"admin of an org":        {token(regcred.RoleAdmin, 'A'), "", "", false}, // none such can be made
		"admin who only reads":   {readOnly, everywhere, "", false},
		"auditor token":          {token(regcred.RoleAuditor, 'F'), everywhere, "", false},
		"org manager token":      {token(regcred.RoleOrgManager, 'A'), "FA", "A", true},
		"org member token":       {token(regcred.RoleOrgMember, 'A'), "FA", "", true},
		"space developer token":  {token(regcred.RoleSpaceDeveloper, 'D'), "FADW", "DW", true},
		"space member token":     {token(regcred.RoleSpaceMember, 'D'), "FADW", "", true},
		"puller token":           {token(regcred.RolePuller, 'F'), "", "", false},
		"workload":               {token(regcred.RoleWorkload, 'D'), "", "", false},
		"a role that is unknown": {token("owner", 'F'), "", "", false},
		"nobody":                 {regcred.Caller{}, "", "", false},
		"manager by claims":      {claims(regcred.Membership{Role: regcred.RoleOrgManager, Scope: places['A']}), "FA", "A", true},
		"developer by claims":    {claims(regcred.Membership{Role: regcred.RoleSpaceDeveloper, Scope: places['D']}), "FADW", "DW", true},
		"two roles by claims": {claims(
			regcred.Membership{Role: regcred.RoleOrgManager, Scope: places['O']}, regcred.Membership{Role: regcred.RoleSpaceMember, Scope: places['P']},
		), "FAOP", "O", true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(b bench) {
				b.hold(func() regcred.Caller { return test.caller }, test.read, test.write, test.member)
			})
		})
	}
}

// TestReaders: the tokens of nodes and readers see what serves their scope and what lies
// within it, resolve within it, and alter nothing.
func TestReaders(t *testing.T) {
	for _, role := range []regcred.Role{regcred.RoleReader, regcred.RoleTarget} {
		for at, test := range map[byte]struct{ read, resolve string }{
			'F': {everywhere, everywhere}, 'A': {"FADPW", "ADPW"}, 'D': {"FADW", "DW"}, 'W': {"FADW", "W"},
		} {
			bubble(t, nil, func(b bench) {
				caller := regcred.Caller{Name: "token", Role: role, Scope: places[at]}
				b.holdList(func() regcred.Caller { return caller }, test.read)
				b.stock("resolve.example.com")
				for letter, s := range places {
					_, err := b.Resolve(b.Context(), caller, "resolve.example.com/x", s)
					if may := strings.ContainsRune(test.resolve, rune(letter)); may != (err == nil) || !may && regcred.CodeOf(err) != regcred.Denied {
						b.Errorf("%s at %s resolves at %s: %v", role, caller.Scope, s, err)
					}
				}
				for letter, c := range b.stock("change.example.com") {
					for operation, o := range operations {
						if err := o.do(b, caller, c.GUID); o.write && err == nil {
							b.Errorf("%s at %s: %s at %c is done", role, caller.Scope, operation, letter)
						}
					}
				}
			})
		}
	}
}

// TestCAPIDown: while CAPI throttles, fails or does not answer, nobody may do anything
// that a role is needed for, and nothing changes.
func TestCAPIDown(t *testing.T) {
	for failure, q := range map[string]fakeuaa.Quirks{
		"429": {Throttle: -1, RetryAfter: time.Second}, "500": {Status: 500}, "503": {Status: 503}, "timeout": {Slow: time.Hour},
		"a page": {Garbage: fakecapi.HTML}, "nothing": {Garbage: fakecapi.Void}, "half": {Garbage: fakecapi.Cut}, "401": {Status: 401}, "403": {Status: 403},
	} {
		t.Run(failure, func(t *testing.T) {
			bubble(t, nil, func(b bench) {
				p := newPlatform(b.T)
				stored := b.stock("down.example.com")
				p.as(b.T, "admin") // has the UAA's keys read
				p.capi.Set(fakecapi.Quirks{Quirks: q})
				before := b.state()
				for name, who := range people {
					if name != "admin" {
						b.holdNothing(func() regcred.Caller { return p.as(b.T, name) }, stored, who.scopes != nil && who.read == everywhere)
					}
				}
				synctest.Wait()
				if diff := cmp.Diff(before, b.state()); diff != "" {
					b.Errorf("something changed: %s", diff)
				}
				time.Sleep(time.Minute) // keys are read anew in the background, which has its own end
			})
		})
	}
}

// state is what is stored, in words.
func (b bench) state() string {
	b.Helper()
	list, _, err := b.List(b.Context(), regcred.Local, catalog.Query{Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	for _, c := range list {
		fmt.Fprintf(&text, "%s %s %s %d %d\n", c.GUID, c.Scope, c.Username, c.Version, c.DropRevision)
	}
	return text.String()
}

// holdNothing has a caller try everything, of which reads alone may be done by those who
// read all.
func (b bench) holdNothing(ask func() regcred.Caller, stored map[byte]service.Credential, readsAll bool) {
	b.Helper()
	for letter, c := range stored {
		caller := ask()
		for operation, o := range operations {
			if err := o.do(b, caller, c.GUID); err == nil && (o.write || !readsAll) {
				b.Errorf("%s: %s at %s is done", caller.Name, operation, c.Scope)
			}
		}
		if _, err := b.Resolve(b.Context(), caller, "down.example.com/x", c.Scope); (err == nil) != readsAll {
			b.Errorf("%s resolves at %c: %v", caller.Name, letter, err)
		}
		_, err := b.CreateCredential(b.Context(), caller, service.NewCredential{
			Scope: c.Scope, Location: "new.example.com", Username: "user", Password: regcred.NewSecret("p"),
		})
		if err == nil {
			b.Errorf("%s: create at %s is done", caller.Name, c.Scope)
		}
		if list, total, err := b.List(b.Context(), caller, catalog.Query{Limit: 1000}); (err == nil) != readsAll || !readsAll && (list != nil || total != 0) {
			b.Errorf("%s lists: %v", caller.Name, err)
		}
	}
}

// TestRemovedRole: it is denied within 60 seconds.
func TestRemovedRole(t *testing.T) {
	bubble(t, nil, func(b bench) {
		p := newPlatform(b.T)
		c := b.put("own.example.com", places['D'])
		caller := p.as(b.T, "space developer")
		update := operations["update"].do
		if err := update(b, caller, c.GUID); err != nil {
			b.Fatal(err)
		}
		p.capi.Revoke("u-space developer", "space_developer", "s-dev")
		time.Sleep(time.Minute)
		if err := update(b, caller, c.GUID); regcred.CodeOf(err) != regcred.NotFound {
			b.Errorf("a minute after the role was removed: %v", err)
		}
		if _, err := b.Resolve(b.Context(), caller, "own.example.com/x", places['D']); regcred.CodeOf(err) != regcred.NotFound {
			b.Errorf("a minute after the role was removed it resolves: %v", err)
		}
	})
}

// TestLocate completes scopes of which only the innermost id is known.
func TestLocate(t *testing.T) {
	bubble(t, nil, func(b bench) {
		p := newPlatform(b.T)
		caller := p.as(b.T, "space developer")
		for given, want := range map[regcred.Scope]regcred.Scope{
			{Space: "s-dev"}: places['D'], {App: "a-web"}: places['W'], {Space: "s-dev", App: "a-web"}: places['W'],
			{}: {}, {Org: "o-acme"}: places['A'], places['D']: places['D'],
		} {
			if got, err := b.Locate(b.Context(), caller, given); err != nil || got != want {
				b.Errorf("%+v: %+v, %v", given, got, err)
			}
		}
		for _, given := range []regcred.Scope{{Space: "s-lab"}, {App: "a-job"}, {Space: "s-none"}, {Space: ".."}} {
			if got, err := b.Locate(b.Context(), caller, given); regcred.CodeOf(err) != regcred.NotFound || got != (regcred.Scope{}) {
				b.Errorf("%+v: %+v, %v", given, got, err)
			}
		}
		p.capi.Set(fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 500}})
		if _, err := b.Locate(b.Context(), caller, regcred.Scope{Space: "s-prod"}); regcred.CodeOf(err) != regcred.Unavailable {
			b.Error(err)
		}
		for _, given := range []regcred.Scope{{Space: strings.Repeat("x", 254)}, {App: strings.Repeat("x", 254)}, {Space: "s-dev\n"}} {
			if _, err := b.Locate(b.Context(), caller, given); regcred.CodeOf(err) != regcred.Invalid {
				b.Errorf("somebody is asked for what is no id: %v", err)
			}
		}
		if acts := b.acts(); len(acts) != 5 || !strings.Contains(acts[0], "refused find scope") {
			b.Errorf("of five refusals the log has %q", acts)
		}
		if _, err := b.Locate(b.Context(), regcred.Local, regcred.Scope{Space: "s-dev"}); regcred.CodeOf(err) != regcred.Invalid {
			b.Errorf("where nobody can be asked: %v", err)
		}
	})
}

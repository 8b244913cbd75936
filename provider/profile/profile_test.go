package profile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/profile"
	"regcred.dev/regcredtest"
)

const host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

// cloud is a provider that an operator's profile has: it uses the server's identity,
// and its secret is a key.
type cloud struct {
	mints atomic.Int64
	hosts []string
	err   error
	asked atomic.Pointer[regcred.Credential]
}

func (*cloud) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{Name: "cloud", Fields: []regcred.Field{
		{Name: "role", Admin: true}, {Name: "key", Secret: true}, {Name: "region"},
	}}
}

func (c *cloud) Check(cred regcred.Credential) error {
	if err := c.Describe().CheckFields(cred); err != nil {
		return err
	}
	if cred.Settings["region"] == "nowhere" {
		return regcred.Errorf(regcred.Invalid, `the setting "region" is no region`)
	}
	return nil
}
func (*cloud) Uses(regcred.Credential) []string   { return []string{"the server's own identity"} }
func (*cloud) Issuer(c regcred.Credential) string { return "account " + c.Settings["role"] }

func (c *cloud) Mint(ctx context.Context, cred regcred.Credential) (regcred.Login, error) {
	c.asked.Store(&cred)
	if err := ctx.Err(); err != nil {
		return regcred.Login{}, err
	}
	if c.err != nil {
		return regcred.Login{}, c.err
	}
	return regcred.Login{
		Username: "AWS", Password: regcred.NewSecret(fmt.Sprint("token-", c.mints.Add(1))), Hosts: c.hosts, ExpiresAt: time.Now().Add(time.Hour),
	}, nil
}

func location(t testing.TB, s string) imageref.Location {
	t.Helper()
	l, err := imageref.ParseLocation(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// declared is a profile as an operator writes it.
func declared(t testing.TB, name, at string, grants ...regcred.Scope) profile.Declaration {
	return profile.Declaration{
		Profile: regcred.Profile{Name: name, Provider: "cloud", Location: location(t, at), Spelling: at, Grants: grants},
		All: map[string]regcred.Secret{
			"role": regcred.NewSecret("puller"), "key": regcred.NewSecret("canary-key"), "region": regcred.NewSecret("us-east-1"),
		},
		Literal: []string{"role", "region"}, Where: "regcred.yaml:7",
	}
}

func newProvider(t testing.TB, inner *cloud, list ...profile.Declaration) *profile.Provider {
	t.Helper()
	p, err := profile.New(profile.Options{Profiles: list, Providers: map[string]regcred.Provider{"cloud": inner}, Key: []byte("a key of marks")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func credential(name string, scope regcred.Scope) regcred.Credential {
	return regcred.Credential{GUID: "g", Scope: scope, Provider: regcred.ProviderProfile, Settings: map[string]string{regcred.SettingProfile: name}}
}

var dev = regcred.SpaceScope("acme", "dev")

func TestSuite(t *testing.T) {
	set := func(value string) func(*regcred.Credential) {
		return func(c *regcred.Credential) { c.Settings[regcred.SettingProfile] = value }
	}
	c := credential("acme-ecr", dev)
	c.Location = location(t, host)
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New: func(t *testing.T) regcred.Provider {
			return newProvider(t, &cloud{hosts: []string{host}}, declared(t, "acme-ecr", host, regcred.Foundation))
		},
		Credential: c,
		Invalid: map[string]regcredtest.InvalidChange{
			"unknown":  {Change: set("other"), Names: regcred.SettingProfile},
			"empty":    {Change: set(""), Names: regcred.SettingProfile},
			"location": {Change: func(c *regcred.Credential) { c.Location = location(t, "registry.example.com") }, Names: "location"},
			"username": {Change: func(c *regcred.Credential) { c.Username = "u" }, Names: "username"},
		},
		Unique: true, Lifetime: time.Hour,
	})
}

// TestGrants: a credential may name a profile within the scopes that it is granted to,
// and who has no grant is told the same as of a profile that there is not.
func TestGrants(t *testing.T) {
	inner := &cloud{}
	p := newProvider(t, inner,
		declared(t, "of-org", host, regcred.OrgScope("acme")),
		declared(t, "of-space", host, dev),
		declared(t, "of-all", host, regcred.Foundation),
		declared(t, "of-nobody", host),
	)
	for _, test := range []struct {
		name  string
		scope regcred.Scope
		want  bool
	}{
		{"of-org", regcred.OrgScope("acme"), true}, {"of-org", dev, true}, {"of-org", regcred.AppScope("acme", "dev", "web"), true},
		{"of-org", regcred.Foundation, false}, {"of-org", regcred.OrgScope("other"), false}, {"of-org", regcred.SpaceScope("other", "dev"), false},
		{"of-space", dev, true}, {"of-space", regcred.OrgScope("acme"), false}, {"of-space", regcred.SpaceScope("acme", "prod"), false},
		{"of-all", regcred.Foundation, true}, {"of-all", regcred.SpaceScope("other", "dev"), true},
		{"of-nobody", regcred.Foundation, false}, {"of-nobody", dev, false},
	} {
		c := credential(test.name, test.scope)
		check := p.Check(c)
		_, source := p.Source(c)
		_, stamp := p.Stamp(c)
		before := inner.mints.Load()
		_, mint := p.Mint(t.Context(), c)
		for what, err := range map[string]error{"Check": check, "Source": source, "Stamp": stamp, "Mint": mint} {
			if (err == nil) != test.want {
				t.Errorf("%s of %s at %s: %v", what, test.name, test.scope, err)
			}
		}
		if asked := inner.mints.Load() > before; asked != test.want {
			t.Errorf("%s at %s: the issuer was asked: %t", test.name, test.scope, asked)
		}
		if test.want {
			continue
		}
		unknown := p.Check(credential("none", test.scope))
		if got, want := check.Error(), strings.ReplaceAll(unknown.Error(), `"none"`, `"`+test.name+`"`); got != want {
			t.Errorf("without a grant:\n%s\nwithout a profile:\n%s", got, want)
		}
		if p.Issuer(c) != p.Issuer(credential("none", test.scope)) {
			t.Errorf("%s at %s has the issuer %q", test.name, test.scope, p.Issuer(c))
		}
	}
}

// TestLocation: a credential may name the profile's location or a path below it at a
// boundary of segments, and nothing else.
func TestLocation(t *testing.T) {
	for _, test := range []struct {
		pinned, named string
		want          bool
	}{
		{host, "", true}, {host, host, true}, {host, host + "/team", true}, {host, host + "/team/app", true},
		{host, "registry.example.com", false}, {host, "210987654321.dkr.ecr.us-east-1.amazonaws.com", false}, {host, host + ":8443", false},
		{"r.example.com/acme", "r.example.com/acme", true}, {"r.example.com/acme", "r.example.com/acme/app", true},
		{"r.example.com/acme", "r.example.com", false}, {"r.example.com/acme", "r.example.com/acme2", false}, {"r.example.com/acme", "r.example.com/other", false},
		{"example.com", "r.example.com", false}, {"r.example.com", "example.com", false}, {"r.example.com:5000", "r.example.com", false},
	} {
		inner := &cloud{}
		p, c := newProvider(t, inner, declared(t, "x", test.pinned, regcred.Foundation)), credential("x", dev)
		if test.named != "" {
			c.Location = location(t, test.named)
		}
		stored, err := p.Stamp(c)
		_, mint := p.Mint(t.Context(), c)
		if (err == nil) != test.want || (mint == nil) != test.want || (p.Check(c) == nil) != test.want {
			t.Errorf("%s of a profile at %s: %v, %v", test.named, test.pinned, err, mint)
		}
		if !test.want {
			continue
		}
		want := test.named
		if want == "" {
			want = test.pinned
		}
		if stored.Location.String() != want {
			t.Errorf("%q of a profile at %s is stored for %s", test.named, test.pinned, stored.Location)
		}
		if asked := inner.asked.Load(); asked.Location.String() != test.pinned {
			t.Errorf("%q: the issuer is asked about %s, not %s", test.named, asked.Location, test.pinned)
		}
	}
}

// TestHosts: a login is for the profile's host alone, whatever else it is good for.
func TestHosts(t *testing.T) {
	for _, test := range []struct {
		hosts []string
		ok    bool
	}{
		{nil, true}, {[]string{host}, true}, {[]string{"proxy.example.com", host, "eu." + host}, true}, {[]string{"proxy.example.com"}, false},
	} {
		p := newProvider(t, &cloud{hosts: test.hosts}, declared(t, "x", host, regcred.Foundation))
		l, err := p.Mint(t.Context(), credential("x", dev))
		if (err == nil) != test.ok || test.ok && !slices.Equal(l.Hosts, []string{host}) {
			t.Errorf("of %v: %v, %v", test.hosts, l.Hosts, err)
		}
	}
}

// TestMark: a credential's mark tells whether what its profile mints from is the same,
// and nothing of it; grants are no part of that.
func TestMark(t *testing.T) {
	mark := func(key string, change func(*profile.Declaration)) string {
		d := declared(t, "x", host, regcred.Foundation)
		if change != nil {
			change(&d)
		}
		p, err := profile.New(profile.Options{Profiles: []profile.Declaration{d}, Providers: map[string]regcred.Provider{"cloud": &cloud{}}, Key: []byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Stamp(credential("x", dev))
		if err != nil {
			t.Fatal(err)
		}
		again, err := p.Stamp(c)
		if err != nil || !again.SameSource(c) {
			t.Errorf("a stamp of what has one already differs: %v", err)
		}
		if err := p.Check(c); err != nil {
			t.Errorf("what is stored does not pass: %v", err)
		}
		return c.Secrets[regcred.ProfileMark].Reveal()
	}
	same := mark("k", nil)
	if mark("k", nil) != same || mark("k", func(d *profile.Declaration) { d.Grants = append(d.Grants, dev) }) != same {
		t.Error("the mark of an unchanged profile differs")
	}
	seen := map[string]string{same: "the same"}
	for what, changed := range map[string]string{
		"another key of marks": mark("other", nil),
		"another secret":       mark("k", func(d *profile.Declaration) { d.All["key"] = regcred.NewSecret("new") }),
		"another setting":      mark("k", func(d *profile.Declaration) { d.All["region"] = regcred.NewSecret("eu-west-1") }),
		"another location":     mark("k", func(d *profile.Declaration) { d.Location = location(t, host+"/team") }),
	} {
		if other := seen[changed]; other != "" {
			t.Errorf("%s and %s have one mark", what, other)
		}
		seen[changed] = what
	}
	for m := range seen {
		if len(m) != 64 || len(regcredtest.Leaks([]byte(m), "canary-key")) > 0 {
			t.Errorf("the mark is %q", m)
		}
	}
}

// TestSource: credentials of a profile have one source, whatever their scopes and
// paths, and nothing of their own goes to the issuer.
func TestSource(t *testing.T) {
	p := newProvider(t, &cloud{}, declared(t, "x", host, regcred.Foundation))
	a, b := credential("x", dev), credential("x", regcred.OrgScope("other"))
	a.Settings[regcred.SettingRotateBy], a.Location = "2027-06-30", location(t, host+"/team")
	key := []byte("k")
	from, err := p.Source(a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.Source(b)
	if err != nil || from.Fingerprint(key) != other.Fingerprint(key) {
		t.Errorf("the sources of two scopes differ: %v", err)
	}
	if from.Provider != "cloud" || from.Secrets["key"].Reveal() != "canary-key" || from.Settings["role"] != "puller" || len(from.Settings) != 2 {
		t.Errorf("the source is %+v", from.Public())
	}
	if p.Issuer(a) != "account puller" {
		t.Errorf("the issuer is %q", p.Issuer(a))
	}
	from.Settings["role"], from.Secrets["key"] = "changed", regcred.NewSecret("changed")
	if again, err := p.Source(a); err != nil || again.Settings["role"] != "puller" || again.Secrets["key"].Reveal() != "canary-key" {
		t.Error("who has a source can change the profile")
	}
}

// TestErrors: an error says of which profile it is, and keeps its code and pause.
func TestErrors(t *testing.T) {
	for _, err := range []error{
		regcred.Errorf(regcred.Denied, "no"), regcred.ThrottledFor(7*time.Second, "later"), fmt.Errorf("broken"),
	} {
		p := newProvider(t, &cloud{err: err}, declared(t, "x", host, regcred.Foundation))
		_, got := p.Mint(t.Context(), credential("x", dev))
		if regcred.CodeOf(got) != regcred.CodeOf(err) || !strings.Contains(got.Error(), `profile "x": `+err.Error()) {
			t.Errorf("of %v: %v", err, got)
		}
		if e, ok := errors.AsType[*regcred.Error](got); regcred.CodeOf(err) == regcred.Throttled && (!ok || e.RetryAfter != 7*time.Second) {
			t.Errorf("the pause is lost: %+v", got)
		}
	}
}

// TestRefused: what could never give a login stops the start, with its line.
func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*profile.Declaration){
		`there is no provider "ecs"`:        func(d *profile.Declaration) { d.Provider = "ecs" },
		`there is no provider "profile"`:    func(d *profile.Declaration) { d.Provider = regcred.ProviderProfile },
		"declare a credential":              func(d *profile.Declaration) { d.Provider = regcred.ProviderStatic },
		"it needs a location":               func(d *profile.Declaration) { d.Location = imageref.Location{} },
		`no setting "colour"`:               func(d *profile.Declaration) { d.All["colour"] = regcred.NewSecret("red") },
		`the setting "region"`:              func(d *profile.Declaration) { d.All["region"] = regcred.NewSecret("nowhere") },
		"settings.rotate-by reminds":        func(d *profile.Declaration) { d.All["rotate-by"] = regcred.NewSecret("2030-01-01") },
		"settings.key is a secret":          func(d *profile.Declaration) { d.Literal = append(d.Literal, "key") },
		"holds control characters":          func(d *profile.Declaration) { d.All["region"] = regcred.NewSecret("us\x00") },
		"there is one of that name already": func(d *profile.Declaration) { d.Name = "first" },
	} {
		d := declared(t, "x", host, regcred.Foundation)
		change(&d)
		_, err := profile.New(profile.Options{
			Profiles: []profile.Declaration{declared(t, "first", host), d}, Providers: map[string]regcred.Provider{"cloud": &cloud{}},
		})
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "regcred.yaml:7: profile ") {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("it shows a secret: %v", err)
		}
	}
}

// TestLost: no list of profiles is not the same as an empty one.
func TestLost(t *testing.T) {
	lost, empty := newProvider(t, &cloud{}), newProvider(t, &cloud{}, []profile.Declaration{}...)
	if lost.Profiles() != nil || new(profile.Provider).Profiles() != nil {
		t.Error("a configuration without a list has one")
	}
	p, err := profile.New(profile.Options{Profiles: []profile.Declaration{}})
	if err != nil || p.Profiles() == nil {
		t.Errorf("an empty list is none: %v", err)
	}
	for _, p := range []*profile.Provider{lost, empty, p, new(profile.Provider)} {
		if _, err := p.Mint(t.Context(), credential("x", dev)); regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("without profiles: %v", err)
		}
	}
}

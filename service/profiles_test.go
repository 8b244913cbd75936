package service_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/imageref"
	"regcred.dev/provider/profile"
	"regcred.dev/provider/static"
	"regcred.dev/service"
)

// developer may alter what is in the space of the tests, manager what is its
// organization's, neighbor what is in a space that has no grant.
var (
	developer = regcred.Caller{Name: "dave", Role: regcred.RoleSpaceDeveloper, Scope: places['D']}
	manager   = regcred.Caller{Name: "mary", Role: regcred.RoleOrgManager, Scope: places['A']}
	neighbor  = regcred.Caller{Name: "nell", Role: regcred.RoleSpaceDeveloper, Scope: places['P']}
)

// operators is a Service whose operator has profiles of the issuer, which uses the
// server's own identity.
type operators struct {
	bench
	stop func()
}

// profiles runs a test on a Service with profiles; use restarts it with others.
func profiles(t *testing.T, first []profile.Declaration, test func(o *operators)) {
	t.Helper()
	unstarted(t, nil, func(b bench) {
		b.issuer.uses = []string{"the server's own identity"}
		o := &operators{bench: b, stop: func() {}}
		defer func() { o.stop() }()
		o.use(first)
		test(o)
	})
}

// use restarts the Service with other profiles.
func (o *operators) use(list []profile.Declaration) {
	o.Helper()
	o.stop()
	o.stop = o.begin(list)
	if err := o.ApplyProfiles(o.Context()); err != nil {
		o.Fatal(err)
	}
	synctest.Wait()
}

// begin starts a Service with profiles that are not applied yet.
func (o *operators) begin(list []profile.Declaration) (stop func()) {
	o.Helper()
	providers := map[string]regcred.Provider{"issuer": o.issuer, "static": static.New()}
	p, err := profile.New(profile.Options{Profiles: list, Providers: providers, Key: []byte("key of marks")})
	if err != nil {
		o.Fatal(err)
	}
	all := maps.Clone(providers)
	all[regcred.ProviderProfile] = p
	o.Service, stop = o.start(all)
	return stop
}

// lends is a profile with a key and grants.
func lends(name, at, key string, grants ...regcred.Scope) profile.Declaration {
	l, err := imageref.ParseLocation(at)
	if err != nil {
		panic(err)
	}
	return profile.Declaration{
		Profile: regcred.Profile{Name: name, Provider: "issuer", Location: l, Spelling: at, Grants: grants},
		All:     map[string]regcred.Secret{"key": regcred.NewSecret(key)}, Where: "regcred.yaml:3",
	}
}

// byProfile is a credential that names a profile.
func byProfile(scope regcred.Scope, name, at string) service.NewCredential {
	return service.NewCredential{
		Scope: scope, Location: at, Provider: regcred.ProviderProfile,
		Settings: map[string]regcred.Secret{regcred.SettingProfile: regcred.NewSecret(name)},
	}
}

func (o *operators) make(caller regcred.Caller, name, at string) service.Credential {
	o.Helper()
	c, err := o.CreateCredential(o.Context(), caller, byProfile(caller.Scope, name, at))
	if err != nil {
		o.Fatal(err)
	}
	return c
}

// TestProfileGranted: who has a grant stores a credential by a profile and gets its
// login; the location is the profile's where none is named; all who have one share a
// mint.
func TestProfileGranted(t *testing.T) {
	profiles(t, []profile.Declaration{lends("acme", host, "k", places['A'], places['L'])}, func(o *operators) {
		dev, org := o.make(developer, "acme", ""), o.make(manager, "acme", host+"/team")
		far := o.make(regcred.Caller{Name: "l", Role: regcred.RoleSpaceDeveloper, Scope: places['L']}, "acme", host)
		if dev.Location.String() != host || dev.Spelling != host || org.Location.String() != host+"/team" {
			o.Errorf("stored for %s and %s", dev.Location, org.Location)
		}
		for _, c := range []service.Credential{dev, org, far} {
			if c.Login == nil || c.Login.Problem != "" || c.LoginUser != "user" || len(c.Secrets) > 0 {
				o.Errorf("stored: %+v", c)
			}
			if diff := cmp.Diff(map[string]string{regcred.SettingProfile: "acme"}, c.Settings); diff != "" {
				o.Errorf("its settings (-want +got):\n%s", diff)
			}
			o.wantPassword(c.GUID, "token-1")
		}
		time.Sleep(24 * lifetime)
		synctest.Wait()
		if o.issuer.mints > 56 {
			o.Errorf("%d mints for three credentials in 24 lifetimes", o.issuer.mints)
		}
		for image, want := range map[string]string{host + "/team/app:1": org.GUID, host + "/teams/app": "", host + "/other": ""} {
			why, err := o.Resolve(o.Context(), regcred.Local, image, places['A'])
			got := ""
			if why.Match.Entry != nil {
				got = why.Match.Entry.GUID
			}
			if err != nil || got != want {
				o.Errorf("%s resolves to %q, want %q, %v", image, got, want, err)
			}
		}
	})
}

// TestProfileRefused: what has no grant, leaves the location or asks for more is
// refused to everybody, and tells a tenant nothing of profiles that there are.
func TestProfileRefused(t *testing.T) {
	list := []profile.Declaration{
		lends("acme", host, "k", places['A']), lends("foreign", host, "k", places['O']), lends("path", host+"/acme", "k", places['A']),
	}
	profiles(t, list, func(o *operators) {
		said := func(caller regcred.Caller, in service.NewCredential) string {
			_, err := o.CreateCredential(o.Context(), caller, in)
			if regcred.CodeOf(err) != regcred.Invalid {
				o.Errorf("%s stores %+v: %v", caller.Name, in, err)
				return ""
			}
			return err.Error()
		}
		for _, caller := range []regcred.Caller{developer, manager, regcred.Local} {
			scope := caller.Scope
			foreign, none := said(caller, byProfile(scope, "foreign", "")), said(caller, byProfile(scope, "nobodys", ""))
			if strings.ReplaceAll(foreign, "foreign", "nobodys") != none {
				o.Errorf("%s is told\n%s\nand\n%s", caller.Name, foreign, none)
			}
		}
		for _, at := range []string{"other.example.com", "example.com", host + ":8443"} {
			said(developer, byProfile(places['D'], "acme", at))
		}
		for _, at := range []string{host, host + "/other", host + "/acme2"} {
			said(developer, byProfile(places['D'], "path", at))
		}
		for _, name := range []string{"key", "endpoint", regcred.ProfileMark} {
			in := byProfile(places['D'], "acme", "")
			in.Settings[name] = regcred.NewSecret("x")
			if text := said(developer, in); !strings.Contains(text, name) {
				o.Errorf("with the setting %s: %s", name, text)
			}
		}
		if _, err := o.CreateCredential(o.Context(), developer, byProfile(places['P'], "acme", "")); regcred.CodeOf(err) == 0 || err == nil {
			o.Errorf("at a scope of somebody else: %v", err)
		}
		c := o.make(developer, "acme", "")
		for _, name := range []string{"foreign", "path", "nobodys", regcred.ProfileMark} {
			value := regcred.NewSecret(name)
			up := service.CredentialUpdate{Settings: map[string]*regcred.Secret{regcred.SettingProfile: &value}}
			if name == regcred.ProfileMark {
				up.Settings = map[string]*regcred.Secret{name: &value}
			}
			if _, err := o.Update(o.Context(), developer, c.GUID, up); regcred.CodeOf(err) != regcred.Invalid {
				o.Errorf("an update to %s: %v", name, err)
			}
		}
		if list, _, err := o.List(o.Context(), regcred.Local, catalog.Query{Limit: 10}); err != nil || len(list) != 1 || o.issuer.mints != 1 {
			o.Errorf("%d credentials are stored, %d logins were minted, %v", len(list), o.issuer.mints, err)
		}
	})
}

// TestProfileWithdrawn: a profile that is gone, or no longer granted, or is elsewhere,
// takes its logins along at the next start, mints none, and says so; the others stay.
func TestProfileWithdrawn(t *testing.T) {
	kept := lends("kept", host, "k2", places['A'])
	for name, left := range map[string][]profile.Declaration{
		"removed":            {kept},
		"no profile is left": {},
		"another grant":      {kept, lends("acme", host, "k", places['O'], places['P'])},
		"a narrower grant":   {kept, lends("acme", host, "k", places['P'])},
		"another host":       {kept, lends("acme", "other.example.com", "k", places['A'])},
		"a narrower path":    {kept, lends("acme", host+"/team", "k", places['A'])},
	} {
		t.Run(name, func(t *testing.T) {
			profiles(t, []profile.Declaration{kept, lends("acme", host, "k", places['A'])}, func(o *operators) {
				c, other := o.make(developer, "acme", ""), o.make(manager, "kept", "")
				before := o.issuer.mints
				o.use(left)
				o.wantPassword(c.GUID, "")
				stored, err := o.store.Get(o.Context(), c.GUID)
				if err != nil || stored.DropRevision == 0 {
					o.Errorf("no order to take the login away: %+v, %v", stored, err)
				}
				time.Sleep(2 * lifetime)
				synctest.Wait()
				o.wantPassword(c.GUID, "")
				if len(left) > 0 && (o.password(other.GUID) == "" || o.issuer.mints <= before) {
					o.Error("the other profile does not go on")
				}
				for _, caller := range []regcred.Caller{developer, regcred.Local} {
					seen, err := o.Get(o.Context(), caller, c.GUID)
					if err != nil || seen.Login == nil || !strings.Contains(seen.Login.Problem, "profile") && !strings.Contains(seen.Login.Problem, "has no grant") {
						o.Errorf("%s sees %+v, %v", caller.Name, seen.Login, err)
					}
					if _, err := o.Refresh(o.Context(), caller, c.GUID, false); regcred.CodeOf(err) != regcred.Invalid {
						o.Errorf("%s refreshes: %v", caller.Name, err)
					}
				}
				drops := stored.DropRevision
				o.use(left)
				if again, err := o.store.Get(o.Context(), c.GUID); err != nil || again.DropRevision != drops {
					o.Errorf("another start revokes it again: %v", err)
				}
				if err := o.Delete(o.Context(), developer, c.GUID); err != nil {
					o.Errorf("its user cannot delete it: %v", err)
				}
			})
		})
	}
}

// TestProfilesLost: a configuration without any list of profiles is no order: nothing
// is minted, and the login serves until it expires.
func TestProfilesLost(t *testing.T) {
	profiles(t, []profile.Declaration{lends("acme", host, "k", places['A'])}, func(o *operators) {
		c := o.make(developer, "acme", "")
		o.use(nil)
		time.Sleep(lifetime * 6 / 10) // it is due by then
		o.wantPassword(c.GUID, "token-1")
		if seen, err := o.Get(o.Context(), developer, c.GUID); err != nil || !strings.Contains(seen.Login.Problem, "has no grant") {
			o.Errorf("its user sees %+v, %v", seen.Login, err)
		}
		o.use([]profile.Declaration{lends("acme", host, "k", places['A'])})
		time.Sleep(lifetime / 8)
		synctest.Wait()
		o.wantPassword(c.GUID, "token-2")
	})
}

// TestProfileChanged: what a profile mints from is minted from at once after a restart,
// and the old login serves until then; a profile that is the same causes nothing.
func TestProfileChanged(t *testing.T) {
	profiles(t, []profile.Declaration{lends("acme", host, "k", places['A'])}, func(o *operators) {
		c := o.make(developer, "acme", "")
		o.use([]profile.Declaration{lends("acme", host, "k", places['F'])})
		time.Sleep(time.Minute)
		o.wantPassword(c.GUID, "token-1")
		if stored, err := o.store.Get(o.Context(), c.GUID); err != nil || stored.Version != 1 {
			o.Errorf("it is version %d, %v", stored.Version, err)
		}
		o.issuer.set(func(regcred.Credential, *regcred.Login) error { return regcred.Errorf(regcred.Denied, "role canary") })
		o.use([]profile.Declaration{lends("acme", host, "new", places['A'])})
		time.Sleep(time.Minute)
		o.wantPassword(c.GUID, "token-1")
		o.issuer.set(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if password := o.password(c.GUID); password == "token-1" || password == "" {
			o.Errorf("it still has the login %q", password)
		}
	})
}

// TestProfileWords: what the issuer says of the operator's identity is told to admins
// alone, by whatever way it is asked for.
func TestProfileWords(t *testing.T) {
	for code, want := range map[regcred.Code]string{
		regcred.Denied: "its issuer refused (code denied)", regcred.Unavailable: "(code unavailable)", regcred.Throttled: "(code throttled)", regcred.Invalid: "(code invalid)",
	} {
		profiles(t, []profile.Declaration{lends("acme", host, "k", places['A'])}, func(o *operators) {
			o.issuer.set(func(regcred.Credential, *regcred.Login) error {
				return regcred.Errorf(code, "arn:aws:iam::123456789012:role/%s may not", canary)
			})
			c := o.make(developer, "acme", "")
			texts := map[string]string{"create": fmt.Sprintf("%+v", *c.Login)}
			seen, err := o.Get(o.Context(), developer, c.GUID)
			texts["get"] = fmt.Sprintf("%+v %v", *seen.Login, err)
			_, err = o.Refresh(o.Context(), developer, c.GUID, false)
			texts["refresh"] = fmt.Sprint(err)
			report, err := o.Check(o.Context(), developer, c.GUID, "")
			texts["check"] = fmt.Sprint(report, err)
			page, _, err := o.List(o.Context(), developer, catalog.Query{Limit: 10})
			if err != nil || len(page) != 1 {
				o.Fatalf("%d, %v", len(page), err)
			}
			texts["list"] = fmt.Sprintf("%+v", *o.View(developer, page[0]).Login)
			rotate := regcred.NewSecret("2030-01-01")
			out, err := o.Update(o.Context(), developer, c.GUID, service.CredentialUpdate{Check: true, Settings: map[string]*regcred.Secret{regcred.SettingRotateBy: &rotate}})
			if err != nil || len(out.Warnings) != 1 {
				o.Fatalf("update: %+v, %v", out.Warnings, err)
			}
			texts["update"] = fmt.Sprintf("%+v", *out.Login)
			for what, text := range texts {
				if strings.Contains(text, canary) || !strings.Contains(text, want) || !strings.Contains(text, "ask an operator") {
					o.Errorf("%s says %s, want %q", what, text, want)
				}
			}
			status, err := o.Status(o.Context(), regcred.Local)
			if err != nil || len(status.Problems) != 1 || !strings.Contains(status.Problems[0].Error, canary) || !strings.Contains(status.Problems[0].Error, `profile "acme"`) {
				o.Errorf("an admin's status is %+v, %v", status.Problems, err)
			}
		})
	}
}

// TestProfileRegistryWords: a registry's refusal names whose login it was.
func TestProfileRegistryWords(t *testing.T) {
	profiles(t, []profile.Declaration{lends("acme", host, "k", places['A'])}, func(o *operators) {
		c := o.make(developer, "acme", "")
		for _, refusal := range []error{nil, regcred.Errorf(regcred.Denied, "user %s may not pull", canary)} {
			o.public.err, o.registry.err = refusal, refusal
			report, err := o.Check(o.Context(), developer, c.GUID, "")
			if text := fmt.Sprint(report); err != nil || report.Accepted != (refusal == nil) || strings.Contains(text, canary) || refusal != nil && !strings.Contains(text, "(code denied)") {
				o.Errorf("of %v: %+v, %v", refusal, report, err)
			}
		}
		if report, err := o.Check(o.Context(), regcred.Local, c.GUID, ""); err != nil || !strings.Contains(report.Problem, canary) {
			o.Errorf("an admin is told %+v, %v", report, err)
		}
	})
}

// TestProfileTurns: tenants do not have the operator's issuer asked out of turn, and do
// not revoke what others have too; admins do.
func TestProfileTurns(t *testing.T) {
	profiles(t, []profile.Declaration{lends("acme", host, "k", places['A'])}, func(o *operators) {
		c, other := o.make(developer, "acme", ""), o.make(manager, "acme", "")
		for range 5 {
			if _, err := o.Refresh(o.Context(), developer, c.GUID, false); err != nil {
				o.Error(err)
			}
			if report, err := o.Check(o.Context(), developer, c.GUID, ""); err != nil || !report.Accepted {
				o.Errorf("%+v, %v", report, err)
			}
		}
		if o.issuer.mints != 1 {
			o.Errorf("the issuer was asked %d times", o.issuer.mints)
		}
		_, refresh := o.Refresh(o.Context(), developer, c.GUID, true)
		_, update := o.Update(o.Context(), developer, c.GUID, service.CredentialUpdate{Revoke: true})
		for what, err := range map[string]error{"refresh": refresh, "update": update} {
			if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), "ask an operator") {
				o.Errorf("%s: %v", what, err)
			}
		}
		o.wantPassword(other.GUID, "token-1")
		if !slices.Contains(o.acts(), "dave refused refresh credential "+places['D'].String()) {
			o.Errorf("the log is %v", o.acts())
		}
		if _, err := o.Refresh(o.Context(), regcred.Local, c.GUID, true); err != nil {
			o.Fatal(err)
		}
		synctest.Wait()
		for _, guid := range []string{c.GUID, other.GUID} {
			if password := o.password(guid); password == "token-1" {
				o.Errorf("%s still has what was revoked", guid)
			}
		}
	})
}

// TestProfiles: everybody learns of the profiles that his credentials may name, and who
// reads everything of all and their grants; of settings nobody does.
func TestProfiles(t *testing.T) {
	list := []profile.Declaration{
		lends("a-org", host, "k", places['A']), lends("b-space", host+"/x", "k", places['D']), lends("c-all", host, "k", places['F']), lends("d-other", host, "k", places['O']),
	}
	profiles(t, list, func(o *operators) {
		at := func(role regcred.Role, letter byte) regcred.Caller {
			return regcred.Caller{Name: "x", Role: role, Scope: places[letter]}
		}
		member := at(regcred.RoleUser, 'F')
		member.Members = regcred.Memberships{{Role: regcred.RoleSpaceDeveloper, Scope: places['P']}, {Role: regcred.RoleOrgMember, Scope: places['O']}}
		readOnly := developer
		readOnly.ReadOnly = true
		readOnlyAdmin := regcred.Local
		readOnlyAdmin.ReadOnly = true
		for _, test := range []struct {
			caller regcred.Caller
			want   string
			grants bool
		}{
			{regcred.Local, "a-org b-space c-all d-other", true}, {at(regcred.RoleAuditor, 'F'), "a-org b-space c-all d-other", true}, {readOnlyAdmin, "a-org b-space c-all d-other", true},
			{developer, "a-org b-space c-all", false}, {manager, "a-org c-all", false}, {neighbor, "a-org c-all", false}, {member, "a-org c-all", false},
			{at(regcred.RoleSpaceMember, 'D'), "", false}, {at(regcred.RoleOrgMember, 'A'), "", false}, {at(regcred.RoleReader, 'A'), "", false},
			{at(regcred.RoleTarget, 'F'), "", false}, {at(regcred.RoleAdmin, 'A'), "", false}, {readOnly, "", false}, {at(regcred.RoleUser, 'F'), "", false},
		} {
			got, err := o.Profiles(o.Context(), test.caller)
			var names []string
			for _, p := range got {
				names = append(names, p.Name)
				if p.Settings != nil || p.Secrets != nil || (p.Grants != nil) != test.grants || p.Provider != "issuer" || p.Location.Host() != host {
					o.Errorf("%s %s is shown %+v", test.caller.Role, test.caller.Scope, p)
				}
			}
			if text := strings.Join(names, " "); err != nil || text != test.want {
				o.Errorf("%s at %s is shown %q, want %q, %v", test.caller.Role, test.caller.Scope, text, test.want, err)
			}
		}
		if _, err := o.Profiles(o.Context(), regcred.Caller{}); regcred.CodeOf(err) != regcred.Unauthenticated {
			o.Errorf("nobody: %v", err)
		}
	})
}

// TestProfileDeclared: a credential of the configuration may name a profile too, follows
// its changes, and one without a grant stops the start.
func TestProfileDeclared(t *testing.T) {
	list := func(key string) []profile.Declaration {
		return []profile.Declaration{lends("acme", host, key, places['A'])}
	}
	declare := func(scope regcred.Scope) []service.Declaration {
		return []service.Declaration{{NewCredential: byProfile(scope, "acme", host), Where: "regcred.yaml:9"}}
	}
	profiles(t, list("k"), func(o *operators) {
		if err := o.Declare(o.Context(), declare(places['A'])); err != nil {
			o.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		all, _, err := o.List(o.Context(), regcred.Local, catalog.Query{Limit: 10})
		if err != nil || len(all) != 1 {
			o.Fatalf("%d, %v", len(all), err)
		}
		o.wantPassword(all[0].GUID, "token-1")
		o.use(list("new"))
		if err := o.Declare(o.Context(), declare(places['A'])); err != nil {
			o.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		o.wantPassword(all[0].GUID, "token-2")
		if err := o.Declare(o.Context(), declare(places['O'])); regcred.CodeOf(err) != regcred.Invalid || !strings.HasPrefix(err.Error(), "regcred.yaml:9: ") {
			o.Errorf("without a grant: %v", err)
		}
	})
}

// TestProfileUnrecorded: what cannot be recorded is not withdrawn, and stops the start.
func TestProfileUnrecorded(t *testing.T) {
	var log *brokenLog
	unstarted(t, func(s regcred.Store) regcred.Store { log = &brokenLog{Store: s}; return log }, func(b bench) {
		o := &operators{bench: b, stop: func() {}}
		defer func() { o.stop() }()
		o.use([]profile.Declaration{lends("acme", host, "k", places['A'])})
		c := o.make(developer, "acme", "")
		o.stop()
		defer o.begin([]profile.Declaration{})()
		o.stop = func() {}
		log.broken.Store(true)
		if err := o.ApplyProfiles(o.Context()); regcred.CodeOf(err) != regcred.Unavailable {
			o.Errorf("it starts: %v", err)
		}
		o.wantPassword(c.GUID, "token-1")
		log.broken.Store(false)
		if err := o.ApplyProfiles(o.Context()); err != nil {
			o.Error(err)
		}
		o.wantPassword(c.GUID, "")
	})
}

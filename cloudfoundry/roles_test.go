package cloudfoundry_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/cloudfoundry"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
)

var (
	acme = regcred.OrgScope("o-acme")
	dev  = regcred.SpaceScope("o-acme", "s-dev")
	prod = regcred.SpaceScope("o-acme", "s-prod")
	lab  = regcred.SpaceScope("o-other", "s-lab")
)

// kinds are CAPI's roles, by ours.
var kinds = map[string]regcred.Role{
	"organization_manager": regcred.RoleOrgManager, "organization_user": regcred.RoleOrgMember,
	"organization_auditor": regcred.RoleOrgMember, "organization_billing_manager": regcred.RoleOrgMember,
	"space_developer": regcred.RoleSpaceDeveloper, "space_manager": regcred.RoleSpaceMember,
	"space_auditor": regcred.RoleSpaceMember, "space_supporter": regcred.RoleSpaceMember,
}

// TestHolds: each role of CAPI's is held as ours, where it was granted and nowhere else,
// whatever CAPI makes of filters and of include.
func TestHolds(t *testing.T) {
	scopes := []regcred.Scope{
		regcred.Foundation, acme, regcred.OrgScope("o-other"), dev, prod, lab,
		regcred.SpaceScope("o-other", "s-dev"), {Space: "s-dev"}, regcred.AppScope("o-acme", "s-dev", "a-web"),
		regcred.OrgScope("o-acme,o-other"), regcred.SpaceScope("o-acme", "s-dev,s-prod"),
	}
	for kind, want := range kinds {
		at, id := acme, "o-acme"
		if strings.HasPrefix(kind, "space_") {
			at, id = dev, "s-dev"
		}
		for name, q := range map[string]fakecapi.Quirks{
			"as it should": {}, "filters ignored": {IgnoresFilters: true}, "no includes": {NoIncludes: true}, "one a page": {MaxPerPage: 1},
		} {
			i := install(t, nil)
			i.capi.Grant("u-alice", kind, id)
			i.capi.Grant("u-bob", "space_developer", "s-lab")
			i.capi.Grant("u-bob", "organization_manager", "o-acme")
			i.capi.Set(q)
			members := i.alice(t).Members
			for _, s := range scopes {
				for _, role := range []regcred.Role{
					regcred.RoleAdmin, regcred.RoleAuditor, regcred.RoleUser, regcred.RoleTarget, regcred.RoleReader,
					regcred.RoleOrgManager, regcred.RoleOrgMember, regcred.RoleSpaceDeveloper, regcred.RoleSpaceMember,
				} {
					held, err := members.Holds(t.Context(), role, s)
					if held != (role == want && s == at) || err != nil {
						t.Errorf("%s, %s: holds %s at %s: %v, %v", kind, name, role, s, held, err)
					}
				}
			}
			all, err := members.Roles(t.Context())
			if diff := cmp.Diff([]regcred.Membership{{Role: want, Scope: at}}, all); err != nil || diff != "" {
				t.Errorf("%s, %s: %v %s", kind, name, err, diff)
			}
		}
	}
}

// TestClientsAreNobodyElse: a client whose id is a list of guids holds none of their
// roles.
func TestClientsAreNobodyElse(t *testing.T) {
	i := install(t, func(o *fakeuaa.Options) {
		o.Clients["u-alice,u-bob"] = fakeuaa.Client{Authorities: []string{"cloud_controller.read", "cloud_controller.write"}}
	})
	i.capi.Grant("u-alice", "space_developer", "s-dev")
	i.capi.Grant("u-alice,u-bob", "space_auditor", "s-dev") // so that it sees alice's role
	c, err := i.Authenticate(t.Context(), time.Now(), i.uaa.ClientToken("u-alice,u-bob"))
	if err != nil {
		t.Fatal(err)
	}
	if held, err := c.Members.Holds(t.Context(), regcred.RoleSpaceDeveloper, dev); held || err != nil {
		t.Error(held, err)
	}
}

// failures are ways in which CAPI fails, and what is answered then.
var failures = map[string]struct {
	quirks fakecapi.Quirks
	code   regcred.Code
}{
	"429":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Throttle: -1, RetryAfter: 20 * time.Second}}, regcred.Throttled},
	"429 without time": {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Throttle: -1}}, regcred.Throttled},
	"500":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 500}}, regcred.Unavailable},
	"502":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 502}}, regcred.Unavailable},
	"400":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 400}}, regcred.Unavailable},
	"204":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 204}}, regcred.Unavailable},
	"timeout":          {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Slow: time.Hour}}, regcred.Unavailable},
	"a redirect":       {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Redirect: "https://evil.example.com/v3/roles"}}, regcred.Unavailable},
	"a page":           {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Garbage: fakecapi.HTML}}, regcred.Unavailable},
	"half":             {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Garbage: fakecapi.Cut}}, regcred.Unavailable},
	"nothing":          {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Garbage: fakecapi.Void}}, regcred.Unavailable},
	"endless":          {fakecapi.Quirks{Endless: true}, regcred.TooLarge},
	"401":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 401}}, regcred.Unauthenticated},
	"403":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 403}}, regcred.Denied},
	"404":              {fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 404}}, regcred.NotFound},
}

// TestCAPIDown: whatever CAPI does in place of an answer, nobody holds anything.
func TestCAPIDown(t *testing.T) {
	for name, test := range failures {
		synctest.Test(t, func(t *testing.T) {
			i := install(t, nil)
			i.capi.Grant("u-alice", "organization_manager", "o-acme")
			i.capi.Grant("u-alice", "space_developer", "s-dev")
			members := i.alice(t).Members
			i.capi.Set(test.quirks)
			// Pages come one after the other, so the last has to fail too.
			if name == "endless" {
				i.capi.Set(fakecapi.Quirks{MaxPerPage: 1})
				for n := range 30 {
					i.capi.Grant("u-alice", "space_auditor", fmt.Sprint("s-", n))
				}
				if all, err := members.Roles(t.Context()); regcred.CodeOf(err) != test.code || all != nil {
					t.Errorf("%s: %v, %v", name, all, err)
				}
				i.capi.Set(test.quirks)
			} else if all, err := members.Roles(t.Context()); regcred.CodeOf(err) != test.code || all != nil {
				t.Errorf("%s: %v, %v", name, all, err)
			}
			for _, m := range []regcred.Membership{{Role: regcred.RoleOrgManager, Scope: acme}, {Role: regcred.RoleSpaceDeveloper, Scope: dev}} {
				held, err := members.Holds(t.Context(), m.Role, m.Scope)
				if held && name != "endless" || regcred.CodeOf(err) != test.code {
					t.Errorf("%s: %v, %v", name, held, err)
				}
			}
			// It is back: nothing of that is kept for long.
			i.capi.Set(fakecapi.Quirks{})
			time.Sleep(21 * time.Second)
			if held, err := members.Holds(t.Context(), regcred.RoleSpaceDeveloper, dev); !held || err != nil {
				t.Errorf("after %s: %v, %v", name, held, err)
			}
		})
	}
}

// TestThrottled: who asks to be left alone is, for as long as it asks, a minute at most.
func TestThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := install(t, nil)
		members := i.alice(t).Members
		i.capi.Set(fakecapi.Quirks{Quirks: fakeuaa.Quirks{Throttle: -1, RetryAfter: time.Hour}})
		for range 590 {
			if _, err := members.Roles(t.Context()); regcred.CodeOf(err) != regcred.Throttled {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := i.capi.Calls()[fakecapi.CallRoles]; n != 1 {
			t.Errorf("CAPI was asked %d times in 59 seconds", n)
		}
		i.capi.Set(fakecapi.Quirks{})
		time.Sleep(2 * time.Second)
		if _, err := members.Roles(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRemovedRole: it is denied within 60 seconds, and one that is granted is there
// within 10, however often is asked meanwhile.
func TestRemovedRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := install(t, nil)
		i.capi.Grant("u-alice", "space_developer", "s-dev")
		members := i.alice(t).Members
		seen := func() (bool, int) {
			held, err := members.Holds(t.Context(), regcred.RoleSpaceDeveloper, dev)
			all, errAll := members.Roles(t.Context())
			if err != nil || errAll != nil {
				t.Fatal(err, errAll)
			}
			return held, len(all)
		}
		if held, n := seen(); !held || n != 1 {
			t.Fatal(held, n)
		}
		i.capi.Revoke("u-alice", "space_developer", "s-dev")
		for range 59 {
			time.Sleep(time.Second)
			seen()
		}
		if held, n := seen(); held || n != 0 {
			t.Error("a minute after the role was removed it is still held")
		}
		if n := i.capi.Calls()[fakecapi.CallRoles]; n > 24 {
			t.Errorf("CAPI was asked %d times in a minute", n)
		}
		i.capi.Grant("u-alice", "space_developer", "s-dev")
		time.Sleep(10 * time.Second)
		if held, n := seen(); !held || n != 1 {
			t.Error("ten seconds after the role was granted it is not held")
		}
	})
}

// TestOneFlight: who asks the same at once shares one request, and one who gives up ends
// it for nobody else.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := install(t, nil)
		i.capi.Grant("u-alice", "space_developer", "s-dev")
		members := i.alice(t).Members
		i.capi.Set(fakecapi.Quirks{Quirks: fakeuaa.Quirks{Slow: 5 * time.Second}})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var asking sync.WaitGroup
		asking.Go(func() {
			if held, err := members.Holds(impatient, regcred.RoleSpaceDeveloper, dev); held || regcred.CodeOf(err) != regcred.Unavailable {
				t.Error(held, err)
			}
		})
		for range 50 {
			asking.Go(func() {
				if held, err := members.Holds(t.Context(), regcred.RoleSpaceDeveloper, dev); !held || err != nil {
					t.Error(held, err)
				}
			})
		}
		asking.Wait()
		if n := i.capi.Calls()[fakecapi.CallRoles]; n != 1 {
			t.Errorf("CAPI was asked %d times", n)
		}
	})
}

// TestTokensApart: what is said to one token is not said to another one of the same
// user.
func TestTokensApart(t *testing.T) {
	i := install(t, nil)
	i.capi.Grant("u-alice", "space_developer", "s-dev")
	first, second := i.alice(t).Members, i.alice(t).Members
	i.capi.Set(fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 401}})
	if _, err := first.Roles(t.Context()); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Error(err)
	}
	i.capi.Set(fakecapi.Quirks{})
	if all, err := second.Roles(t.Context()); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}

// TestNextLink: a link to the next page leads the token nowhere.
func TestNextLink(t *testing.T) {
	i := install(t, nil)
	i.hosts["evil.example.com"] = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked, with %q", r.Host, r.Header.Get("Authorization"))
	})
	i.capi.Set(fakecapi.Quirks{MaxPerPage: 1, NextAt: "https://evil.example.com/v3/roles?page=2"})
	i.capi.Grant("u-alice", "space_developer", "s-dev")
	i.capi.Grant("u-alice", "space_developer", "s-prod")
	if all, err := i.alice(t).Members.Roles(t.Context()); err != nil || len(all) != 2 {
		t.Error(all, err)
	}
}

type locator interface {
	HasOrg(context.Context, string) error
	OrgOfSpace(context.Context, string) (string, error)
	SpaceOfApp(context.Context, string) (string, error)
}

func TestPlaces(t *testing.T) {
	i := install(t, nil)
	i.capi.Grant("u-alice", "space_developer", "s-dev")
	where, ok := i.alice(t).Members.(locator)
	if !ok {
		t.Fatal("the members know no places")
	}
	for range 2 {
		if org, err := where.OrgOfSpace(t.Context(), "s-dev"); err != nil || org != "o-acme" {
			t.Error(org, err)
		}
		if space, err := where.SpaceOfApp(t.Context(), "a-web"); err != nil || space != "s-dev" {
			t.Error(space, err)
		}
	}
	if calls := i.capi.Calls(); calls[fakecapi.CallSpace] != 1 || calls[fakecapi.CallApp] != 1 {
		t.Errorf("calls %v", calls)
	}
	i.capi.Grant("u-alice", "organization_user", "o-acme")
	if err := where.HasOrg(t.Context(), "o-acme"); err != nil {
		t.Error(err)
	}
	for _, guid := range []string{"o-other", "o-none", "s-dev", "", ".", "..", "../spaces/s-dev", "o-acme?x"} {
		if err := where.HasOrg(t.Context(), guid); regcred.CodeOf(err) != regcred.NotFound {
			t.Errorf("%q: %v", guid, err)
		}
	}
	for _, guid := range []string{"s-lab", "s-none", "", ".", "..", "../roles", "s-dev/..", "s-dev?x", "s-dev#", "%2e%2e"} {
		if org, err := where.OrgOfSpace(t.Context(), guid); regcred.CodeOf(err) != regcred.NotFound || org != "" {
			t.Errorf("%q: %q, %v", guid, org, err)
		}
	}
	i.capi.Set(fakecapi.Quirks{Quirks: fakeuaa.Quirks{Status: 500}})
	if _, err := where.OrgOfSpace(t.Context(), "s-prod"); regcred.CodeOf(err) != regcred.Unavailable {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	i := install(t, nil)
	i.capi.Grant("u-alice", "space_developer", "s-dev")
	i.capi.Grant("u-alice", "organization_user", "o-acme")
	token := regcred.NewSecret(i.uaa.Token("alice"))
	find := func(kind cloudfoundry.Kind, name, parent string) string {
		guid, err := i.Find(t.Context(), token, kind, name, parent)
		if err != nil && regcred.CodeOf(err) != regcred.NotFound {
			t.Error(err)
		}
		return guid
	}
	for name, q := range map[string]fakecapi.Quirks{"as it should": {}, "filters ignored": {IgnoresFilters: true}} {
		i.capi.Set(q)
		got := []string{
			find(cloudfoundry.Organizations, "acme", ""), find(cloudfoundry.Organizations, "other", ""),
			find(cloudfoundry.Spaces, "dev", "o-acme"), find(cloudfoundry.Spaces, "dev", "o-other"), find(cloudfoundry.Apps, "web", "s-dev"),
		}
		if diff := cmp.Diff([]string{"o-acme", "", "s-dev", "", "a-web"}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		names, err := i.Names(t.Context(), token, cloudfoundry.Spaces, []string{"s-dev", "s-lab", "s-none"})
		if diff := cmp.Diff(map[string]string{"s-dev": "dev"}, names); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	if _, err := i.Find(t.Context(), regcred.NewSecret("junk"), cloudfoundry.Apps, "web", "s-dev"); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Error(err)
	}
}

// TestNoSecret: no error shows a token.
func TestNoSecret(t *testing.T) {
	for name, test := range failures {
		synctest.Test(t, func(t *testing.T) {
			i := install(t, nil)
			raw := i.uaa.Token("alice")
			c, err := i.Authenticate(t.Context(), time.Now(), raw)
			if err != nil {
				t.Fatal(err)
			}
			i.capi.Set(test.quirks)
			_, err = c.Members.Roles(t.Context())
			if said := fmt.Sprintf("%v %+v %#v", err, c, c); strings.Contains(said, raw) || strings.Contains(said, strings.Split(raw, ".")[2]) {
				t.Errorf("%s: it shows the token: %s", name, said)
			}
		})
	}
}

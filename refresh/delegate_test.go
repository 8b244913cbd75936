package refresh_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/refresh"
)

// delegate is a provider whose credentials have logins of the issuer, within the
// organizations that it is granted to.
type delegate struct {
	*issuer
	granted []string
}

func (*delegate) Describe() regcred.ProviderInfo { return regcred.ProviderInfo{Name: "delegate"} }
func (*delegate) Profiles() []regcred.Profile    { return nil }

// Source has the setting "key" of the credential's setting "of".
func (d *delegate) Source(c regcred.Credential) (regcred.Credential, error) {
	if !slices.Contains(d.granted, c.Scope.Org) {
		return regcred.Credential{}, regcred.Errorf(regcred.Invalid, "scope %s has no grant", c.Scope)
	}
	c.Provider, c.Settings = "issuer", map[string]string{"key": c.Settings["of"], "issuer": "account"}
	return c, nil
}

func (d *delegate) Stamp(c regcred.Credential) (regcred.Credential, error) { return c, nil }

func (d *delegate) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	from, err := d.Source(c)
	if err != nil {
		return regcred.Login{}, err
	}
	return d.issuer.Mint(ctx, from)
}

// createOfDelegate stores a credential of the delegate at an organization.
func (b bench) createOfDelegate(org, of string) {
	b.Helper()
	c := b.createOf(org, host, regcred.OrgScope(org), map[string]string{"of": of, "own": org})
	_, err := b.store.Update(b.Context(), c.GUID, func(c *regcred.Credential) error {
		c.Provider = "delegate"
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// TestDelegates: granted credentials of one source share a mint each period and the
// lane of its issuer, whatever else their own settings are; who has no grant takes no
// part, and neither does a credential of the issuer itself.
func TestDelegates(t *testing.T) {
	const granted = 50
	b := &delegate{issuer: &issuer{lifetime: 12 * time.Hour, slow: time.Second, info: shares}}
	bubble(t, b.issuer, func(be bench) {
		for n := range granted {
			b.granted = append(b.granted, fmt.Sprint("o", n))
			be.createOfDelegate(fmt.Sprint("o", n), "shared")
		}
		b.granted = append(b.granted, "else")
		be.createOfDelegate("else", "another")
		be.createOfDelegate("foreign", "shared")
		be.createOf("own", host, regcred.Foundation, map[string]string{"key": "shared", "issuer": "account"})
		r, _ := be.startWith(map[string]regcred.Provider{"issuer": b.issuer, "delegate": b})
		time.Sleep(time.Minute)
		be.wantAllMints(3)
		token := be.login("o0").Password.Reveal()
		for n := range granted {
			be.wantToken(fmt.Sprint("o", n), token)
		}
		for _, other := range []string{"else", "own"} {
			if be.login(other).Password.Reveal() == token {
				be.Errorf("%s has the login of the others", other)
			}
		}
		if _, err := be.store.Login(be.Context(), "foreign"); regcred.CodeOf(err) != regcred.NotFound {
			be.Errorf("who has no grant has a login: %v", err)
		}
		if s := be.status(r, "foreign"); s.Failures == 0 || s.Code != regcred.Invalid || s.Problem != "scope organization foreign has no grant" {
			be.Errorf("the status without a grant is %+v", s)
		}
		time.Sleep(7 * time.Hour)
		be.wantAllMints(6)
		lanes := 0
		for is := range r.Issuers() {
			if is.Provider == "issuer" {
				lanes++
				if is.Issuer != "account" || is.Credentials != granted+2 {
					be.Errorf("the lane is %+v", is)
				}
			}
		}
		if lanes != 1 {
			be.Errorf("%d lanes", lanes)
		}
	})
}

// TestDelegateLost: a grant that is gone after a restart ends the renewal, and no login
// of those who keep theirs is borrowed.
func TestDelegateLost(t *testing.T) {
	d := &delegate{issuer: &issuer{lifetime: time.Hour, info: shares}, granted: []string{"a", "b"}}
	bubble(t, d.issuer, func(b bench) {
		b.createOfDelegate("a", "shared")
		b.createOfDelegate("b", "shared")
		providers := map[string]regcred.Provider{"issuer": d.issuer, "delegate": d}
		_, stop := b.startWith(providers)
		synctest.Wait()
		b.wantAllMints(1)
		before := b.login("b")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		d.granted = []string{"a"}
		r, _ := b.startWith(providers)
		time.Sleep(45 * time.Minute)
		if after := b.login("b"); !after.MintedAt.Equal(before.MintedAt) {
			b.Errorf("without a grant it has a new login, of %s", after.MintedAt)
		}
		if _, err := r.Mint(b.Context(), "b"); regcred.CodeOf(err) != regcred.Invalid {
			b.Errorf("a mint without a grant: %v", err)
		}
		if !b.login("a").MintedAt.After(before.MintedAt) {
			b.Error("who has a grant was not renewed")
		}
	})
}

// TestDelegateTurns: who stores, changes and deletes credentials all the time has the
// issuer asked now and then, also where nobody else has a login to lend; who is renewed
// meanwhile is, and an admin gets a login at any time.
func TestDelegateTurns(t *testing.T) {
	d := &delegate{issuer: &issuer{lifetime: time.Hour, info: shares}, granted: []string{"a", "b"}}
	bubble(t, d.issuer, func(b bench) {
		r, _ := b.startWith(map[string]regcred.Provider{"issuer": d.issuer, "delegate": d})
		const rounds, pace = 600, 100 * time.Millisecond
		for range rounds {
			b.createOfDelegate("a", "shared")
			time.Sleep(pace / 2)
			_, err := b.store.Update(b.Context(), "a", func(c *regcred.Credential) error {
				c.Settings = map[string]string{"of": "shared", "own": time.Now().String()}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			time.Sleep(pace / 2)
			if _, err := b.store.Delete(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
		if asked := b.issuer.given(); asked > 25 || asked < 5 {
			b.Errorf("the issuer gave %d logins in a minute", asked)
		}
		b.createOfDelegate("a", "shared")
		b.createOfDelegate("b", "shared")
		time.Sleep(2 * time.Minute)
		for _, guid := range []string{"a", "b"} {
			if b.login(guid).Expired(time.Now()) {
				b.Errorf("%s has no login", guid)
			}
		}
		for range 30 {
			before := b.issuer.given()
			if _, err := r.Mint(b.Context(), "b"); err != nil || b.issuer.given() != before+1 {
				b.Fatalf("an admin's mint: %v", err)
			}
		}
	})
}

// TestDelegateRenewals: who changes credentials all the time, and so takes every turn as
// soon as there is one, keeps nobody else from being renewed when that is due.
func TestDelegateRenewals(t *testing.T) {
	d := &delegate{issuer: &issuer{lifetime: time.Hour, info: shares}, granted: []string{"quiet"}}
	bubble(t, d.issuer, func(b bench) {
		b.createOfDelegate("quiet", "shared")
		r, _ := b.startWith(map[string]regcred.Provider{"issuer": d.issuer, "delegate": d})
		synctest.Wait()
		first := b.login("quiet")
		due, busy := refresh.Due(first, "quiet"), ""
		// Somebody whose own schedule has the shared login renewed earlier.
		for n := 0; busy == "" || !refresh.Due(first, busy).Before(due.Add(-time.Minute)); n++ {
			busy = fmt.Sprint("busy-", n)
		}
		d.granted = append(d.granted, busy)
		b.createOfDelegate(busy, "shared")
		time.Sleep(time.Until(due.Add(-32 * time.Second)))
		for time.Now().Before(due.Add(time.Second)) {
			_, err := b.store.Update(b.Context(), busy, func(c *regcred.Credential) error {
				c.Settings = map[string]string{"of": "shared", "own": time.Now().String()}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if s := b.status(r, busy); s.Code != regcred.Throttled {
			b.Errorf("there are turns left: %+v", s)
		}
		if s := b.status(r, "quiet"); s.Failures > 0 || b.login("quiet").MintedAt.Before(due.Add(-time.Second)) {
			b.Errorf("it is not renewed: %+v", s)
		}
	})
}

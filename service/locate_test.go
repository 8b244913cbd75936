package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
	"regcred.dev/service"
)

// createAt stores a credential at a scope, which may lack its parents.
func (b bench) createAt(caller regcred.Caller, scope regcred.Scope) (service.Credential, error) {
	b.Helper()
	return b.CreateCredential(b.Context(), caller, service.NewCredential{
		Scope: scope, Location: "place.example.com", Username: "user", Password: regcred.NewSecret("p"),
	})
}

// TestAdminsNamePlaces: an admin stores credentials only at what there is.
func TestAdminsNamePlaces(t *testing.T) {
	const (
		noOrg   = "Invalid organization. Ensure that the organization exists and you have access to it."
		noSpace = "Invalid space. Ensure that the space exists and you have access to it."
		noApp   = "App is invalid. Ensure it exists and you have access to it."
	)
	bubble(t, nil, func(b bench) {
		p := newPlatform(b.T)
		admin := p.as(b.T, "admin")
		for given, want := range map[regcred.Scope]regcred.Scope{
			{}: {}, {Org: "o-acme"}: places['A'], {Space: "s-dev"}: places['D'], places['P']: places['P'], {App: "a-web"}: places['W'],
			{Space: "s-lab", App: "a-job"}: places['X'],
		} {
			if got, err := b.createAt(admin, given); err != nil || got.Scope != want {
				b.Errorf("%+v: %s, %v", given, got.Scope, err)
			}
		}
		before := b.state()
		for given, want := range map[regcred.Scope]string{
			{Org: "o-none"}: noOrg, {Org: ".."}: noOrg, {Org: "o-acme/../o-other"}: noOrg, {Org: "s-dev"}: noOrg,
			{Space: "s-none"}: noSpace, {Org: "o-other", Space: "s-dev"}: noSpace, {Org: "o-none", Space: "s-dev"}: noSpace, {Org: "o-acme", Space: "o-acme"}: noSpace,
			{App: "a-none"}: noApp, {Org: "o-acme", Space: "s-prod", App: "a-web"}: noApp, {Org: "o-other", Space: "s-dev", App: "a-web"}: noApp, {Org: "o-other", App: "a-web"}: noApp,
		} {
			if got, err := b.createAt(admin, given); regcred.CodeOf(err) != regcred.Invalid || regcred.MessageOf(err) != want || got.GUID != "" {
				b.Errorf("%+v: %v", given, err)
			}
		}
		if acts := b.acts(); strings.Count(strings.Join(acts, "\n"), "refused find scope") != 12 {
			b.Errorf("of 12 refusals the log has %q", acts)
		}
		if diff := cmp.Diff(before, b.state()); diff != "" {
			b.Errorf("something is stored: %s", diff)
		}
		// Who is no user of Cloud Foundry cannot ask it.
		if _, err := b.createAt(regcred.Local, regcred.OrgScope("o-none")); err != nil {
			b.Error(err)
		}
	})
}

// TestAdminsWithoutCAPI: while CAPI cannot be asked for a place, not even an admin stores
// anything there.
func TestAdminsWithoutCAPI(t *testing.T) {
	for failure, q := range map[string]fakeuaa.Quirks{
		"429": {Throttle: -1, RetryAfter: time.Second}, "500": {Status: 500}, "timeout": {Slow: time.Hour}, "a page": {Garbage: fakecapi.HTML},
		"nothing": {Garbage: fakecapi.Void}, "half": {Garbage: fakecapi.Cut}, "403": {Status: 403},
	} {
		t.Run(failure, func(t *testing.T) {
			bubble(t, nil, func(b bench) {
				p := newPlatform(b.T)
				admin := p.as(b.T, "admin")
				p.capi.Set(fakecapi.Quirks{Quirks: q})
				before, began := b.state(), time.Now()
				for _, letter := range []byte("ADW") {
					switch _, err := b.createAt(admin, places[letter]); regcred.CodeOf(err) {
					case regcred.Unavailable, regcred.Throttled, regcred.Denied:
					default:
						b.Errorf("at %c: %v", letter, err)
					}
				}
				if took := time.Since(began); took > 30*time.Second {
					b.Errorf("it took %s", took)
				}
				if diff := cmp.Diff(before, b.state()); diff != "" {
					b.Errorf("something is stored: %s", diff)
				}
				if _, err := b.createAt(admin, regcred.Foundation); err != nil { // for which nobody is asked
					b.Error(err)
				}
				time.Sleep(time.Minute) // what waits for CAPI has its own end
			})
		})
	}
}

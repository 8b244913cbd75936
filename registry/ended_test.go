package registry_test

import (
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// TestEndedInUse ends logins that are used all the time: the next request is refused.
func TestEndedInUse(t *testing.T) {
	pull := grant("a", token.Pull)
	revoke := func(h *harness, _ regcred.Secret) error {
		return h.tokens.Revoke(t.Context(), "credential-1", time.Now().Add(time.Second), time.Now().Add(time.Hour))
	}
	for name, test := range map[string]struct {
		scheme string
		login  func(h *harness) regcred.Secret
		end    func(h *harness, password regcred.Secret) error
	}{
		"API token": {"Basic", func(h *harness) regcred.Secret {
			return h.apiToken(t, regcred.RolePuller, regcred.Foundation)
		}, func(h *harness, password regcred.Secret) error {
			id, _ := token.APITokenID(password.Reveal())
			return h.tokens.DeleteAPIToken(t.Context(), id)
		}},
		"login": {"Basic", func(h *harness) regcred.Secret { return h.login(t, time.Hour, pull) }, revoke},
		"Bearer token": {"Bearer", func(h *harness) regcred.Secret {
			return sign(t, h.tokens, token.UseAccess, time.Hour, pull)
		}, revoke},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			pushImage(t, h.storage, "a", "v1")
			login := test.login(h)
			password, c := login, call{method: "GET", path: "/v2/a/manifests/v1"}
			if test.scheme == "Bearer" {
				password, c.header = regcred.Secret{}, map[string]string{"Authorization": "Bearer " + login.Reveal()}
			}
			for range 3 {
				if a := h.do(t, password, c); a.status != 200 {
					t.Fatalf("%d %s", a.status, a.body)
				}
			}
			if err := test.end(h, login); err != nil {
				t.Fatal(err)
			}
			if a := h.do(t, password, c); a.status != 401 {
				t.Errorf("after its end: %d", a.status)
			}
		})
	}
}

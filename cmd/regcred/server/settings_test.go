package server_test

import (
	"net/http"
	"strings"
	"testing"

	"regcred.dev/client"
)

// TestServersOwnSettings: what an admin's credentials say of the server itself is in no
// answer to anybody else, by any route that is about credentials.
func TestServersOwnSettings(t *testing.T) {
	m := newRealm(t)
	const canary = "canary.invalid"
	for letter, scope := range places {
		c, err := m.local.CreateCredential(t.Context(), client.CreateRequest{
			Location: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", Provider: "ecr", Relationships: client.RelationshipsOf(scope),
			Settings: map[string]string{"endpoint": "https://" + canary, "access-key-id": "AKIAIOSFODNN7EXAMPLE", "secret-access-key": "x"},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.guids[letter] = c.GUID
	}
	for _, c := range append(m.people(), m.tokens()...) {
		seen, hidden := false, false
		for _, route := range credentialRoutes {
			if !strings.Contains(route.path, "registry_credentials") || route.method == http.MethodPost && route.body != "" {
				continue
			}
			for _, letter := range route.letters() {
				if letter != 'F' && letter != 'D' || c.admin && route.method != http.MethodGet {
					continue
				}
				method, path, body := m.request(route.onStock(), letter)
				_, answer := m.do(method, path, c.token, body)
				seen = seen || strings.Contains(answer, canary)
				hidden = hidden || strings.Contains(answer, `"settings_hidden":true`)
			}
		}
		if seen != c.admin || hidden != (!c.admin && c.read != "") {
			t.Errorf("%s sees the settings: %v, is told that there are some: %v", c.name, seen, hidden)
		}
	}
}

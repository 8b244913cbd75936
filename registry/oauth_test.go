package registry_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/token"
)

// post sends a form to the token endpoint.
func (h *harness) post(t testing.TB, form url.Values) answer {
	t.Helper()
	return h.do(t, regcred.Secret{}, call{
		method: "POST", path: tokenPath, body: form.Encode(),
		header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
	})
}

// TestOAuth exchanges logins by the form that containerd sends, and docker with an
// identity token.
func TestOAuth(t *testing.T) {
	h := newHarness(t)
	login := h.login(t, time.Hour, grant("acme/*", token.Pull)).Reveal()
	const scope = "repository:acme/app:pull,push repository:other:pull"
	for name, form := range map[string]url.Values{
		"containerd":     {"grant_type": {"password"}, "service": {h.host}, "client_id": {"containerd-client"}, "scope": {scope}, "username": {"u"}, "password": {login}},
		"identity token": {"grant_type": {"refresh_token"}, "service": {h.host}, "client_id": {"docker"}, "scope": {scope}, "refresh_token": {login}, "access_type": {"offline"}},
		"two parameters": {"grant_type": {"password"}, "scope": strings.Fields(scope), "password": {login}},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.post(t, form)
			var got struct {
				tokenAnswer
				Scope        string `json:"scope"`
				RefreshToken string `json:"refresh_token"`
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if got.Scope != "repository:acme/app:pull" || got.RefreshToken != "" || got.ExpiresIn != 300 || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("the answer is %+v, %v", got, a.header)
			}
			claims, err := h.tokens.Verify(time.Now(), got.AccessToken, token.UseAccess)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]token.Grant{grant("acme/app", token.Pull)}, claims.Grants); diff != "" {
				t.Errorf("grants (-want +got): %s", diff)
			}
		})
	}
}

// TestOAuthRefuses: nobody gets in by another form, nor by a password in the URL.
func TestOAuthRefuses(t *testing.T) {
	h := newPolicyHarness(t, publicPolicy)
	admin := h.admin(t).Reveal()
	bearer := sign(t, h.tokens, token.UseAccess, time.Minute, grant("*", token.Pull)).Reveal()
	form := "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		query, kind, body string
		status            int
	}{
		"wrong password":        {"", form, "grant_type=password&username=u&password=x", 401},
		"no password":           {"", form, "grant_type=password", 401},
		"no password, public":   {"", form, "grant_type=password&scope=repository:public/app:pull", 401},
		"a Bearer token":        {"", form, "grant_type=password&password=" + bearer, 401},
		"a Bearer to refresh":   {"", form, "grant_type=refresh_token&refresh_token=" + bearer, 401},
		"no grant type":         {"", form, "password=" + admin, 400},
		"another grant type":    {"", form, "grant_type=client_credentials&password=" + admin, 400},
		"all in the URL":        {"?grant_type=password&password=" + admin, form, "", 400},
		"password in the URL":   {"?password=" + admin, form, "grant_type=password", 401},
		"password as a refresh": {"", form, "grant_type=refresh_token&password=" + admin, 401},
		"multipart":             {"", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\npassword\r\n--x--", 400},
		"JSON":                  {"", "application/json", `{"grant_type":"password","password":"` + admin + `"}`, 400},
		"malformed":             {"", form, "grant_type=password&password=%zz", 400},
		"too long":              {"", form, "grant_type=password&password=" + strings.Repeat("x", 64<<10), 413},
		"too many scopes":       {"", form, "grant_type=password&password=" + admin + strings.Repeat("&scope=repository:a:pull", 65), 400},
	} {
		a := h.do(t, regcred.Secret{}, call{
			method: "POST", path: tokenPath + test.query, body: test.body, header: map[string]string{"Content-Type": test.kind},
		})
		if a.status != test.status || strings.Contains(a.body, "rcat_") {
			t.Errorf("%s: %d, want %d: %s", name, a.status, test.status, a.body)
		}
	}
}

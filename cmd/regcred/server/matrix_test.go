package server_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/config"
	"regcred.dev/oidctoken"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakecluster"
	"regcred.dev/regcredtest/fakefoundation"
	"regcred.dev/regcredtest/fakeuaa"
)

// places are the scopes of the authorization matrix, by letters: an organization with two
// spaces and an app in the first, and another one with a space and an app.
var places = map[byte]regcred.Scope{
	'F': regcred.Foundation,
	'A': regcred.OrgScope("acme-guid"), 'O': regcred.OrgScope("other-guid"),
	'D': regcred.SpaceScope("acme-guid", "dev-guid"), 'P': regcred.SpaceScope("acme-guid", "prod-guid"), 'L': regcred.SpaceScope("other-guid", "lab-guid"),
	'W': regcred.AppScope("acme-guid", "dev-guid", "web-guid"), 'X': regcred.AppScope("other-guid", "lab-guid", "job-guid"),
}

// everywhere are the letters of places.
const everywhere = "FADWPOLX"

// rights are what a caller may do with the credentials at which places.
type rights struct {
	read, write string
	resolve     string
	release     string // logins in clear
	// member says that the caller is told of no scope that it may not read.
	member bool
	audit  bool // may read what is everybody's
	admin  bool
}

// asUser are the rights of people.
func asUser(read, write string) rights {
	return rights{read: read, write: write, resolve: read, member: true}
}

var (
	ofAdmins   = rights{read: everywhere, write: everywhere, resolve: everywhere, release: everywhere, audit: true, admin: true}
	ofAuditors = rights{read: everywhere, resolve: everywhere, audit: true}
)

// byToken are the rights of API tokens, by role and place.
var byToken = map[string]rights{
	"admin F": ofAdmins, "auditor F": ofAuditors,
	"reader A": {read: "FADWP", resolve: "ADWP"}, "reader D": {read: "FADW", resolve: "DW"}, "reader W": {read: "FADW", resolve: "W"},
	"target A": {read: "FADWP", resolve: "ADWP", release: "ADWP"}, "target D": {read: "FADW", resolve: "DW", release: "DW"},
	"puller A": {}, "pusher A": {}, "puller F": {},
	"org-manager A": asUser("FA", "A"), "org-member A": asUser("FA", ""),
	"space-developer D": asUser("FADW", "DW"), "space-member D": asUser("FADW", ""),
}

// byUser are the rights of a foundation's users.
var byUser = map[string]rights{
	fakefoundation.Root: ofAdmins, fakefoundation.Watcher: ofAuditors,
	fakefoundation.Manager: asUser("FA", "A"), fakefoundation.Member: asUser("FA", ""),
	fakefoundation.Developer: asUser("FADW", "DW"), fakefoundation.Auditor: asUser("FADW", ""), fakefoundation.Nobody: asUser("F", ""),
}

// byGroup are the rights of people of an OpenID Connect issuer.
var byGroup = map[string]rights{
	"platform": ofAdmins, "auditors": ofAuditors, "acme-managers": asUser("FA", "A"), "acme/dev-developers": asUser("FADW", "DW"),
}

var groupRules = []oidctoken.Rule{
	{Claim: "groups", Value: "platform", Role: regcred.RoleAdmin}, {Claim: "groups", Value: "auditors", Role: regcred.RoleAuditor},
	{Claim: "groups", Pattern: "(.+)-managers", Role: regcred.RoleOrgManager, Organization: "$1-guid"},
	{Claim: "groups", Pattern: "(.+)/(.+)-developers", Role: regcred.RoleSpaceDeveloper, Organization: "$1-guid", Space: "$2-guid"},
}

// caller is one of the matrix.
type caller struct {
	name, token string
	rights
}

// realm is a server with a foundation and an issuer, and credentials at all places.
type realm struct {
	*running
	*fakefoundation.Foundation
	issuer *fakecluster.Server
	guids  map[byte]string // of the credentials, by place
	made   int
}

func newRealm(t *testing.T) *realm {
	t.Helper()
	m := &realm{Foundation: fakefoundation.Start(t), guids: map[byte]string{}}
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.issuer.ServeHTTP(w, r) }))
	t.Cleanup(idp.Close)
	m.issuer = fakecluster.New(fakecluster.Options{Issuer: idp.URL})
	cfg := config.Default()
	cfg.CloudFoundry = &config.CloudFoundry{API: m.API}
	roots := x509.NewCertPool()
	roots.AddCert(idp.Certificate())
	cfg.OIDC = []config.OIDC{{Issuer: idp.URL, Audience: "regcred", Roles: groupRules, RootCAs: roots}}
	m.running, _ = start(t, cfg)
	for letter, scope := range places {
		m.guids[letter] = m.put(letter, scope)
	}
	return m
}

// put stores a credential whose registry answers nobody.
func (m *realm) put(letter byte, scope regcred.Scope) (guid string) {
	m.t.Helper()
	m.made++
	return m.create(fmt.Sprintf("127.0.0.1:1/%c%d", letter|0x20, m.made), scope, "x").GUID
}

// person returns a token of the issuer for somebody in a group.
func (m *realm) person(group string) string {
	now := time.Now()
	return m.issuer.Sign(map[string]any{
		"iss": m.issuer.Issuer(), "aud": "regcred", "sub": "4711", "groups": []string{group}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, nil)
}

// people are the callers whose rights others know.
func (m *realm) people() []caller {
	var list []caller
	for user, may := range byUser {
		list = append(list, caller{"user " + user, m.UAA.Token(user), may})
	}
	claims := m.UAA.Claims(fakefoundation.Developer)
	claims["scope"] = []string{"cloud_controller.read"}
	list = append(list, caller{"developer who only reads", m.UAA.Sign(claims, nil), asUser("FADW", "")})
	for group, may := range byGroup {
		list = append(list, caller{"person of " + group, m.person(group), may})
	}
	return list
}

func (m *realm) tokens() []caller {
	m.t.Helper()
	var list []caller
	for name, may := range byToken {
		role, letter, _ := strings.Cut(name, " ")
		tok, err := m.local.CreateToken(m.t.Context(), client.TokenRequest{Name: "test", Role: role, Relationships: client.RelationshipsOf(places[letter[0]])})
		if err != nil {
			m.t.Fatal(err)
		}
		list = append(list, caller{"token " + name, tok.Secret, may})
	}
	return list
}

// TestAccess is the authorization matrix: all callers at all places by every route.
func TestAccess(t *testing.T) {
	m := newRealm(t)
	callers := append(m.people(), m.tokens()...)
	for _, route := range routes {
		kept := route
		kept.want = func(caller, byte) int { return http.StatusForbidden }
		m.check(caller{name: "somebody without a role", token: m.person("others")}, kept.onStock(), 'F')
	}
	uncovered := map[string]bool{}
	for _, pattern := range api.Routes() {
		uncovered[pattern] = true
	}
	roles := map[regcred.Role]bool{}
	for name := range byToken {
		role, _, _ := strings.Cut(name, " ")
		roles[regcred.Role(role)] = true
	}
	for _, role := range regcred.Roles {
		if !roles[role] {
			t.Errorf("no token of the role %s is in the matrix", role)
		}
	}
	for _, route := range routes {
		delete(uncovered, patternOf(route.method, route.path))
		for _, letter := range route.letters() {
			kept := route.onStock()
			for who, token := range map[string]string{"nobody": "", "an unknown token": "rcat_unknown_token", "an edited one": callers[0].token + "x"} {
				method, path, body := m.request(kept, letter)
				if status, answer := m.do(method, path, token, body); status != http.StatusUnauthorized {
					t.Errorf("%s %s as %s: %d %s", method, path, who, status, answer)
				}
			}
			for _, c := range callers {
				m.check(c, route, letter)
			}
		}
	}
	for pattern := range uncovered {
		t.Errorf("%s is not in the matrix", pattern)
	}
}

// check sends one request as one caller.
func (m *realm) check(c caller, route route, letter byte) {
	m.t.Helper()
	method, path, body := m.request(route, letter)
	status, answer := m.do(method, path, c.token, body)
	if want := route.status(c, letter); status != want {
		m.t.Errorf("%s %s at %c as %s: %d, want %d: %s", method, path, letter, c.name, status, want, answer)
	}
	for place, guid := range m.guids {
		if !c.may(c.read, place) && strings.Contains(answer, guid) && !strings.Contains(path, guid) {
			m.t.Errorf("%s %s as %s shows what is at %c: %s", method, path, c.name, place, answer)
		}
		if c.may(c.read, place) && route.lists && !strings.Contains(answer, guid) {
			m.t.Errorf("%s %s as %s does not show what is at %c", method, path, c.name, place)
		}
	}
}

// failures are ways in which those fail who know roles and keys. More of them, and that they
// do not answer in time, are where time is not real: TestCAPIDown of package service, and
// TestUAADown of package cloudfoundry.
var failures = map[string]fakeuaa.Quirks{
	"429": {Throttle: -1, RetryAfter: time.Second}, "500": {Status: 500}, "401": {Status: 401}, "half": {Garbage: fakeuaa.Cut},
}

// TestAccessWithoutRoles: while CAPI fails, nobody may do by any route what a role is
// needed for, and nothing changes.
func TestAccessWithoutRoles(t *testing.T) {
	m := newRealm(t)
	m.list(m.UAA.Token(fakefoundation.Root)) // has the UAA's keys read
	for failure, quirks := range failures {
		m.CAPI.Set(fakecapi.Quirks{Quirks: quirks})
		m.holdsNothing(failure, func(user string) string { return m.UAA.Token(user) }, []string{
			fakefoundation.Manager, fakefoundation.Developer, fakefoundation.Nobody,
		})
	}
}

// TestAccessWithoutKeys: while those fail whose keys verify tokens, their users may do
// nothing by any route, not even admins, and nothing changes.
func TestAccessWithoutKeys(t *testing.T) {
	for _, failure := range []string{"429", "500", "half"} {
		t.Run(failure, func(t *testing.T) {
			m := newRealm(t)
			m.UAA.Set(failures[failure])
			m.issuer.Set(fakecluster.Quirks{Status: failures[failure].Status, Body: "{"})
			m.holdsNothing(failure, func(user string) string { return m.UAA.Token(user) }, []string{fakefoundation.Root, fakefoundation.Developer})
			m.holdsNothing(failure, m.person, []string{"platform", "acme/dev-developers"})
		})
	}
}

// holdsNothing tries every route as some callers, where some of them have rights.
func (m *realm) holdsNothing(failure string, token func(string) string, callers []string) {
	m.t.Helper()
	before := m.state()
	for _, route := range routes {
		for _, letter := range route.letters() {
			if strings.IndexByte("FADWX", letter) < 0 {
				continue
			}
			for _, c := range callers {
				method, path, body := m.request(route.onStock(), letter)
				known := route.everybody && byUser[c].member && (m.UAA.Quirks() == fakeuaa.Quirks{})
				if status, answer := m.do(method, path, token(c), body); status < 400 && !known {
					m.t.Errorf("%s: %s %s at %c as %s: %d %s", failure, method, path, letter, c, status, answer)
				}
			}
		}
	}
	if diff := cmp.Diff(before, m.state()); diff != "" {
		m.t.Errorf("%s: something changed: %s", failure, diff)
	}
}

// state is what is stored of credentials and tokens.
func (m *realm) state() any {
	m.t.Helper()
	credentials, err := m.local.Credentials(m.t.Context(), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	tokens, err := m.local.Tokens(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return []any{credentials, tokens}
}

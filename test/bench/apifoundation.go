package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
)

// foundation is a Cloud Foundry whose users ask: each is a developer in one space.
type foundation struct {
	capi   string   // its URL
	tokens []string // of the users
	admin  string
	close  func()
}

// newFoundation starts one, on this machine.
func newFoundation() *foundation {
	users := map[string]fakeuaa.User{"admin": {GUID: "admin", Scopes: append([]string{"cloud_controller.admin"}, fakeuaa.UserScopes...)}}
	for i := range apiUsers {
		users[fmt.Sprint("user", i)] = fakeuaa.User{GUID: fmt.Sprint("user", i)}
	}
	var uaa, capi http.Handler
	uaaServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { uaa.ServeHTTP(w, r) }))
	capiServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { capi.ServeHTTP(w, r) }))
	fakeUAA := fakeuaa.New(fakeuaa.Options{URL: uaaServer.URL, Users: users})
	fakeCAPI := fakecapi.New(fakecapi.Options{URL: capiServer.URL, UAA: uaaServer.URL, Verify: fakeUAA.Verify})
	uaa, capi = fakeUAA, fakeCAPI
	f := &foundation{capi: capiServer.URL, admin: fakeUAA.Token("admin"), close: func() { capiServer.Close(); uaaServer.Close() }}
	for i := range apiUsers {
		user := fmt.Sprint("user", i)
		space, _ := place(2*i + 1) // odd numbers are credentials of a space
		fakeCAPI.AddOrg(space.Org, space.Org)
		fakeCAPI.AddSpace(space.Space, space.Space, space.Org)
		fakeCAPI.Grant(user, "space_developer", space.Space)
		f.tokens = append(f.tokens, fakeUAA.Token(user))
	}
	return f
}

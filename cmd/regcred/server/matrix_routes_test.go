package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"regcred.dev/client"
)

// route is a request of the authorization matrix. Its path and body may have {guid} for
// the credential at a place, {spare} for one made for the request, {scope} and
// {relationships} for the place, {new} for a location that is free, and {image} for an
// image there.
type route struct {
	method, path, body string
	want               func(c caller, at byte) int
	// at are the only places that it makes sense at, "" for all.
	at string
	// lists says that it answers with all that the caller may read, everybody that it is
	// for everybody who is known.
	lists, everybody bool
	// ownTokens says that it takes API tokens, and those of pods, alone.
	ownTokens bool
}

// may reports whether a place is one of some.
func (c caller) may(places string, at byte) bool { return strings.IndexByte(places, at) >= 0 }

// reads, changes and creates are what callers get who ask for a credential, change it, and
// make one.
func reads(c caller, at byte) int {
	if c.may(c.read, at) {
		return http.StatusOK
	}
	return http.StatusNotFound
}

func changes(status int) func(caller, byte) int {
	return func(c caller, at byte) int {
		switch {
		case !c.may(c.read, at):
			return http.StatusNotFound
		case !c.may(c.write, at):
			return http.StatusForbidden
		}
		return status
	}
}

func creates(c caller, at byte) int {
	switch {
	case c.may(c.write, at):
		return http.StatusCreated
	case c.member && !c.may(c.read, at):
		return http.StatusUnprocessableEntity
	}
	return http.StatusForbidden
}

func resolves(c caller, at byte) int {
	switch {
	case c.may(c.resolve, at):
		return http.StatusOK
	case c.member:
		return http.StatusNotFound
	}
	return http.StatusForbidden
}

func releases(c caller, at byte) int { return only(http.StatusOK)(c.may(c.release, at)) }

// releasesOwn is for what is asked at the caller's own scope.
func releasesOwn(c caller, _ byte) int { return only(http.StatusOK)(c.release != "") }

func anyone(caller, byte) int { return http.StatusOK }

func admins(status int) func(caller, byte) int {
	return func(c caller, _ byte) int { return only(status)(c.admin) }
}

func auditors(status int) func(caller, byte) int {
	return func(c caller, _ byte) int { return only(status)(c.audit) }
}

func only(status int) func(bool) int {
	return func(may bool) int {
		if may {
			return status
		}
		return http.StatusForbidden
	}
}

const newCredential = `{"location": "{new}", "username": "u", "password": "p", "relationships": {relationships}}`

// credentialRoutes are all others.
var credentialRoutes = []route{
	{method: "GET", path: "/v3/registry_credentials?per_page=5000", want: anyone, lists: true},
	{method: "GET", path: "/v3/registry_credentials/{guid}", want: reads},
	{method: "PATCH", path: "/v3/registry_credentials/{guid}", body: `{"username": "v"}`, want: changes(200)},
	{method: "PATCH", path: "/v3/registry_credentials/{guid}?check=true&revoke=true", body: `{"password": "{new}"}`, want: changes(200)},
	{method: "DELETE", path: "/v3/registry_credentials/{spare}", want: changes(204)},
	{method: "POST", path: "/v3/registry_credentials", body: newCredential, want: creates, at: "FADPOL"},
	{method: "POST", path: "/regcred/v1/app_registry_credentials", body: newCredential, want: admins(201), at: "WX"},
	{method: "POST", path: "/regcred/v1/registry_credentials/{guid}/actions/refresh", want: changes(200)},
	{method: "POST", path: "/regcred/v1/registry_credentials/{guid}/actions/refresh?revoke=true", want: changes(422)}, // of a password that is stored
	{method: "POST", path: "/regcred/v1/registry_credentials/{guid}/actions/check", want: changes(200)},

	{method: "GET", path: "/regcred/v1/providers", want: anyone, everybody: true},
	{method: "GET", path: "/regcred/v1/providers/ecr", want: anyone, everybody: true},
	{method: "GET", path: "/regcred/v1/profiles", want: anyone},
	{method: "GET", path: "/regcred/v1/resolve?image=127.0.0.1:1/x/y{scope}", want: resolves},
	{method: "GET", path: "/regcred/v1/docker_config?for=docker{scope}", want: releases},
	{method: "POST", path: "/regcred/v1/kubelet/login", body: `{"image": "127.0.0.1:1/x/y"}`, want: releasesOwn, ownTokens: true},

	{method: "GET", path: "/regcred/v1/status", want: admins(200)},
	{method: "POST", path: "/regcred/v1/targets/actions/confirm?name=none", want: admins(404)},
	{method: "GET", path: "/regcred/v1/audit", want: auditors(200)},
	{method: "GET", path: "/regcred/v1/tokens", want: admins(200)},
	{method: "POST", path: "/regcred/v1/tokens", body: `{"name": "x", "role": "reader", "relationships": {relationships}}`, want: admins(201)},
	{method: "POST", path: "/regcred/v1/tokens", body: `{"name": "x", "role": "pusher", "repositories": ["acme/*"]}`, want: admins(201)},
	{method: "DELETE", path: "/regcred/v1/tokens/none", want: admins(404)},
}

var routes = slices.Concat(credentialRoutes, upkeepRoutes)

// upkeepRoutes are those of the registry's upkeep.
var upkeepRoutes = []route{
	{method: "GET", path: "/regcred/v1/registry/repositories", want: auditors(200)},
	{method: "GET", path: "/regcred/v1/registry/tags?repository=acme/app", want: auditors(404)},
	{method: "GET", path: "/regcred/v1/registry/history?repository=acme/app&tag=1", want: auditors(404)},
	{method: "GET", path: "/regcred/v1/registry/statistics", want: auditors(200)},
	{method: "POST", path: "/regcred/v1/registry/tags/actions/rollback?repository=acme/app&tag=1", want: admins(404)},
	{method: "DELETE", path: "/regcred/v1/registry/tags?repository=acme/app&tag=1", want: admins(404)},
	{method: "DELETE", path: "/regcred/v1/registry/manifests?repository=acme/app&digest=sha256:" + strings.Repeat("0", 64), want: admins(404)},
	{method: "POST", path: "/regcred/v1/registry/actions/collect", want: admins(202)},
	{method: "POST", path: "/regcred/v1/registry/actions/collect?dry_run=true", want: auditors(202)},
	{method: "POST", path: "/regcred/v1/registry/actions/check?deep=true", want: auditors(202)},
	{method: "GET", path: "/regcred/v1/registry/operations", want: auditors(200)},
	{method: "GET", path: "/regcred/v1/registry/operations/none", want: auditors(404)},
}

// status returns what a caller gets who is known.
func (r route) status(c caller, at byte) int {
	if r.ownTokens && strings.Count(c.token, ".") == 2 { // a JSON Web Token
		return http.StatusUnauthorized
	}
	return r.want(c, at)
}

// letters are the places that a route is tried at: one where it names none.
func (r route) letters() []byte {
	switch {
	case r.at != "":
		return []byte(r.at)
	case strings.Contains(r.path+r.body, "{guid}"), strings.Contains(r.path+r.body, "{spare}"),
		strings.Contains(r.path+r.body, "{scope}"), strings.Contains(r.path+r.body, "{relationships}"):
		return []byte(everywhere)
	}
	return []byte("F")
}

// onStock returns the route with the credential of the place in place of one made for it.
func (r route) onStock() route {
	r.path = strings.ReplaceAll(r.path, "{spare}", "{guid}")
	return r
}

// request fills a route in for a place.
func (m *realm) request(r route, at byte) (method, path, body string) {
	m.t.Helper()
	scope := places[at]
	query := ""
	for _, id := range [][2]string{{"organization", scope.Org}, {"space", scope.Space}, {"app", scope.App}} {
		if id[1] != "" {
			query += "&" + id[0] + "=" + url.QueryEscape(id[1])
		}
	}
	relationships, err := json.Marshal(client.RelationshipsOf(scope))
	if err != nil {
		m.t.Fatal(err)
	}
	spare := ""
	if strings.Contains(r.path, "{spare}") {
		spare = m.put(at, scope)
	}
	m.made++
	fill := strings.NewReplacer("{guid}", m.guids[at], "{spare}", spare, "{scope}", query, "{relationships}", string(relationships),
		"{new}", fmt.Sprintf("127.0.0.1:1/new%d", m.made))
	return r.method, fill.Replace(r.path), fill.Replace(r.body)
}

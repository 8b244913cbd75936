package api_test

import (
	"strings"

	"regcred.dev"
	"regcred.dev/client"
)

// operation is what the contract says of one route.
type operation struct {
	summary, description string
	query                []parameter
	body                 any // nil: none
	status               int
	answer               any // nil: none
}

// parameter is one of a query.
type parameter struct {
	name, description string
}

var (
	paging = []parameter{
		{"page", "Which page, from 1."},
		{"per_page", "How many on a page, 1 to 5000; 50 by default."},
	}
	times = func(key, what string) []parameter {
		list := []parameter{{key, what + ": one of these times, separated by commas."}}
		for _, op := range [][2]string{{"lt", "before"}, {"lte", "not after"}, {"gt", "after"}, {"gte", "not before"}} {
			list = append(list, parameter{key + "[" + op[0] + "]", what + " " + op[1] + " this time."})
		}
		return list
	}
	scope = []parameter{
		{"organization", "Id of an organization; without one it is the foundation."},
		{"space", "Id of a space in it."},
		{"app", "Id of an app in that."},
	}
	repository = parameter{"repository", "The repository, such as acme/app."}
	tag        = parameter{"tag", "The tag."}
	revoke     = parameter{"revoke", "true drops the old login at once, wherever it was delivered."}
)

// startsOperation is said of what goes on after its answer.
const startsOperation = "It goes on in the server, and one with the same options that goes on already is joined: the header Location says where to look."

func query(lists ...[]parameter) (all []parameter) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// operations are all routes of the API, by the patterns of http.ServeMux.
var operations = map[string]operation{
	"GET /v3/registry_credentials": {
		summary: "List credentials.", description: "Those that the caller may read: everybody the foundation's, members of an organization its own, who holds a role in a space that space's and its apps'.",
		query: query(paging, []parameter{
			{"order_by", "created_at (the default) or updated_at; with - in front, newest first."},
			{"guids", "Only these, separated by commas."},
			{"scopes", "Only of these levels: foundation, organization, space, app."},
			{"locations", "Only at these locations, in any spelling."},
			{"organization_guids", "Only of, and within, these organizations."},
			{"space_guids", "Only of, and within, these spaces."},
			{"app_guids", "Only of these apps."},
			{"label_selector", "Only with these labels: env=prod, tier!=web, team in (a,b), release, !release, separated by commas."},
		}, times("created_ats", "Created"), times("updated_ats", "Changed")),
		status: 200, answer: client.Page[client.Credential]{},
	},
	"POST /v3/registry_credentials": {
		summary: "Store a credential.", description: "The relationships name its scope; without any it is the foundation. App-scoped ones come from pushes.",
		body: client.CreateRequest{}, status: 201, answer: client.Credential{},
	},
	"GET /v3/registry_credentials/{guid}": {summary: "One credential.", status: 200, answer: client.Credential{}},
	"PATCH /v3/registry_credentials/{guid}": {
		summary: "Change a credential.", description: "What is left out stays; the location cannot be changed.",
		query: []parameter{{"check", "true tries what is new first; nothing is changed where it does not work."}, revoke},
		body:  client.UpdateRequest{}, status: 200, answer: client.Credential{},
	},
	"DELETE /v3/registry_credentials/{guid}": {summary: "Delete a credential and its login.", status: 204},

	"POST /regcred/v1/app_registry_credentials": {
		summary: "Store a credential at the scope of an app.", body: client.CreateRequest{}, status: 201, answer: client.Credential{},
	},
	"POST /regcred/v1/registry_credentials/{guid}/actions/refresh": {
		summary: "Mint a new login now.", query: []parameter{revoke}, status: 200, answer: client.Credential{},
	},
	"POST /regcred/v1/registry_credentials/{guid}/actions/check": {
		summary: "Mint a login, and ask its registry whether it takes it.",
		query:   []parameter{{"repository", "Whether this may be pulled, too."}}, status: 200, answer: client.Check{},
	},
	"GET /regcred/v1/providers":        {summary: "What mints logins.", query: paging, status: 200, answer: client.Page[client.Provider]{}},
	"GET /regcred/v1/providers/{name}": {summary: "One provider.", status: 200, answer: client.Provider{}},
	"GET /regcred/v1/profiles": {
		summary: "The profiles that the caller's credentials may name.", description: "Never their settings; grants are for admins and auditors, who get all profiles.",
		query: paging, status: 200, answer: client.Page[client.Profile]{},
	},
	"GET /regcred/v1/resolve": {
		summary: "Which credential an image resolves to, and why; never the login.",
		query:   query([]parameter{{"image", "A reference, as its user writes it."}}, scope), status: 200, answer: client.Resolution{},
	},
	"GET /regcred/v1/docker_config": {
		summary: "The logins of a scope, in clear, as a docker config file.",
		query: query([]parameter{
			{"for", "The dialect: docker (the default), containers, kubelet or deis."},
			{"broaden", "true lets a lone path credential stand for its host."},
		}, scope), status: 200, answer: client.DockerConfig{},
	},
	"POST /regcred/v1/kubelet/login": {
		summary: "The login for one image, in clear, at the caller's own scope.",
		body:    client.KubeletRequest{}, status: 200, answer: client.KubeletAnswer{},
	},
	"GET /regcred/v1/status": {summary: "The state of the server.", status: 200, answer: client.Status{}},
	"POST /regcred/v1/targets/actions/confirm": {
		summary: "Let a target carry out the removals that it holds back.", query: []parameter{{"name", "Of the target."}}, status: 204,
	},
	"GET /regcred/v1/audit": {
		summary: "The audit log: who did what, and whether they were allowed to.",
		query: query(paging, []parameter{
			{"order_by", "created_at (the default); -created_at, newest first."},
			{"callers", "Only what these did, separated by commas."},
			{"operations", "Only these operations: " + strings.Join(regcred.AuditOperations, ", ") + "."},
			{"guids", "Only what was done with these credentials."},
			{"repositories", "Only what was done with these repositories of the registry."},
			{"allowed", "true or false: only what was allowed, or was not."},
		}, times("created_ats", "Done")[1:]), status: 200, answer: client.Page[client.AuditEntry]{},
	},
	"GET /regcred/v1/registry/repositories": {summary: "The registry's repositories, with their sizes.", query: paging, status: 200, answer: client.Page[client.Repository]{}},
	"GET /regcred/v1/registry/tags":         {summary: "The tags of a repository.", query: query([]parameter{repository}, paging), status: 200, answer: client.Page[client.Tag]{}},
	"DELETE /regcred/v1/registry/tags":      {summary: "Delete a tag; what it points at stays, for a time.", query: []parameter{repository, tag}, status: 204},
	"POST /regcred/v1/registry/tags/actions/rollback": {
		summary: "Point a tag at what it pointed at before.",
		query:   []parameter{repository, tag, {"digest", "Which manifest of its history; the last one by default."}}, status: 200, answer: client.TagRollback{},
	},
	"GET /regcred/v1/registry/history": {
		summary: "What a tag points at and pointed at before, the last first.",
		query:   query([]parameter{repository, tag}, paging), status: 200, answer: client.Page[client.TagVersion]{},
	},
	"DELETE /regcred/v1/registry/manifests": {
		summary: "Delete a manifest, and the tags that point at it.",
		query:   []parameter{repository, {"digest", "Of the manifest."}}, status: 204,
	},
	"POST /regcred/v1/registry/actions/collect": {
		summary: "Remove what the registry no longer needs.", description: startsOperation,
		query:  []parameter{{"dry_run", "true says what would go, and removes nothing."}, {"force", "true goes on where more than half of all content would go."}},
		status: 202, answer: client.RegistryOperation{},
	},
	"POST /regcred/v1/registry/actions/check": {
		summary: "Compare the registry's metadata with its storage.", description: startsOperation,
		query: []parameter{{"deep", "true reads all content, and compares its digests."}}, status: 202, answer: client.RegistryOperation{},
	},
	"GET /regcred/v1/registry/operations": {
		summary: "Collections and checks that go on, and the last ones that have ended, the last to be started first.",
		query:   paging, status: 200, answer: client.Page[client.RegistryOperation]{},
	},
	"GET /regcred/v1/registry/operations/{id}": {
		summary:     "How far a collection or check is, and what it did or found.",
		description: "The last ten that have ended are remembered until the server is started anew.",
		query:       []parameter{{"wait", "Answer once it has ended, but after this long at the latest: 10s, 30s at most. At once by default."}}, status: 200, answer: client.RegistryOperation{},
	},
	"GET /regcred/v1/registry/statistics": {
		summary: "What was pulled and pushed, by repository and tag.", description: "Months that were over more than 92 days ago are counted whole.",
		query:  query([]parameter{{"from", "The first day, in UTC: 2026-01-01; 30 days before the last by default."}, {"to", "The last day; today by default."}}, paging),
		status: 200, answer: client.Page[client.RegistryStatistic]{},
	},
	"GET /regcred/v1/tokens":  {summary: "All API tokens, without their secrets.", query: paging, status: 200, answer: client.Page[client.Token]{}},
	"POST /regcred/v1/tokens": {summary: "Make an API token; its secret is in this answer alone.", body: client.TokenRequest{}, status: 201, answer: client.Token{}},
	"DELETE /regcred/v1/tokens/{id}": {
		summary: "Delete an API token, and end what was signed from it.", status: 204,
	},
}

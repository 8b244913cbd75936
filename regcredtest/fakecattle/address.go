package fakecattle

import (
	"net/http"
	"slices"
	"strings"
)

// The types, as schemas and resources name them.
const (
	typeSchema     = "schema"
	typeRegistry   = "registry"
	typeCredential = "registryCredential"
)

// The versions of the API.
const (
	v1     = "v1"
	v2beta = "v2-beta"
)

// plurals are the names of collections in URLs.
var plurals = map[string]string{typeRegistry: "registries", typeCredential: "registryCredentials", typeSchema: "schemas"}

// address is what a request is about: the API's root or an environment's, a
// collection, or a resource of it.
type address struct {
	links       string // what links begin with
	version     string
	environment string
	kind        string
	id          string
	key         Key
}

// parse reads /[VERSION[/projects/ENVIRONMENT][/COLLECTION[/ID]]], false where there
// is nothing of that name.
func (s *Server) parse(r *http.Request) (address, bool) {
	at := address{links: s.o.Links, version: v2beta}
	if at.links == "" {
		at.links = "http://" + r.Host
	}
	parts := strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' })
	if len(parts) > 0 {
		at.version, parts = parts[0], parts[1:]
	}
	if at.version != v1 && at.version != v2beta {
		return at, false
	}
	if len(parts) > 1 && parts[0] == "projects" {
		at.environment, parts = parts[1], parts[2:]
		if !slices.Contains(s.o.Environments, at.environment) {
			return at, false
		}
	}
	if len(parts) > 0 {
		for kind, plural := range plurals {
			if strings.EqualFold(plural, parts[0]) {
				at.kind = kind
			}
		}
		if at.kind == "" {
			return at, false
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		at.id, parts = parts[0], parts[1:]
	}
	return at, len(parts) == 0
}

// call names a request for Calls.
func (a address) call(method string) string {
	switch {
	case a.kind == "":
		return CallRoot
	case a.kind == typeSchema:
		return CallSchemas
	case a.id == "" && method == http.MethodGet:
		return CallList
	case a.id == "":
		return CallCreate
	}
	switch method {
	case http.MethodGet:
		return CallGet
	case http.MethodPut:
		return CallUpdate
	case http.MethodDelete:
		return CallDelete
	}
	return CallAction
}

// base returns the URL that all of an environment's begin with.
func (a address) base() string {
	if a.environment == "" {
		return a.links + "/" + a.version
	}
	return a.links + "/" + a.version + "/projects/" + a.environment
}

func (a address) collection(kind string) string { return a.base() + "/" + plurals[kind] }

// mayWrite reports whether the API key may change what is there.
func (a address) mayWrite() bool { return a.environment != "" && a.key.Role == Owner }

// methods are those that the API key may use on a collection, or on a resource.
func (a address) methods(resource bool) []string {
	switch {
	case !a.mayWrite():
		return []string{http.MethodGet}
	case resource:
		return []string{http.MethodGet, http.MethodPut, http.MethodDelete}
	}
	return []string{http.MethodGet, http.MethodPost}
}

// schemas answers with the types that there are, and what the API key may do with
// them.
func (s *Server) schemas(w http.ResponseWriter, at address) {
	var list []map[string]any
	for _, kind := range []string{typeRegistry, typeCredential} {
		list = append(list, map[string]any{
			"id": kind, "type": typeSchema, "pluralName": plurals[kind],
			"collectionMethods": at.methods(false), "resourceMethods": at.methods(true),
			"resourceFields": at.fields(kind), "resourceActions": map[string]any{},
			"links": map[string]string{"self": at.base() + "/schemas/" + kind, "collection": at.collection(kind)},
		})
	}
	s.Write(w, http.StatusOK, map[string]any{
		"type": "collection", "resourceType": typeSchema, "data": list,
		"links": map[string]string{"self": at.base() + "/schemas"},
	})
}

// fields describes the fields that a client may write. An email is of v1 alone.
func (a address) fields(kind string) map[string]any {
	field := func(required, update bool) map[string]any {
		return map[string]any{"type": "string", "required": required, "create": true, "update": update && a.mayWrite()}
	}
	fields := map[string]any{"name": field(false, true), "description": field(false, true)}
	if kind == typeRegistry {
		fields["serverAddress"] = field(true, false)
		return fields
	}
	fields["registryId"], fields["publicValue"], fields["secretValue"] = field(true, false), field(false, true), field(false, true)
	if a.version == v1 {
		fields["email"] = field(true, true)
	}
	return fields
}

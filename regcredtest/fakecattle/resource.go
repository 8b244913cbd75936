package fakecattle

import (
	"strconv"
	"time"
)

// States of a resource. Those that end in "ing", and those of an update, are on the
// way to another one.
const (
	active   = "active"
	inactive = "inactive"
	removed  = "removed"
	purged   = "purged"
)

// becomes says what a state turns into by itself.
var becomes = map[string]string{
	"registering":       active,
	"activating":        active,
	"updating-active":   active,
	"updating-inactive": inactive,
	"deactivating":      inactive,
	"removing":          removed,
	"purging":           purged,
}

// actions are those that a resource takes in a state, and the state that it then has.
var actions = map[string]map[string]string{
	active:   {"update": "updating-active", "deactivate": "deactivating"},
	inactive: {"update": "updating-inactive", "activate": "activating", "remove": "removing"},
	removed:  {"purge": "purging"},
}

// idPrefixes begin the ids of a type, the marks of Cattle's id formatter.
var idPrefixes = map[string]string{typeRegistry: "1sp", typeCredential: "1c"}

// resource is a registry or a credential.
type resource struct {
	kind, id, environment string
	fields                map[string]string
	secret                string
	state                 string
	until                 time.Time // when the state turns into another one
}

// newResource adds a resource that is being registered.
func (s *Server) newResource(kind, environment string, fields map[string]string, secret string) *resource {
	s.used[kind]++
	r := &resource{
		kind: kind, id: idPrefixes[kind] + strconv.Itoa(s.used[kind]), environment: environment,
		fields: fields, secret: secret,
	}
	r.enter("registering", s.Now().Add(s.o.Settle))
	s.resources = append(s.resources, r)
	return r
}

// enter has the resource begin a state that is over at a time.
func (r *resource) enter(state string, until time.Time) { r.state, r.until = state, until }

// settle has the resource reach what it is on the way to.
func (r *resource) settle(now time.Time) {
	if next, ok := becomes[r.state]; ok && !now.Before(r.until) {
		r.state, r.until = next, time.Time{}
	}
}

// gone reports whether lists leave the resource out.
func (r *resource) gone() bool { return r.state == removed || r.state == purged }

// do takes an action, false where the resource has none of that name now.
func (r *resource) do(action string, until time.Time) bool {
	state, ok := actions[r.state][action]
	if ok {
		r.enter(state, until)
	}
	return ok
}

// body returns the resource as the API shows it, its password where show says so.
func (r *resource) body(at address, show bool) map[string]any {
	self := at.collection(r.kind) + "/" + r.id
	links := map[string]string{"self": self}
	offered := map[string]string{}
	if at.mayWrite() {
		for action := range actions[r.state] {
			offered[action] = self + "/?action=" + action
		}
	}
	transitioning := "no"
	if _, ok := becomes[r.state]; ok {
		transitioning = "yes"
	}
	body := map[string]any{
		"id": r.id, "type": r.kind, "kind": r.kind, "links": links, "actions": offered,
		"accountId": r.environment, "state": r.state, "transitioning": transitioning, "transitioningMessage": nil,
		"name": nil, "description": nil, "data": map[string]any{},
	}
	for name, value := range r.fields {
		if value != "" {
			body[name] = value
		}
	}
	if r.kind == typeCredential {
		links["registry"] = at.collection(typeRegistry) + "/" + r.fields["registryId"]
		body["secretValue"] = nil
		if show {
			body["secretValue"] = r.secret
		}
	}
	return body
}

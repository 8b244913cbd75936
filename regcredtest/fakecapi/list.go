package fakecapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// roleTypes are the roles that there are.
var roleTypes = []string{
	"organization_user", "organization_auditor", "organization_manager", "organization_billing_manager",
	"space_auditor", "space_developer", "space_manager", "space_supporter",
}

type object = map[string]any

func related(kind, guid string) object {
	if guid == "" {
		return object{kind: object{"data": nil}}
	}
	return object{kind: object{"data": object{"guid": guid}}}
}

// getRoles answers GET /v3/roles.
func (s *Server) getRoles(w http.ResponseWriter, r *http.Request, c caller) {
	q := r.URL.Query()
	if !s.known(w, q, "guids", "types", "user_guids", "organization_guids", "space_guids", "include") {
		return
	}
	for _, kind := range values(q, "types") {
		if !slices.Contains(roleTypes, kind) {
			s.fail(w, http.StatusBadRequest, 10005, "CF-BadQueryParameter", "The query parameter is invalid: Types contains an invalid value")
			return
		}
	}
	s.mu.Lock()
	roles := slices.Clone(s.roles)
	ignores := s.more.IgnoresFilters
	s.mu.Unlock()
	var list []object
	for _, role := range roles {
		wanted := ignores || matches(q, "guids", role.GUID) && matches(q, "types", role.Type) && matches(q, "user_guids", role.User) &&
			matches(q, "organization_guids", role.Org) && matches(q, "space_guids", role.Space)
		if wanted && (role.User == c.user || c.seesAll() || s.sees(c, "organizations", role.Org) || s.sees(c, "spaces", role.Space)) {
			at := related("organization", role.Org)
			at["space"] = related("space", role.Space)["space"]
			at["user"] = related("user", role.User)["user"]
			list = append(list, object{"guid": role.GUID, "type": role.Type, "relationships": at})
		}
	}
	s.page(w, r, list)
}

// sees reports whether a user may see a place.
func (s *Server) sees(c caller, kind, guid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return guid != "" && (c.seesAll() || s.seesPlace(c, kind, guid))
}

func (s *Server) seesPlace(c caller, kind, guid string) bool {
	parent := ""
	for _, p := range s.places[kind] {
		if p.GUID == guid {
			parent = p.Parent
		}
	}
	has := func(match func(Role) bool) bool {
		return slices.ContainsFunc(s.roles, func(r Role) bool { return r.User == c.user && match(r) })
	}
	switch kind {
	case "organizations":
		return has(func(r Role) bool { return r.Org == guid })
	case "spaces":
		return has(func(r Role) bool {
			return r.Space == guid || r.Org == parent && r.Type == "organization_manager"
		})
	}
	return s.seesPlace(c, "spaces", parent)
}

// list answers lists of places, such as GET /v3/spaces.
func (s *Server) list(kind string) func(http.ResponseWriter, *http.Request, caller) {
	parents := map[string]string{"spaces": "organization_guids", "apps": "space_guids"}[kind]
	return func(w http.ResponseWriter, r *http.Request, c caller) {
		q := r.URL.Query()
		if !s.known(w, q, "guids", "names", parents) {
			return
		}
		s.mu.Lock()
		places := slices.Clone(s.places[kind])
		ignores := s.more.IgnoresFilters
		s.mu.Unlock()
		var found []object
		for _, p := range places {
			wanted := ignores || matches(q, "guids", p.GUID) && matches(q, "names", p.Name) && matches(q, parents, p.Parent)
			if wanted && s.sees(c, kind, p.GUID) {
				found = append(found, show(kind, p))
			}
		}
		s.page(w, r, found)
	}
}

// get answers requests for one place.
func (s *Server) get(kind string) func(http.ResponseWriter, *http.Request, caller) {
	return func(w http.ResponseWriter, r *http.Request, c caller) {
		s.mu.Lock()
		places := s.places[kind]
		s.mu.Unlock()
		for _, p := range places {
			if p.GUID == r.PathValue("guid") && s.sees(c, kind, p.GUID) {
				s.Write(w, http.StatusOK, show(kind, p))
				return
			}
		}
		s.fail(w, http.StatusNotFound, 10010, "CF-ResourceNotFound", "Resource not found")
	}
}

func show(kind string, p place) object {
	o := object{"guid": p.GUID, "name": p.Name}
	switch kind {
	case "spaces":
		o["relationships"] = related("organization", p.Parent)
	case "apps":
		o["relationships"] = related("space", p.Parent)
	}
	return o
}

// known answers with an error where a query has a parameter besides those.
func (s *Server) known(w http.ResponseWriter, q url.Values, names ...string) bool {
	names = append(names, "page", "per_page", "order_by")
	for name := range q {
		if !slices.Contains(names, name) {
			s.fail(w, http.StatusBadRequest, 10005, "CF-BadQueryParameter", "The query parameter is invalid: Unknown query parameter(s): '"+name+"'.")
			return false
		}
	}
	return true
}

func values(q url.Values, name string) []string {
	if !q.Has(name) {
		return nil
	}
	return strings.Split(q.Get(name), ",")
}

func matches(q url.Values, name, value string) bool {
	return !q.Has(name) || slices.Contains(values(q, name), value)
}

// page answers with one page of a list.
func (s *Server) page(w http.ResponseWriter, r *http.Request, all []object) {
	quirks := s.quirks()
	page, perPage := number(r, "page", 1), number(r, "per_page", 50)
	if page < 1 || perPage < 1 || perPage > 5000 {
		s.fail(w, http.StatusBadRequest, 10005, "CF-BadQueryParameter", "The query parameter is invalid: Per page must be between 1 and 5000")
		return
	}
	if quirks.MaxPerPage > 0 {
		perPage = min(perPage, quirks.MaxPerPage)
	}
	pages := max(1, (len(all)+perPage-1)/perPage)
	if quirks.Endless {
		pages = page + 1
	}
	from := min((page-1)*perPage, len(all))
	shown := all[from:min(from+perPage, len(all))]
	link := func(n int) object {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		return object{"href": s.o.URL + r.URL.Path + "?" + q.Encode()}
	}
	pagination := object{"total_results": len(all), "total_pages": pages, "first": link(1), "last": link(pages), "next": nil, "previous": nil}
	if page < pages {
		pagination["next"] = link(page + 1)
		if quirks.NextAt != "" {
			pagination["next"] = object{"href": quirks.NextAt}
		}
	}
	body := object{"pagination": pagination, "resources": append([]object{}, shown...)}
	if slices.Contains(values(r.URL.Query(), "include"), "space") && !quirks.NoIncludes {
		body["included"] = object{"spaces": s.spacesOf(shown)}
	}
	s.Write(w, http.StatusOK, body)
}

// spacesOf returns the spaces of roles.
func (s *Server) spacesOf(roles []object) []object {
	s.mu.Lock()
	defer s.mu.Unlock()
	spaces := []object{}
	for _, p := range s.places["spaces"] {
		if slices.ContainsFunc(roles, func(r object) bool {
			data, _ := r["relationships"].(object)["space"].(object)["data"].(object)
			return data["guid"] == p.GUID
		}) {
			spaces = append(spaces, show("spaces", p))
		}
	}
	return spaces
}

func number(r *http.Request, name string, fallback int) int {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/imageref"
	"regcred.dev/service"
)

// Page sizes of Cloud Foundry's API v3.
const (
	defaultPerPage = 50
	maxPerPage     = 5000
)

// filters are the list's parameters that select by a property of a credential.
var filters = map[string]func(service.Credential) string{
	"guids":              func(c service.Credential) string { return c.GUID },
	"scopes":             func(c service.Credential) string { return c.Scope.Level().String() },
	"locations":          func(c service.Credential) string { return c.Location.String() },
	"organization_guids": func(c service.Credential) string { return c.Scope.Org },
	"space_guids":        func(c service.Credential) string { return c.Scope.Space },
	"app_guids":          func(c service.Credential) string { return c.Scope.App },
}

func (h *handler) listCredentials(r call) (answer, error) {
	q := r.URL.Query()
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	wanted := map[string][]string{}
	for key := range q {
		if key == "page" || key == "per_page" {
			continue
		}
		if filters[key] == nil {
			return answer{}, badQuery(fmt.Sprintf("Unknown query parameter(s): '%s'", key))
		}
		wanted[key] = strings.Split(q.Get(key), ",")
	}
	canonicalize(wanted["locations"])
	// What the store has an index for narrows what is read at all.
	narrow := regcred.Filter{GUIDs: wanted["guids"], Locations: wanted["locations"]}
	all, err := h.Service.List(r.Context(), r.caller, narrow)
	if err != nil {
		return answer{}, err
	}
	var resources []client.Credential
	for _, c := range all {
		if selected(c, wanted) {
			resources = append(resources, h.resource(c))
		}
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, resources, page, perPage)}, nil
}

func selected(c service.Credential, wanted map[string][]string) bool {
	for key, values := range wanted {
		if !slices.Contains(values, filters[key](c)) {
			return false
		}
	}
	return true
}

// canonicalize lets a location be asked for in any of its spellings.
func canonicalize(locations []string) {
	for i, s := range locations {
		if l, err := imageref.ParseLocation(s); err == nil {
			locations[i] = l.String()
		}
	}
}

func paging(q url.Values) (page, perPage int, err error) {
	if page, err = number(q, "page", 1, 1<<30); err != nil {
		return 0, 0, err
	}
	perPage, err = number(q, "per_page", defaultPerPage, maxPerPage)
	return page, perPage, err
}

func number(q url.Values, key string, missing, limit int) (int, error) {
	s := q.Get(key)
	if s == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > limit {
		return 0, badQuery(fmt.Sprintf("%s must be between 1 and %d", key, limit))
	}
	return n, nil
}

// paged cuts a page out of a list, and links the others.
func paged[T any](h *handler, u *url.URL, all []T, page, perPage int) client.Page[T] {
	pages := max(1, (len(all)+perPage-1)/perPage)
	link := func(n int) client.Link {
		q := u.Query()
		q.Set("page", strconv.Itoa(n))
		q.Set("per_page", strconv.Itoa(perPage))
		l := h.PublicURL.JoinPath(u.Path)
		l.RawQuery = q.Encode()
		return client.Link{Href: l.String()}
	}
	out := client.Page[T]{Pagination: client.Pagination{
		TotalResults: len(all), TotalPages: pages, First: link(1), Last: link(pages),
	}}
	if page < pages {
		next := link(page + 1)
		out.Pagination.Next = &next
	}
	if page > 1 {
		previous := link(min(page-1, pages))
		out.Pagination.Previous = &previous
	}
	from := min((page-1)*perPage, len(all))
	out.Resources = append([]T{}, all[from:min(from+perPage, len(all))]...)
	return out
}

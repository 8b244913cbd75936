package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/imageref"
)

// Page sizes of Cloud Foundry's API v3.
const (
	defaultPerPage = 50
	maxPerPage     = 5000
)

// filters are the list's parameters that select by a property of a credential.
var filters = map[string]func(regcred.Credential) string{
	"guids":              func(c regcred.Credential) string { return c.GUID },
	"scopes":             func(c regcred.Credential) string { return c.Scope.Level().String() },
	"locations":          func(c regcred.Credential) string { return c.Location.String() },
	"organization_guids": func(c regcred.Credential) string { return c.Scope.Org },
	"space_guids":        func(c regcred.Credential) string { return c.Scope.Space },
	"app_guids":          func(c regcred.Credential) string { return c.Scope.App },
}

func (h *handler) listCredentials(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, append(slices.Collect(maps.Keys(filters)), "page", "per_page")...); err != nil {
		return answer{}, err
	}
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	wanted := map[string][]string{}
	for key := range filters {
		if q.Has(key) {
			wanted[key] = strings.Split(q.Get(key), ",")
		}
	}
	canonicalize(wanted["locations"])
	// What the store has an index for narrows what is read at all.
	narrow := regcred.Filter{GUIDs: wanted["guids"], Locations: wanted["locations"]}
	all, err := h.Service.List(r.Context(), r.caller, narrow)
	if err != nil {
		return answer{}, err
	}
	all = slices.DeleteFunc(all, func(c regcred.Credential) bool { return !selected(c, wanted) })
	show := func(c regcred.Credential) client.Credential { return h.resource(h.Service.View(r.caller, c)) }
	return answer{status: http.StatusOK, body: paged(h, r.URL, all, show, page, perPage)}, nil
}

// knownQuery returns an error where a query has a parameter other than those: one
// that was misspelled must not be taken for one that is not there.
func knownQuery(q url.Values, known ...string) error {
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, key) {
			return badQuery(fmt.Sprintf("Unknown query parameter(s): '%s'", key))
		}
	}
	return nil
}

func selected(c regcred.Credential, wanted map[string][]string) bool {
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

// onlyPaging reads the query of a list that has no filters.
func onlyPaging(q url.Values) (page, perPage int, err error) {
	if err := knownQuery(q, "page", "per_page"); err != nil {
		return 0, 0, err
	}
	return paging(q)
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

// boolean reads a parameter that is true or false; one that is not there is false.
func boolean(q url.Values, key string) (bool, error) {
	switch q.Get(key) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, badQuery(key + " must be true or false")
}

// paged cuts a page out of a list, shows what is on it, and links the others.
func paged[T, R any](h *handler, u *url.URL, all []T, show func(T) R, page, perPage int) client.Page[R] {
	pages := max(1, (len(all)+perPage-1)/perPage)
	link := func(n int) client.Link {
		q := u.Query()
		q.Set("page", strconv.Itoa(n))
		q.Set("per_page", strconv.Itoa(perPage))
		l := h.PublicURL.JoinPath(u.Path)
		l.RawQuery = q.Encode()
		return client.Link{Href: l.String()}
	}
	out := client.Page[R]{Resources: []R{}, Pagination: client.Pagination{
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
	for _, v := range all[from:min(from+perPage, len(all))] {
		out.Resources = append(out.Resources, show(v))
	}
	return out
}

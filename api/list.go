package api

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/client"
	"regcred.dev/imageref"
)

// Page sizes of Cloud Foundry's API v3.
const (
	defaultPerPage = 50
	maxPerPage     = 5000
)

// listParameters are those of the list of credentials, as its public reference has
// them, by what they set.
var listParameters = slices.Concat(
	[]string{"page", "per_page", "order_by", "label_selector", "guids", "scopes", "locations", "organization_guids", "space_guids", "app_guids"},
	timeKeys("created_ats"), timeKeys("updated_ats"))

func (h *handler) listCredentials(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, listParameters...); err != nil {
		return answer{}, err
	}
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	query, err := listQuery(q)
	if err != nil {
		return answer{}, err
	}
	query.Offset, query.Limit = (page-1)*perPage, perPage
	found, total, err := h.Service.List(r.Context(), r.caller, query)
	if err != nil {
		return answer{}, err
	}
	out := client.Page[client.Credential]{
		Resources: make([]client.Credential, len(found)), Pagination: h.pagination(r.URL, total, page, perPage),
	}
	for i, c := range found {
		out.Resources[i] = h.resource(h.Service.View(r.caller, c))
	}
	return answer{status: http.StatusOK, body: out}, nil
}

// listQuery reads what a list selects, and its order.
func listQuery(q url.Values) (catalog.Query, error) {
	values, err := lists(q, "guids", "scopes", "locations", "organization_guids", "space_guids", "app_guids")
	if err != nil {
		return catalog.Query{}, err
	}
	out := catalog.Query{
		GUIDs: values["guids"], Levels: values["scopes"], Locations: values["locations"],
		Orgs: values["organization_guids"], Spaces: values["space_guids"], Apps: values["app_guids"],
	}
	canonicalize(out.Locations)
	order, newest := strings.CutPrefix(q.Get("order_by"), "-")
	if !newest {
		order = strings.TrimPrefix(order, "+")
	}
	if order != "created_at" && order != "updated_at" && q.Get("order_by") != "" {
		return out, badQuery("Order by can only be: 'created_at', 'updated_at'")
	}
	out.Updated, out.Newest = order == "updated_at", newest
	selector, err := selectorOf(q)
	if err != nil {
		return out, err
	}
	created, err := parseTimes(q, "created_ats")
	if err != nil {
		return out, err
	}
	updated, err := parseTimes(q, "updated_ats")
	if err != nil {
		return out, err
	}
	out.Match = func(c *regcred.Credential) bool {
		for _, r := range selector {
			if !r.selects(c.Labels) {
				return false
			}
		}
		return created.selects(c.CreatedAt) && updated.selects(c.UpdatedAt)
	}
	return out, nil
}

// maxValues bounds a list of values in a query.
const maxValues = 5000

// lists reads parameters that are values separated by commas; those that are not there
// are nil.
func lists(q url.Values, keys ...string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, key := range keys {
		if !q.Has(key) {
			continue
		}
		values, err := list(key, q.Get(key))
		if err != nil {
			return nil, err
		}
		out[key] = values
	}
	return out, nil
}

// list reads values separated by commas, behind which there may be spaces. A comma in a
// value is written %2C, which is escaped once more in a URL.
func list(key, s string) ([]string, error) {
	values := strings.Split(s, ",")
	if len(values) > maxValues {
		return nil, badQuery(fmt.Sprintf("%s has %d values, at most %d are allowed", human(key), len(values), maxValues))
	}
	for i, v := range values {
		if i > 0 {
			v = strings.TrimLeft(v, " \t\r\n")
		}
		if plain, err := url.PathUnescape(v); err == nil {
			v = plain
		}
		values[i] = v
	}
	return values, nil
}

// knownQuery returns an error where a query has parameters other than those: one that was
// misspelled must not be taken for one that is not there.
func knownQuery(q url.Values, known ...string) error {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, key) {
			unknown = append(unknown, cut(key))
		}
	}
	if unknown == nil {
		return nil
	}
	return badQuery(fmt.Sprintf("Unknown query parameter(s): '%s'. %s", strings.Join(unknown, "', '"), validParameters(known)))
}

// checkQuery returns an error where a query has what url.URL.Query leaves out, or a
// parameter twice, of which Get sees the first alone: half of what was asked for must
// not be done as if it were all.
func checkQuery(u *url.URL) error {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return badQuery("it is malformed: separate parameters by '&', and escape other characters as %XX")
	}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if len(q[key]) > 1 {
			return badQuery(fmt.Sprintf("'%s' is there more than once: separate its values by commas", key))
		}
	}
	return nil
}

// plain returns an operation that has no parameters in the query.
func plain(op operation) operation {
	return func(r call) (answer, error) {
		if err := knownQuery(r.URL.Query()); err != nil {
			return answer{}, err
		}
		return op(r)
	}
}

func validParameters(known []string) string {
	if len(known) == 0 {
		return "There are none here"
	}
	return "Valid parameters are: '" + strings.Join(known, "', '") + "'"
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
	if !q.Has(key) {
		return missing, nil
	}
	n, err := strconv.Atoi(q.Get(key))
	switch {
	case err == nil && n > limit, errors.Is(err, strconv.ErrRange):
		return 0, badQuery(fmt.Sprintf("%s must be between 1 and %d", human(key), limit))
	case err != nil || n < 1:
		return 0, badQuery(human(key) + " must be a positive integer")
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

// pagination describes a page of a list, and links the others.
func (h *handler) pagination(u *url.URL, total, page, perPage int) client.Pagination {
	pages := max(1, (total+perPage-1)/perPage)
	link := func(n int) client.Link {
		q := u.Query()
		q.Set("page", strconv.Itoa(n))
		q.Set("per_page", strconv.Itoa(perPage))
		l := h.PublicURL.JoinPath(u.Path)
		l.RawQuery = q.Encode()
		return client.Link{Href: l.String()}
	}
	out := client.Pagination{TotalResults: total, TotalPages: pages, First: link(1), Last: link(pages)}
	if page < pages {
		next := link(page + 1)
		out.Next = &next
	}
	if page > 1 {
		previous := link(min(page-1, pages))
		out.Previous = &previous
	}
	return out
}

// paged cuts a page out of a list, shows what is on it, and links the others.
func paged[T, R any](h *handler, u *url.URL, all []T, show func(T) R, page, perPage int) client.Page[R] {
	out := client.Page[R]{Resources: []R{}, Pagination: h.pagination(u, len(all), page, perPage)}
	from := min((page-1)*perPage, len(all))
	for _, v := range all[from:min(from+perPage, len(all))] {
		out.Resources = append(out.Resources, show(v))
	}
	return out
}

package cloudfoundry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"regcred.dev"
)

// Bounds of lists. CAPI allows pages of 5,000.
const (
	perPage  = 1000
	maxPages = 20
)

// get asks CAPI with a token and reads the JSON that it answers.
//
// Errors: Unauthenticated where it does not accept the token; Denied; NotFound, also
// where the user may not see it; Throttled; Unavailable; ctx's.
func (c *Client) get(ctx context.Context, token regcred.Secret, path string, query url.Values, into any) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return regcred.Errorf(regcred.Unavailable, "%s has too much to answer already: %w", c.api.Host, ctx.Err())
	}
	// The path is escaped by whoever made it: JoinPath would resolve its dots.
	to := c.api.String() + path
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return regcred.Errorf(regcred.Invalid, "a guid for Cloud Foundry makes no sense")
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/json")
	answer, err := c.web.Do(req)
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return regcred.Errorf(regcred.Unauthenticated, "Cloud Foundry (%s) does not accept the token: log in again", c.api.Host)
	case http.StatusForbidden:
		return regcred.Errorf(regcred.Denied, "Cloud Foundry (%s) does not let the token's owner ask for roles", c.api.Host)
	case http.StatusNotFound:
		return regcred.Errorf(regcred.NotFound, "Cloud Foundry (%s) has no such thing, or does not let the token's owner see it", c.api.Host)
	case http.StatusTooManyRequests:
		return answer.Err("")
	default:
		return regcred.Errorf(regcred.Unavailable, "Cloud Foundry (%s) answers with status %d", c.api.Host, answer.Status)
	}
	if json.Unmarshal(answer.Body, into) != nil {
		return c.nonsense()
	}
	return nil
}

func (c *Client) nonsense() error {
	return regcred.Errorf(regcred.Unavailable, "Cloud Foundry (%s) answers what is not of its API", c.api.Host)
}

// resource is what roles, organizations, spaces and apps have in common, as far as it
// is looked at.
type resource struct {
	GUID          string `json:"guid"`
	Name          string `json:"name"`
	Type          string `json:"type"`
	Relationships struct {
		User         related `json:"user"`
		Organization related `json:"organization"`
		Space        related `json:"space"`
	} `json:"relationships"`
}

type related struct {
	Data struct {
		GUID string `json:"guid"`
	} `json:"data"`
}

func (r resource) user() string  { return r.Relationships.User.Data.GUID }
func (r resource) org() string   { return r.Relationships.Organization.Data.GUID }
func (r resource) space() string { return r.Relationships.Space.Data.GUID }

// page is one of a list.
type page struct {
	Pagination struct {
		TotalPages int `json:"total_pages"`
	} `json:"pagination"`
	Resources []resource `json:"resources"`
	Included  struct {
		Spaces []resource `json:"spaces"`
	} `json:"included"`
}

// list reads a whole list, one page after the other. Links to the next page are not
// followed: they could lead the token elsewhere.
//
// Errors: those of get; TooLarge where there are more than maxPages pages.
func (c *Client) list(ctx context.Context, token regcred.Secret, path string, query url.Values) (list, included []resource, err error) {
	query.Set("per_page", strconv.Itoa(perPage))
	for n, last := 1, 1; n <= last; n++ {
		query.Set("page", strconv.Itoa(n))
		var p page
		if err := c.get(ctx, token, path, query, &p); err != nil {
			return nil, nil, err
		}
		last = p.Pagination.TotalPages
		switch {
		case last < 1 || p.Resources == nil:
			return nil, nil, c.nonsense()
		case last > maxPages:
			return nil, nil, regcred.Errorf(regcred.TooLarge, "Cloud Foundry (%s) has a list of %d pages, at most %d are read", c.api.Host, last, maxPages)
		}
		list = append(list, p.Resources...)
		included = append(included, p.Included.Spaces...)
	}
	return list, included, nil
}

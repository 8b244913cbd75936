package cloudfoundry

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"regcred.dev"
)

// Kind is what has a name and a guid in Cloud Foundry.
type Kind string

// The kinds, as CAPI's paths spell them.
const (
	Organizations Kind = "organizations"
	Spaces        Kind = "spaces"
	Apps          Kind = "apps"
)

// parents are the parameters by which lists are narrowed to what is in one place.
var parents = map[Kind]string{Spaces: "organization_guids", Apps: "space_guids"}

// maxGUIDs is how many guids one request names: a URL has limits.
const maxGUIDs = 100

// Find returns the guid of what has a name: for a space in an organization, for an app
// in a space; parent is "" for organizations.
//
// Errors: NotFound, also where the token's owner may not see it; those of asking CAPI:
// Unauthenticated, Denied, Throttled, Unavailable, ctx's.
func (c *Client) Find(ctx context.Context, token regcred.Secret, kind Kind, name, parent string) (string, error) {
	query := url.Values{"names": {name}}
	if key := parents[kind]; key != "" {
		query.Set(key, parent)
	}
	list, _, err := c.list(ctx, token, "/v3/"+string(kind), query)
	if err != nil {
		return "", err
	}
	for _, r := range list {
		if r.Name == name && (kind == Organizations || r.parent(kind) == parent) && r.GUID != "" {
			return r.GUID, nil
		}
	}
	return "", regcred.Errorf(regcred.NotFound, "there is no %s %q, or you may not see it", strings.TrimSuffix(string(kind), "s"), name)
}

// parent returns the guid of what a resource of that kind is in, "" for organizations.
func (r resource) parent(kind Kind) string {
	switch kind {
	case Apps:
		return r.space()
	case Spaces:
		return r.org()
	}
	return ""
}

// Names returns the names of guids. Those that the token's owner may not see are left
// out. Errors: as Find.
func (c *Client) Names(ctx context.Context, token regcred.Secret, kind Kind, guids []string) (map[string]string, error) {
	list, err := c.byGUID(ctx, token, kind, guids)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, r := range list {
		names[r.GUID] = r.Name
	}
	return names, nil
}

// byGUID returns what has one of these guids.
func (c *Client) byGUID(ctx context.Context, token regcred.Secret, kind Kind, guids []string) ([]resource, error) {
	var found []resource
	for some := range slices.Chunk(guids, maxGUIDs) {
		list, _, err := c.list(ctx, token, "/v3/"+string(kind), url.Values{"guids": {strings.Join(some, ",")}})
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if slices.Contains(some, r.GUID) {
				found = append(found, r)
			}
		}
	}
	return found, nil
}

// parentOf returns the guid of what a space or app is in, "" for an organization. Errors:
// NotFound where there is none, or the token's owner may not see it; those of get.
func (c *Client) parentOf(ctx context.Context, token regcred.Secret, kind Kind, guid string) (string, error) {
	if guid == "" || guid == "." || guid == ".." {
		return "", noPlace(kind, guid)
	}
	var r resource
	if err := c.get(ctx, token, "/v3/"+string(kind)+"/"+url.PathEscape(guid), nil, &r); err != nil {
		if regcred.CodeOf(err) == regcred.NotFound {
			err = noPlace(kind, guid)
		}
		return "", err
	}
	parent := r.parent(kind)
	if r.GUID != guid || (parent == "") != (kind == Organizations) {
		return "", c.nonsense()
	}
	return parent, nil
}

func noPlace(kind Kind, guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no %s %q, or you may not see it", strings.TrimSuffix(string(kind), "s"), guid)
}

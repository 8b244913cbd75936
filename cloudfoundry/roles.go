package cloudfoundry

import (
	"context"
	"crypto/sha256"
	"net/url"
	"slices"
	"strings"

	"regcred.dev"
)

// roleTypes are CAPI's roles, by ours (Cloud Foundry API v3, "Roles").
var roleTypes = map[regcred.Role][]string{
	regcred.RoleOrgManager:     {"organization_manager"},
	regcred.RoleOrgMember:      {"organization_user", "organization_auditor", "organization_billing_manager"},
	regcred.RoleSpaceDeveloper: {"space_developer"},
	regcred.RoleSpaceMember:    {"space_manager", "space_auditor", "space_supporter"},
}

// roleOf returns our role of CAPI's, false where there is none.
func roleOf(kind string) (regcred.Role, bool) {
	for role, types := range roleTypes {
		if slices.Contains(types, kind) {
			return role, true
		}
	}
	return "", false
}

// tokenHash is what answers are kept by: what CAPI says to one token is not said to
// another one, nor is that it was refused.
type tokenHash [sha256.Size]byte

type roleKey struct {
	token tokenHash
	role  regcred.Role
	scope regcred.Scope
}

type placeKey struct {
	token tokenHash
	kind  Kind
	guid  string
}

// user is somebody whom CAPI is asked about with his own token. It implements
// regcred.Members.
type user struct {
	f     *Foundation
	guid  string
	token regcred.Secret
	hash  tokenHash
}

func newUser(f *Foundation, guid, raw string, hash tokenHash) *user {
	return &user{f: f, guid: guid, token: regcred.NewSecret(raw), hash: hash}
}

// Holds implements regcred.Members. A space's scope counts only with the organization
// that the space is in.
func (u *user) Holds(ctx context.Context, role regcred.Role, s regcred.Scope) (bool, error) {
	if level, ok := role.Level(); !ok || level != s.Level() || roleTypes[role] == nil {
		return false, nil
	}
	return u.f.holds.get(ctx, roleKey{u.hash, role, s}, func(ctx context.Context) answer[bool] {
		held, err := u.askHolds(ctx, role, s)
		return answer[bool]{value: held, err: err, nothing: !held}
	})
}

// askHolds asks CAPI whether the user holds a role. What it answers is looked at: that
// there is an answer would not do where filters are ignored.
func (u *user) askHolds(ctx context.Context, role regcred.Role, s regcred.Scope) (bool, error) {
	query := url.Values{"user_guids": {u.guid}, "types": {strings.Join(roleTypes[role], ",")}}
	if s.Level() == regcred.LevelSpace {
		query.Set("space_guids", s.Space)
		query.Set("include", "space")
	} else {
		query.Set("organization_guids", s.Org)
	}
	held, err := u.memberships(ctx, query)
	return slices.Contains(held, regcred.Membership{Role: role, Scope: s}), err
}

// Roles implements regcred.Members.
func (u *user) Roles(ctx context.Context) ([]regcred.Membership, error) {
	return u.f.roles.get(ctx, u.hash, func(ctx context.Context) answer[[]regcred.Membership] {
		held, err := u.memberships(ctx, url.Values{"user_guids": {u.guid}, "include": {"space"}})
		return answer[[]regcred.Membership]{value: held, err: err, nothing: len(held) == 0}
	})
}

// memberships asks CAPI for roles and returns those that are the user's.
func (u *user) memberships(ctx context.Context, query url.Values) ([]regcred.Membership, error) {
	roles, spaces, err := u.f.list(ctx, u.token, "/v3/roles", query)
	if err != nil {
		return nil, err
	}
	roles = slices.DeleteFunc(roles, func(r resource) bool { return r.user() != u.guid })
	orgs, err := u.orgs(ctx, roles, spaces)
	if err != nil {
		return nil, err
	}
	var held []regcred.Membership
	for _, r := range roles {
		role, known := roleOf(r.Type)
		m := regcred.Membership{Role: role, Scope: regcred.OrgScope(r.org())}
		if r.space() != "" {
			m.Scope = regcred.SpaceScope(orgs[r.space()], r.space())
		}
		if known && m.Validate() == nil {
			held = append(held, m)
		}
	}
	return held, nil
}

// orgs returns the organizations of the roles' spaces, by their guids. Where CAPI did
// not include the spaces it is asked for them.
func (u *user) orgs(ctx context.Context, roles, spaces []resource) (map[string]string, error) {
	orgs := map[string]string{}
	for _, s := range spaces {
		orgs[s.GUID] = s.org()
	}
	var missing []string
	for _, r := range roles {
		if space := r.space(); space != "" && orgs[space] == "" {
			missing = append(missing, space)
		}
	}
	slices.Sort(missing)
	found, err := u.f.byGUID(ctx, u.token, Spaces, slices.Compact(missing))
	for _, s := range found {
		orgs[s.GUID] = s.org()
	}
	return orgs, err
}

// HasOrg returns an error unless there is an organization. Errors: NotFound, also where the
// user may not see it; Unauthenticated, Denied, Throttled, Unavailable.
func (u *user) HasOrg(ctx context.Context, org string) error {
	_, err := u.parentOf(ctx, Organizations, org)
	return err
}

// OrgOfSpace returns the organization of a space. Errors: as HasOrg.
func (u *user) OrgOfSpace(ctx context.Context, space string) (string, error) {
	return u.parentOf(ctx, Spaces, space)
}

// SpaceOfApp returns the space of an app. Errors: as HasOrg.
func (u *user) SpaceOfApp(ctx context.Context, app string) (string, error) {
	return u.parentOf(ctx, Apps, app)
}

func (u *user) parentOf(ctx context.Context, kind Kind, guid string) (string, error) {
	return u.f.places.get(ctx, placeKey{u.hash, kind, guid}, func(ctx context.Context) answer[string] {
		parent, err := u.f.parentOf(ctx, u.token, kind, guid)
		return answer[string]{value: parent, err: err}
	})
}

package regcred

import (
	"context"
	"log/slog"
	"slices"
)

// A Role is what a caller may do within a scope.
type Role string

// The roles.
const (
	// RoleAdmin may do everything, and is held at the foundation.
	RoleAdmin Role = "admin"
	// RoleReader may ask which credential an image resolves to within its scope,
	// never for the login itself.
	RoleReader Role = "reader"
	// RoleTarget may have the logins of its scope in clear: a node, or a system
	// that credentials are delivered to.
	RoleTarget Role = "target"
	// RolePuller may pull from our own registry: the repositories of its scope, of
	// those within it, and of the wider ones.
	RolePuller Role = "puller"
	// RolePusher may do so too, and push to the repositories of its scope and of those
	// within it.
	RolePusher Role = "pusher"
	// RoleWorkload may have the login of one image at a time, at its own scope: a
	// workload that a cluster vouches for. No API token has it.
	RoleWorkload Role = "workload"

	// RoleAuditor may read which credentials there are, all of them, and change
	// none. It is held at the foundation.
	RoleAuditor Role = "auditor"
	// RoleUser is somebody who is known: who may read what serves the foundation, and
	// else what Caller.Members says. No API token has it.
	RoleUser Role = "user"

	// RoleOrgManager may alter the credentials of its organization, and read those
	// that serve it.
	RoleOrgManager Role = "org-manager"
	// RoleOrgMember may read the credentials of its organization and the
	// foundation's.
	RoleOrgMember Role = "org-member"
	// RoleSpaceDeveloper may alter the credentials of its space, and read those that
	// serve it.
	RoleSpaceDeveloper Role = "space-developer"
	// RoleSpaceMember may read the credentials that serve its space.
	RoleSpaceMember Role = "space-member"
)

// Roles are all roles that an API token can be bound to.
var Roles = []Role{
	RoleAdmin, RoleReader, RoleTarget, RolePuller, RolePusher, RoleAuditor,
	RoleOrgManager, RoleOrgMember, RoleSpaceDeveloper, RoleSpaceMember,
}

// Level returns at which level a role is held, false where it may be at any.
func (r Role) Level() (Level, bool) {
	switch r {
	case RoleAdmin, RoleAuditor, RoleUser:
		return LevelFoundation, true
	case RoleOrgManager, RoleOrgMember:
		return LevelOrganization, true
	case RoleSpaceDeveloper, RoleSpaceMember:
		return LevelSpace, true
	}
	return 0, false
}

// Caller is who asks for an operation: it is handed to the operation, which
// checks what it may do.
type Caller struct {
	// Name says who it is, for the audit: "local", "token 4f2c (ci)".
	Name string
	// Role and Scope are what it holds. The zero Caller holds nothing.
	Role  Role
	Scope Scope
	// Members answers which roles it holds besides, nil where there are none.
	Members Members
	// ReadOnly callers may change nothing, whatever roles they hold.
	ReadOnly bool
	// From is the network address that it called from, "" for the local socket.
	From string
}

// Members answers what roles one user holds whom another system knows, such as Cloud
// Foundry. It may keep answers for 60 seconds, no longer.
//
// Every method returns Unavailable, or Throttled, where the other system does not
// answer: the user may then do nothing.
type Members interface {
	// Holds reports whether the user holds a role at an organization's or a space's
	// scope, exactly: none follows from another.
	Holds(ctx context.Context, role Role, s Scope) (bool, error)
	// Roles returns all that the user holds, each at its whole scope: a space's has
	// its organization.
	Roles(ctx context.Context) ([]Membership, error)
}

// Membership is a role held at a scope.
type Membership struct {
	Role  Role
	Scope Scope
}

// Validate returns an Invalid error where the role is not held at a scope of that
// level, or the scope is not valid. A role that is not known passes.
func (m Membership) Validate() error {
	if level, only := m.Role.Level(); only && level != m.Scope.Level() {
		return Errorf(Invalid, "the role %s is held at the level %q: the scope %s does not fit", m.Role, level, m.Scope)
	}
	return m.Scope.Validate()
}

// Memberships are Members that are known already.
type Memberships []Membership

// Holds implements Members.
func (m Memberships) Holds(_ context.Context, role Role, s Scope) (bool, error) {
	return slices.Contains(m, Membership{Role: role, Scope: s}), nil
}

// Roles implements Members.
func (m Memberships) Roles(context.Context) ([]Membership, error) { return m, nil }

// Local is the caller on the server's own socket, or inside its process: who can
// open that socket owns the server's files.
var Local = Caller{Name: "local", Role: RoleAdmin}

// IsAdmin reports whether the caller may do everything.
func (c Caller) IsAdmin() bool {
	return c.Role == RoleAdmin && c.Scope == Foundation && !c.ReadOnly
}

// Holds reports whether the caller holds the role at s or a wider scope, or is an
// admin.
func (c Caller) Holds(role Role, s Scope) bool {
	return c.IsAdmin() || c.Role == role && c.Scope.Contains(s)
}

// LogValue shows who called.
func (c Caller) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("name", c.Name), slog.String("role", string(c.Role))}
	if c.From != "" {
		attrs = append(attrs, slog.String("from", c.From))
	}
	return slog.GroupValue(attrs...)
}

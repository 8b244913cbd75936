package service

import (
	"context"
	"slices"

	"regcred.dev"
)

// Who may do what with the credentials of a scope:
//
//	scope         read by                            altered by
//	foundation    everybody who is known             admins
//	organization  who holds a role in it             its managers, admins
//	space         who holds a role in the space      its developers, admins
//	app           as its space                       as its space
//
// An organization's manager neither reads nor alters what is its spaces'. Admins and
// auditors read all. API tokens of the roles reader and target read what serves their
// scope, and what lies within it. Where the roles cannot be asked for, nobody may.

// readers are the roles that read what serves their scope and what lies within it.
var readers = []regcred.Role{regcred.RoleReader, regcred.RoleTarget}

// members are the roles of people, who read what serves the scope that they hold one
// at.
var members = []regcred.Role{
	regcred.RoleUser, regcred.RoleOrgManager, regcred.RoleOrgMember, regcred.RoleSpaceDeveloper, regcred.RoleSpaceMember,
}

// mayRead reports whether the caller may know of what is at a scope. Errors: those of
// regcred.Members.
func mayRead(ctx context.Context, caller regcred.Caller, s regcred.Scope) (bool, error) {
	may, err := readable(ctx, caller)
	return err == nil && may(s), err
}

// readable returns what tells whether the caller may know of what is at a scope.
// Errors: those of regcred.Members.
func readable(ctx context.Context, caller regcred.Caller) (func(regcred.Scope) bool, error) {
	switch {
	case readsAll(caller):
		return func(regcred.Scope) bool { return true }, nil
	case slices.Contains(readers, caller.Role):
		return func(s regcred.Scope) bool { return s.Contains(caller.Scope) || caller.Scope.Contains(s) }, nil
	case !slices.Contains(members, caller.Role):
		return func(regcred.Scope) bool { return false }, nil
	}
	held, err := memberships(ctx, caller)
	if err != nil {
		return nil, err
	}
	serves := map[regcred.Scope]bool{}
	for _, m := range held {
		for s := range m.Scope.Chain() {
			serves[s] = true
		}
	}
	return func(s regcred.Scope) bool {
		s.App = ""
		return serves[s]
	}, nil
}

// readsAll reports whether a caller may read everything.
func readsAll(caller regcred.Caller) bool {
	return caller.Role == regcred.RoleAdmin && caller.Scope == regcred.Foundation || caller.Role == regcred.RoleAuditor
}

// memberships returns all roles of a caller.
func memberships(ctx context.Context, caller regcred.Caller) ([]regcred.Membership, error) {
	own := regcred.Membership{Role: caller.Role, Scope: caller.Scope}
	if caller.Members == nil {
		return []regcred.Membership{own}, nil
	}
	held, err := caller.Members.Roles(ctx)
	return append(slices.Clip(held), own), err
}

// mayWrite reports whether the caller may alter what is at a scope. Errors: those of
// regcred.Members.
func mayWrite(ctx context.Context, caller regcred.Caller, s regcred.Scope) (bool, error) {
	if caller.IsAdmin() {
		return true, nil
	}
	role := regcred.RoleSpaceDeveloper
	s.App = ""
	switch s.Level() {
	case regcred.LevelFoundation:
		return false, nil
	case regcred.LevelOrganization:
		role = regcred.RoleOrgManager
	}
	switch {
	case caller.ReadOnly:
		return false, nil
	case caller.Role == role && caller.Scope == s:
		return true, nil
	case caller.Members == nil:
		return false, nil
	}
	return caller.Members.Holds(ctx, role, s)
}

// requireWrite returns an error where the caller may not alter what is at a scope that
// it may read: Unauthenticated, Denied, or those of regcred.Members.
func (s *Service) requireWrite(ctx context.Context, caller regcred.Caller, a act) error {
	may, err := mayWrite(ctx, caller, a.scope)
	switch {
	case err != nil:
		return s.unknown(ctx, caller, a, err)
	case !may:
		return s.deny(ctx, caller, a)
	}
	return s.allow(ctx, caller, a)
}

// requireNew returns an error where the caller may not store something at a scope: as
// requireWrite, and Invalid where it may not know that there is such a scope.
func (s *Service) requireNew(ctx context.Context, caller regcred.Caller, a act) error {
	if a.scope.Level() == regcred.LevelApp {
		// Those of apps come from pushes.
		return s.requireAdmin(ctx, caller, a)
	}
	err := s.requireWrite(ctx, caller, a)
	if regcred.CodeOf(err) != regcred.Denied || !slices.Contains(members, caller.Role) {
		return err
	}
	switch may, readErr := mayRead(ctx, caller, a.scope); {
	case readErr != nil:
		return s.unknown(ctx, caller, a, readErr)
	case !may:
		return noPlace(a.scope)
	}
	return err
}

// noScope says of a scope what who may not read it is told.
func noScope(scope regcred.Scope) string {
	return "there is no " + scope.Level().String() + " \"" + scope.ID() + "\", or you have no role in it"
}

// requireAdmin returns a Denied error for anyone but an admin.
func (s *Service) requireAdmin(ctx context.Context, caller regcred.Caller, a act) error {
	if caller.IsAdmin() {
		return s.allow(ctx, caller, a)
	}
	return s.deny(ctx, caller, a)
}

// requireRead returns a Denied error for anyone but admins and auditors.
func (s *Service) requireRead(ctx context.Context, caller regcred.Caller, a act) error {
	if caller.Role == regcred.RoleAuditor {
		return s.allow(ctx, caller, a)
	}
	return s.requireAdmin(ctx, caller, a)
}

// deny records a refusal and returns it: Denied, or Unauthenticated for nobody.
func (s *Service) deny(ctx context.Context, caller regcred.Caller, a act) error {
	s.o.Log.WarnContext(ctx, "denied", "operation", a.operation, "caller", caller)
	return s.refuse(ctx, caller, a, refusal(caller))
}

func refusal(caller regcred.Caller) error {
	const words = "you are not authorized to perform the requested action"
	switch {
	case caller.Role == "":
		return regcred.Errorf(regcred.Unauthenticated, "authentication is required")
	case caller.ReadOnly:
		return regcred.Errorf(regcred.Denied, "%s: %s may only read", words, caller.Name)
	case caller.Role == regcred.RoleUser:
		return regcred.Errorf(regcred.Denied, "%s", words)
	}
	return regcred.Errorf(regcred.Denied, "%s: %s has the role %q at scope %s", words, caller.Name, caller.Role, caller.Scope)
}

// unknown records that a caller's roles are not known now, and returns the error.
func (s *Service) unknown(ctx context.Context, caller regcred.Caller, a act, err error) error {
	s.o.Log.WarnContext(ctx, "denied: the caller's roles cannot be asked for", "operation", a.operation, "caller", caller, "error", err)
	return s.refuse(ctx, caller, a, err)
}

package service

import (
	"cmp"
	"context"

	"regcred.dev"
)

// A locator is what Members may be too: who knows where spaces and apps are.
type locator interface {
	// HasOrg returns an error unless there is an organization. Errors: NotFound, also where
	// the user may not see it; Unavailable, Throttled.
	HasOrg(ctx context.Context, org string) error
	// OrgOfSpace returns the organization of a space. Errors: as HasOrg.
	OrgOfSpace(ctx context.Context, space string) (string, error)
	// SpaceOfApp returns the space of an app. Errors: as HasOrg.
	SpaceOfApp(ctx context.Context, app string) (string, error)
}

// Locate completes a scope of which a request names only the innermost id, by asking
// where the caller's roles come from. A scope that names its parents already is
// returned as it is; whether they are its parents shows in the roles there.
//
// Errors: Invalid where nobody can be asked, naming what is missing, and where an id can
// be none; NotFound where the caller may not see it; Unavailable, Throttled.
func (s *Service) Locate(ctx context.Context, caller regcred.Caller, scope regcred.Scope) (regcred.Scope, error) {
	return s.locate(ctx, caller, scope, complete)
}

// locateNew does so for what is to be stored at a scope. Admins may store it anywhere, and
// no role shows that there is such a place: for them everything that they name is asked
// about.
//
// Errors: as Locate; Invalid in place of NotFound, as Cloud Foundry's API has it.
func (s *Service) locateNew(ctx context.Context, caller regcred.Caller, scope regcred.Scope) (regcred.Scope, error) {
	ask := complete
	if caller.IsAdmin() {
		ask = find
	}
	found, err := s.locate(ctx, caller, scope, ask)
	if regcred.CodeOf(err) == regcred.NotFound {
		err = noPlace(scope)
	}
	return found, err
}

func (s *Service) locate(ctx context.Context, caller regcred.Caller, scope regcred.Scope,
	ask func(context.Context, locator, regcred.Scope) (regcred.Scope, error),
) (regcred.Scope, error) {
	where, ok := caller.Members.(locator)
	if !ok {
		return scope, scope.Validate()
	}
	// Before anybody is asked, who might remember it. Parents may be missing so far.
	if err := regcred.AppScope(cmp.Or(scope.Org, "-"), cmp.Or(scope.Space, "-"), scope.App).Validate(); err != nil {
		return regcred.Scope{}, err
	}
	found, err := ask(ctx, where, scope)
	if err != nil {
		return regcred.Scope{}, s.refuse(ctx, caller, act{operation: "find scope", scope: scope}, err)
	}
	return found, found.Validate()
}

// complete returns a scope with the parents that it lacks.
func complete(ctx context.Context, where locator, scope regcred.Scope) (_ regcred.Scope, err error) {
	if scope.App != "" && scope.Space == "" {
		if scope.Space, err = where.SpaceOfApp(ctx, scope.App); err != nil {
			return scope, err
		}
	}
	if scope.Space != "" && scope.Org == "" {
		scope.Org, err = where.OrgOfSpace(ctx, scope.Space)
	}
	return scope, err
}

// find returns a scope with its parents, all of which there are. Errors: those of a
// locator; NotFound where it names others than its parents.
func find(ctx context.Context, where locator, scope regcred.Scope) (found regcred.Scope, err error) {
	switch scope.Level() {
	case regcred.LevelApp:
		found, err = complete(ctx, where, regcred.Scope{App: scope.App})
	case regcred.LevelSpace:
		found, err = complete(ctx, where, regcred.Scope{Space: scope.Space})
	case regcred.LevelOrganization:
		found, err = scope, where.HasOrg(ctx, scope.Org)
	case regcred.LevelFoundation:
	}
	if err == nil && !scope.Contains(found) {
		err = regcred.Errorf(regcred.NotFound, "the %s %q is not where it is said to be, but at scope %s", scope.Level(), scope.ID(), found)
	}
	return found, err
}

// noPlace is what who names a scope is told, in Cloud Foundry's words, where it may not
// know whether there is one.
func noPlace(scope regcred.Scope) error {
	level := scope.Level()
	if level == regcred.LevelApp {
		return regcred.Errorf(regcred.Invalid, "App is invalid. Ensure it exists and you have access to it.")
	}
	return regcred.Errorf(regcred.Invalid, "Invalid %s. Ensure that the %s exists and you have access to it.", level, level)
}

package service

import (
	"cmp"
	"context"

	"regcred.dev"
)

// A locator is what Members may be too: who knows where spaces and apps are.
type locator interface {
	// OrgOfSpace returns the organization of a space. Errors: NotFound, also where the
	// user may not see it; Unavailable, Throttled.
	OrgOfSpace(ctx context.Context, space string) (string, error)
	// SpaceOfApp returns the space of an app. Errors: as OrgOfSpace.
	SpaceOfApp(ctx context.Context, app string) (string, error)
}

// Locate completes a scope of which a request names only the innermost id, by asking
// where the caller's roles come from. A scope that names its parents already is
// returned as it is; whether they are its parents shows in the roles there.
//
// Errors: Invalid where nobody can be asked, naming what is missing, and where an id can
// be none; NotFound where the caller may not see it; Unavailable, Throttled.
func (s *Service) Locate(ctx context.Context, caller regcred.Caller, scope regcred.Scope) (regcred.Scope, error) {
	where, ok := caller.Members.(locator)
	if !ok {
		return scope, scope.Validate()
	}
	// Before anybody is asked, who might remember it. Parents may be missing so far.
	if err := regcred.AppScope(cmp.Or(scope.Org, "-"), cmp.Or(scope.Space, "-"), scope.App).Validate(); err != nil {
		return regcred.Scope{}, err
	}
	found, err := complete(ctx, where, scope)
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

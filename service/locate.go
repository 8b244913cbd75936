package service

import (
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
// Errors: Invalid where nobody can be asked, naming what is missing; NotFound where
// the caller may not see it; Unavailable, Throttled.
func (s *Service) Locate(ctx context.Context, caller regcred.Caller, scope regcred.Scope) (regcred.Scope, error) {
	where, ok := caller.Members.(locator)
	if !ok {
		return scope, scope.Validate()
	}
	var err error
	if scope.App != "" && scope.Space == "" {
		if scope.Space, err = where.SpaceOfApp(ctx, scope.App); err != nil {
			return regcred.Scope{}, err
		}
	}
	if scope.Space != "" && scope.Org == "" {
		if scope.Org, err = where.OrgOfSpace(ctx, scope.Space); err != nil {
			return regcred.Scope{}, err
		}
	}
	return scope, scope.Validate()
}

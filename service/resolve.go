package service

import (
	"context"
	"slices"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// Resolve says which credential an image resolves to at a scope, and why: never
// the login itself. Readers and targets may ask within their scope, all others for
// what they may read.
//
// Errors: Invalid, Denied; NotFound where the caller may not know that there is such a
// scope; those of regcred.Members.
func (s *Service) Resolve(ctx context.Context, caller regcred.Caller, image string, scope regcred.Scope) (keyring.Explanation, error) {
	if err := scope.Validate(); err != nil {
		return keyring.Explanation{}, err
	}
	if err := s.requireResolve(ctx, caller, scope); err != nil {
		return keyring.Explanation{}, err
	}
	img, err := imageref.ParseImage(image)
	if err != nil {
		return keyring.Explanation{}, regcred.Errorf(regcred.Invalid, "%w", err)
	}
	return s.o.Books.Now().Explain(scope, img), nil
}

// requireResolve returns an error where the caller may not ask what an image resolves
// to at a scope.
func (s *Service) requireResolve(ctx context.Context, caller regcred.Caller, scope regcred.Scope) error {
	a := act{operation: "resolve", scope: scope, read: true}
	if slices.Contains(readers, caller.Role) {
		if caller.Scope.Contains(scope) {
			return s.allow(ctx, caller, a)
		}
		return s.deny(ctx, caller, a)
	}
	switch may, err := mayRead(ctx, caller, scope); {
	case err != nil:
		return s.unknown(ctx, caller, a, err)
	case may:
		return s.allow(ctx, caller, a)
	case slices.Contains(members, caller.Role):
		return s.refuse(ctx, caller, a, regcred.Errorf(regcred.NotFound, "%s", noScope(scope)))
	}
	return s.deny(ctx, caller, a)
}

// DockerConfig renders a scope's keyring as a docker config file. It holds logins
// in clear: only admins, and targets within their scope, get it.
//
// Errors: Invalid, Denied.
func (s *Service) DockerConfig(ctx context.Context, caller regcred.Caller, scope regcred.Scope, dialect keyring.Dialect, o keyring.RenderOptions) (keyring.Rendering, error) {
	a := act{operation: "release logins", scope: scope}
	if !caller.Holds(regcred.RoleTarget, scope) {
		return keyring.Rendering{}, s.deny(ctx, caller, a)
	}
	if err := scope.Validate(); err != nil {
		return keyring.Rendering{}, err
	}
	if err := s.allow(ctx, caller, a); err != nil {
		return keyring.Rendering{}, err
	}
	s.o.Log.InfoContext(ctx, "logins released", "scope", scope.String(), "caller", caller)
	return s.o.Books.Now().Keyring(scope).Render(dialect, o)
}

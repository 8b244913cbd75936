package service

import (
	"context"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// Resolve says which credential an image resolves to at a scope, and why: never
// the login itself. Readers and targets may ask within their scope.
//
// Errors: Invalid, Denied.
func (s *Service) Resolve(ctx context.Context, caller regcred.Caller, image string, scope regcred.Scope) (keyring.Explanation, error) {
	if !caller.Holds(regcred.RoleReader, scope) && !caller.Holds(regcred.RoleTarget, scope) {
		return keyring.Explanation{}, s.requireAdmin(ctx, caller, "resolve")
	}
	if err := scope.Validate(); err != nil {
		return keyring.Explanation{}, err
	}
	img, err := imageref.ParseImage(image)
	if err != nil {
		return keyring.Explanation{}, regcred.Errorf(regcred.Invalid, "%w", err)
	}
	return s.o.Books.Now().Explain(scope, img), nil
}

// DockerConfig renders a scope's keyring as a docker config file. It holds logins
// in clear: only admins, and targets within their scope, get it.
//
// Errors: Invalid, Denied.
func (s *Service) DockerConfig(ctx context.Context, caller regcred.Caller, scope regcred.Scope, dialect keyring.Dialect, o keyring.RenderOptions) (keyring.Rendering, error) {
	if !caller.Holds(regcred.RoleTarget, scope) {
		return keyring.Rendering{}, s.requireAdmin(ctx, caller, "docker config")
	}
	if err := scope.Validate(); err != nil {
		return keyring.Rendering{}, err
	}
	s.o.Log.InfoContext(ctx, "logins released", "scope", scope.String(), "caller", caller)
	return s.o.Books.Now().Keyring(scope).Render(dialect, o)
}

package service

import (
	"context"
	"slices"
	"time"

	"regcred.dev"
)

// CreateToken makes an API token and returns it, once, in clear. expires is zero
// for one that never expires. Errors: Denied, Invalid.
func (s *Service) CreateToken(ctx context.Context, caller regcred.Caller, name string, role regcred.Role, scope regcred.Scope, expires time.Time) (regcred.APIToken, regcred.Secret, error) {
	if err := s.requireAdmin(ctx, caller, "create token"); err != nil {
		return regcred.APIToken{}, regcred.Secret{}, err
	}
	if name == "" {
		return regcred.APIToken{}, regcred.Secret{}, regcred.Errorf(regcred.Invalid, "a token needs a name that says who uses it")
	}
	if !slices.Contains(regcred.Roles, role) {
		return regcred.APIToken{}, regcred.Secret{}, regcred.Errorf(regcred.Invalid, "there is no role %q; there are admin, reader, target and puller", role)
	}
	if role == regcred.RoleAdmin && scope != regcred.Foundation {
		return regcred.APIToken{}, regcred.Secret{}, regcred.Errorf(regcred.Invalid, "an admin's token is for the foundation: leave the scope out")
	}
	if err := scope.Validate(); err != nil {
		return regcred.APIToken{}, regcred.Secret{}, err
	}
	t, secret, err := s.o.Tokens.CreateAPIToken(ctx, name, role, scope, expires)
	if err == nil {
		s.o.Log.InfoContext(ctx, "token created", "id", t.ID, "name", name, "role", string(role), "caller", caller)
	}
	return t, secret, err
}

// ListTokens returns all API tokens, without their secrets. Errors: Denied.
func (s *Service) ListTokens(ctx context.Context, caller regcred.Caller) ([]regcred.APIToken, error) {
	if err := s.requireAdmin(ctx, caller, "list tokens"); err != nil {
		return nil, err
	}
	return s.o.Store.Tokens(ctx)
}

// DeleteToken revokes an API token. Errors: Denied, NotFound.
func (s *Service) DeleteToken(ctx context.Context, caller regcred.Caller, id string) error {
	if err := s.requireAdmin(ctx, caller, "delete token"); err != nil {
		return err
	}
	if err := s.o.Tokens.DeleteAPIToken(ctx, id); err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "token deleted", "id", id, "caller", caller)
	return nil
}

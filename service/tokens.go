package service

import (
	"context"

	"regcred.dev"
)

// CreateToken makes an API token of that name, role and scope, for those repositories
// and until it expires, and returns it, once, in clear. Errors: Denied, Invalid.
func (s *Service) CreateToken(ctx context.Context, caller regcred.Caller, t regcred.APIToken) (regcred.APIToken, regcred.Secret, error) {
	if err := s.requireAdmin(ctx, caller, act{operation: "create token", scope: t.Scope, detail: string(t.Role) + " " + t.Name}); err != nil {
		return regcred.APIToken{}, regcred.Secret{}, err
	}
	t, secret, err := s.o.Tokens.CreateAPIToken(ctx, t)
	if err == nil {
		s.o.Log.InfoContext(ctx, "token created", "id", t.ID, "name", t.Name, "role", string(t.Role),
			"scope", t.Scope.String(), "repositories", t.Repositories, "caller", caller)
	}
	return t, secret, err
}

// ListTokens returns all API tokens, without their secrets. One that the store
// cannot read is left out, and logged. Errors: Denied.
func (s *Service) ListTokens(ctx context.Context, caller regcred.Caller) ([]regcred.APIToken, error) {
	if err := s.requireAdmin(ctx, caller, act{operation: "list tokens", read: true}); err != nil {
		return nil, err
	}
	if err := s.o.Tokens.RecordUses(ctx); err != nil {
		return nil, err
	}
	list, err := s.o.Store.Tokens(ctx)
	return list, s.leaveOut(ctx, "API tokens", err)
}

// leaveOut logs what a list lacks because it is corrupt, and returns any other
// error.
func (s *Service) leaveOut(ctx context.Context, what string, err error) error {
	if err == nil || regcred.CodeOf(err) != regcred.Corrupt {
		return err
	}
	s.o.Log.ErrorContext(ctx, what+" that cannot be read were left out of a list", "error", err)
	return nil
}

// DeleteToken revokes an API token. Errors: Denied, NotFound.
func (s *Service) DeleteToken(ctx context.Context, caller regcred.Caller, id string) error {
	if err := s.requireAdmin(ctx, caller, act{operation: "delete token", detail: "token " + id}); err != nil {
		return err
	}
	if err := s.o.Tokens.DeleteAPIToken(ctx, id); err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "token deleted", "id", id, "caller", caller)
	return nil
}

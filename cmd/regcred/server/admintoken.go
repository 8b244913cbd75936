package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"regcred.dev"
)

// maxToken bounds what is read of a token's file, in bytes.
const maxToken = 4096

// adminToken makes the admin's API token at the first start. Where its file was
// deleted, or holds none that is an admin's here, there is a new one, and those
// before it end: to delete the file and start again replaces a token that leaked.
func (s *Server) adminToken(ctx context.Context) error {
	path := s.path(AdminTokenName)
	raw, err := readToken(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("admin token: %w", err)
	}
	if err == nil {
		caller, err := s.tokens.Authenticate(ctx, time.Now(), raw)
		switch {
		case err == nil && caller.IsAdmin():
			return nil
		case err != nil && regcred.CodeOf(err) != regcred.Unauthenticated:
			return err
		}
		s.log.Warn("the admin token is not one of this store: it is made anew", "file", path)
	}
	// There is no service yet, whose log has all other tokens.
	if err := s.store.Audit(ctx, regcred.AuditEntry{
		At: time.Now(), Caller: "start", Role: regcred.RoleAdmin, Operation: "create token", Allowed: true,
		Detail: string(regcred.RoleAdmin) + " " + AdminTokenName + ", and earlier ones of that name end",
	}); err != nil {
		return err
	}
	if err := s.endAdminTokens(ctx); err != nil {
		return err
	}
	_, secret, err := s.tokens.CreateAPIToken(ctx, regcred.APIToken{Name: AdminTokenName, Role: regcred.RoleAdmin})
	if err != nil {
		return err
	}
	return s.writeToken(path, secret)
}

// readToken reads a token's file, whose mode is made 0600.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxToken))
	return strings.TrimSpace(string(data)), err
}

// endAdminTokens deletes the tokens that were in the file before.
func (s *Server) endAdminTokens(ctx context.Context) error {
	list, err := s.store.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.Name != AdminTokenName {
			continue
		}
		if err := s.tokens.DeleteAPIToken(ctx, t.ID); err != nil {
			return err
		}
		s.log.Info("an earlier admin token has ended", "id", t.ID)
	}
	return nil
}

// writeToken writes a token's file: whole or not at all, and through no link that
// stands there.
func (s *Server) writeToken(path string, secret regcred.Secret) error {
	f, err := os.CreateTemp(s.cfg.DataDir, "."+AdminTokenName+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("admin token: %w", err)
	}
	_, err = f.WriteString(secret.Reveal() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("admin token: %w", err)
	}
	return nil
}

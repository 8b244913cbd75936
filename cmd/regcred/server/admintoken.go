package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"regcred.dev"
)

// adminToken makes the admin's API token at the first start. One that was deleted
// is made anew; one that the store does not know is refused, since somebody put it
// there.
func (s *Server) adminToken(ctx context.Context) error {
	path := s.path(AdminTokenName)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.makeAdminToken(ctx, path)
	case err != nil:
		return fmt.Errorf("admin token: %w", err)
	}
	if _, err := s.tokens.Authenticate(ctx, time.Now(), strings.TrimSpace(string(data))); err != nil {
		return regcred.Errorf(regcred.Invalid, "the admin token in %s is not valid here: delete the file to have a new one made", path)
	}
	return nil
}

func (s *Server) makeAdminToken(ctx context.Context, path string) error {
	_, secret, err := s.tokens.CreateAPIToken(ctx, "admin.token", regcred.RoleAdmin, regcred.Foundation, time.Time{})
	if err != nil {
		return err
	}
	// Renamed into place: a kill in between leaves no half-written token.
	partial := path + ".partial"
	if err := os.WriteFile(partial, []byte(secret.Reveal()+"\n"), 0o600); err != nil {
		return fmt.Errorf("admin token: %w", err)
	}
	return os.Rename(partial, path)
}

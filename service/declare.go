package service

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"regcred.dev"
)

// declared is the namespace of the guids of declared credentials.
var declared = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://regcred.dev/declared-credential"))

// Declare makes the credentials that the configuration declares be those of the
// list: upserted under a guid that follows from scope and location, and a
// recorded deletion of those that it no longer has.
//
// Errors: Invalid; Exists where one stored through the API has the place of a
// declared one. Nothing is deleted where there was an error.
func (s *Service) Declare(ctx context.Context, list []NewCredential) error {
	keep := map[string]bool{}
	for _, in := range list {
		c, err := s.build(regcred.Local, in)
		if err != nil {
			return err
		}
		c.Origin = regcred.OriginConfig
		c.GUID = declaredGUID(c)
		keep[c.GUID] = true
		if err := s.upsert(ctx, c); err != nil {
			return err
		}
	}
	stored, err := s.o.Store.List(ctx, regcred.Filter{Origin: regcred.OriginConfig})
	if err != nil {
		return err
	}
	for _, c := range stored {
		if keep[c.GUID] {
			continue
		}
		s.o.Log.InfoContext(ctx, "credential is no longer declared", "credential", c)
		if err := s.remove(ctx, regcred.Local, c.GUID); err != nil {
			return err
		}
	}
	return nil
}

func declaredGUID(c regcred.Credential) string {
	name := strings.Join([]string{c.Scope.Org, c.Scope.Space, c.Scope.App, c.Location.String()}, "\x00")
	return uuid.NewSHA1(declared, []byte(name)).String()
}

func (s *Service) upsert(ctx context.Context, c regcred.Credential) error {
	_, err := s.o.Store.Update(ctx, c.GUID, func(old *regcred.Credential) error {
		old.Spelling, old.Provider = c.Spelling, c.Provider
		old.Username, old.Password = c.Username, c.Password
		old.Settings, old.Secrets = c.Settings, c.Secrets
		return nil
	})
	if regcred.CodeOf(err) != regcred.NotFound {
		return err
	}
	_, err = s.o.Store.Create(ctx, c)
	if regcred.CodeOf(err) == regcred.Exists {
		return regcred.Errorf(regcred.Exists, "the configuration declares a credential for %s at scope %s, which the API has already: %w. Delete that one, or leave the declaration out", c.Location, c.Scope, err)
	}
	return err
}

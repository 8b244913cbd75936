package service

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"regcred.dev"
)

// Declaration is a credential that the configuration declares.
type Declaration struct {
	NewCredential
	// Where is the file and line where it stands.
	Where string
	// Literal names the settings that stand in the file itself, not in a file or
	// variable that it refers to: none of them may be secret.
	Literal []string
}

// declared is the namespace of the guids of declared credentials.
var declared = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://regcred.dev/declared-credential"))

// configuration is who declares credentials.
var configuration = regcred.Caller{Name: "configuration", Role: regcred.RoleAdmin}

// Declare makes the credentials that the configuration declares be those of the
// list: upserted under a guid that follows from scope and location, and a
// recorded deletion of those that it no longer has. A nil list declares nothing
// and deletes nothing: a configuration that was lost is no order.
//
// Errors: Invalid, also where two have one scope and location; Exists where one
// stored through the API has the place of a declared one; Unavailable where a change
// cannot be recorded. Nothing is written where a
// declaration is wrong, and nothing is deleted where there was any error.
func (s *Service) Declare(ctx context.Context, list []Declaration) error {
	var wanted []regcred.Credential
	declaredAt := map[string]string{} // by guid
	for _, d := range list {
		c, err := s.buildDeclared(d)
		if before, twice := declaredAt[c.GUID]; err == nil && twice {
			err = regcred.Errorf(regcred.Invalid, "a credential for this location and scope is declared at %s already: write each once, and where two leave their location to the provider, give both one", before)
		}
		if err != nil {
			return at(d.Where, err)
		}
		wanted = append(wanted, c)
		declaredAt[c.GUID] = d.Where
	}
	newest := uint64(0)
	for i, c := range wanted {
		revision, err := s.upsert(ctx, c)
		if err != nil {
			return at(list[i].Where, err)
		}
		newest = max(newest, revision)
	}
	if newest > 0 {
		s.settle(ctx, newest)
	}
	stored, err := s.o.Store.List(ctx, regcred.Filter{Origin: regcred.OriginConfig})
	if err := s.leaveOut(ctx, "declared credentials", err); err != nil {
		return err
	}
	for _, c := range stored {
		_, keep := declaredAt[c.GUID]
		switch {
		case keep:
		case list == nil:
			s.o.Log.WarnContext(ctx, "a credential stays although this configuration has no list of credentials", "credential", c)
		default:
			const reason = "it is no longer declared"
			if err := s.allow(ctx, configuration, act{operation: "delete credential", detail: reason}.on(c)); err != nil {
				return err
			}
			if err := s.remove(ctx, c, "reason", reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// at puts a place in front of an error.
func at(where string, err error) error {
	return regcred.Errorf(regcred.CodeOf(err), "%s: %w", where, err)
}

func (s *Service) buildDeclared(d Declaration) (regcred.Credential, error) {
	c, err := s.build(configuration, d.NewCredential)
	if err != nil {
		return c, err
	}
	for _, name := range d.Literal {
		if _, secret := c.Secrets[name]; secret {
			return c, regcred.Errorf(regcred.Invalid, "settings.%s is a secret, which does not stand in this file: write file:PATH or env:NAME", name)
		}
	}
	c.Origin = regcred.OriginConfig
	c.GUID = declaredGUID(c)
	return c, nil
}

func declaredGUID(c regcred.Credential) string {
	name := strings.Join([]string{c.Scope.Org, c.Scope.Space, c.Scope.App, c.Location.String()}, "\x00")
	return uuid.NewSHA1(declared, []byte(name)).String()
}

// upsert stores a declared credential and returns the revision that has it.
func (s *Service) upsert(ctx context.Context, c regcred.Credential) (uint64, error) {
	stored, err := s.o.Store.Get(ctx, c.GUID)
	if err == nil && stored.SameSource(c) && stored.Spelling == c.Spelling {
		return stored.Revision, nil
	}
	if err := s.allow(ctx, configuration, act{operation: "declare credential"}.on(c)); err != nil {
		return 0, err
	}
	stored, err = s.o.Store.Update(ctx, c.GUID, func(old *regcred.Credential) error {
		old.Spelling, old.Provider = c.Spelling, c.Provider
		old.Username, old.Password = c.Username, c.Password
		old.Settings, old.Secrets = c.Settings, c.Secrets
		return nil
	})
	switch regcred.CodeOf(err) {
	case regcred.NotFound:
	case regcred.Corrupt:
		// The configuration has all that it takes to make it again.
		s.o.Log.ErrorContext(ctx, "a declared credential is made anew", "error", err)
		if _, err := s.o.Store.Delete(ctx, c.GUID); err != nil {
			return 0, err
		}
	default:
		return stored.Revision, err
	}
	stored, err = s.o.Store.Create(ctx, c)
	if regcred.CodeOf(err) == regcred.Exists {
		return 0, regcred.Errorf(regcred.Exists, "the configuration declares a credential for %s at scope %s, which the API has already: %w. Delete that one, or leave the declaration out", c.Location, c.Scope, err)
	}
	return stored.Revision, err
}

package rancher

import (
	"context"
	"time"

	"regcred.dev"
	"regcred.dev/keyring"
)

// bring puts a login in its place. Errors: errTaken where somebody else has just made
// the place.
func (s *session) bring(ctx context.Context, p slot) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.cred == nil {
		return s.create(ctx, p)
	}
	c := p.cred
	next := s.recordOf(p.auth)
	next.Made = c.record.Made
	before := s.report.Changed
	if !s.isRight(c, p.auth, next) {
		if err := s.update(ctx, c, p.auth, next); err != nil {
			return err
		}
	} else {
		next = c.record
	}
	if c.State == "inactive" || c.State == "updating-inactive" {
		if err := s.activate(ctx, c); err != nil {
			return err
		}
		s.report.Changed = before + 1
	}
	s.remember(c.ID, memo{record: next, username: p.auth.Username, password: p.auth.Password})
	return nil
}

// recordOf is what is to be recorded of a login.
func (s *session) recordOf(a keyring.Auth) record {
	r := record{Store: s.book.StoreID(), GUID: a.GUID, Expires: a.ExpiresAt.UTC().Truncate(time.Second)}
	if c, ok := s.book.Get(a.GUID); ok {
		r.Revision = c.Revision
	}
	return r
}

// isRight reports whether a credential has the login already: the same revision of it,
// or the very same login, unless one was dropped since.
func (s *session) isRight(c *credential, a keyring.Auth, next record) bool {
	if !c.recorded || c.PublicValue != a.Username {
		return false
	}
	if c.record.same(next) {
		return true
	}
	dropped := uint64(0)
	if entry, ok := s.book.Get(a.GUID); ok {
		dropped = entry.DropRevision
	}
	old := c.record
	old.Revision = next.Revision
	return s.hasLogin(c, a) && old.same(next) && c.record.Revision >= dropped
}

// hasLogin reports whether this process delivered the very same login, and nobody
// else was there since, as far as can be seen.
func (s *session) hasLogin(c *credential, a keyring.Auth) bool {
	m, ok := s.recall(c.ID)
	return ok && c.recorded && c.record.same(m.record) && c.PublicValue == a.Username &&
		m.username == a.Username && m.password.Equal(a.Password)
}

// update writes a login and its record into a credential.
func (s *session) update(ctx context.Context, c *credential, a keyring.Auth, next record) error {
	description, err := next.describe(c.text)
	if err != nil {
		return err
	}
	same := s.hasLogin(c, a)
	changed, err := s.env.put(ctx, c.resource, values{
		PublicValue: a.Username, SecretValue: a.Password.Reveal(), Email: s.email(), Description: description,
	})
	if err != nil {
		return err
	}
	if !same {
		s.report.Changed++
	}
	if !c.recorded && !c.edited {
		s.o.Log.InfoContext(ctx, "a credential of Rancher's is taken over", "registry", c.host, "credential", c.ID, "user", c.PublicValue, "at", s.env.where)
	}
	c.State, c.Actions = changed.State, changed.Actions
	c.record, c.recorded, c.edited = next, true, false
	return nil
}

// activate has an inactive credential used again.
func (s *session) activate(ctx context.Context, c *credential) error {
	settled, err := s.env.settle(ctx, c.resource)
	if err != nil {
		return err
	}
	if settled.State == "inactive" {
		if settled, err = s.env.act(ctx, settled, "activate"); err != nil {
			return err
		}
		s.o.Log.InfoContext(ctx, "an inactive credential of Rancher's is active again", "registry", c.host, "credential", c.ID, "at", s.env.where)
	}
	c.State = settled.State
	return nil
}

// create creates a credential, and its registry where there is none.
func (s *session) create(ctx context.Context, p slot) error {
	registry, err := s.registry(ctx, p.host)
	if err != nil {
		return err
	}
	next := s.recordOf(p.auth)
	next.Made = true
	description, err := next.describe("")
	if err != nil {
		return err
	}
	made, err := s.env.createCredential(ctx, values{
		RegistryID: registry.ID, PublicValue: p.auth.Username, SecretValue: p.auth.Password.Reveal(), Email: s.email(), Description: description,
	})
	if err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "a credential was created in Rancher", "registry", p.host, "credential", made.ID, "at", s.env.where)
	s.report.Changed++
	s.all = append(s.all, &credential{resource: made, host: p.host, record: next, recorded: true})
	s.remember(made.ID, memo{record: next, username: p.auth.Username, password: p.auth.Password})
	return nil
}

// registry returns the registry that a credential is to be created on, which has none:
// a list whose pages change while they are read may have left some out.
func (s *session) registry(ctx context.Context, host string) (resource, error) {
	if len(s.registries[host]) == 0 {
		made, err := s.env.createRegistry(ctx, addressOf(host))
		if err == nil {
			s.o.Log.InfoContext(ctx, "a registry was created in Rancher", "registry", host, "id", made.ID, "at", s.env.where)
		}
		return made, err
	}
	registry := s.registries[host][0]
	for _, r := range s.registries[host] {
		if pulls(r.ServerAddress, host) {
			registry = r
			break
		}
	}
	there, err := s.env.credentialsOf(ctx, registry.ID)
	if err == nil && len(there) > 0 {
		err = errTaken
	}
	return registry, err
}

// email is what v1 of the API asks for, "" where the API knows no email.
func (s *session) email() string {
	if _, ok := s.env.credentials.ResourceFields["email"]; !ok {
		return ""
	}
	return s.o.Email
}

// takeAway takes a login away, unless somebody changed what was delivered.
func (s *session) takeAway(ctx context.Context, c *credential) error {
	if c.edited {
		s.forget(c.ID)
		return nil
	}
	return s.withdraw(ctx, c)
}

// withdraw removes a credential that regcred created; one that was there before is
// deactivated, and is its users' again.
func (s *session) withdraw(ctx context.Context, c *credential) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	settled, err := s.deactivate(ctx, c.resource)
	if err != nil {
		return err
	}
	if c.record.Made {
		err = s.env.remove(ctx, settled)
	} else if settled, err = s.env.put(ctx, settled, map[string]string{"description": c.text}); err == nil {
		_, err = s.env.settle(ctx, settled) // so that it can be written to again
	}
	if err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "a login was taken away from Rancher", "registry", c.host, "credential", c.ID, "at", s.env.where)
	s.forget(c.ID)
	s.report.Changed++
	c.gone = true
	return nil
}

// deactivate has a credential not be used any more.
func (s *session) deactivate(ctx context.Context, r resource) (resource, error) {
	r, err := s.env.settle(ctx, r)
	if err != nil || r.State == "inactive" {
		return r, err
	}
	if r.State != "active" {
		return r, regcred.Errorf(regcred.Unavailable, "the credential %s is %s", r.ID, r.State)
	}
	if r, err = s.env.act(ctx, r, "deactivate"); err != nil {
		return r, err
	}
	return s.env.settle(ctx, r)
}

package rancher

import (
	"context"
	"time"

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
	if s.isRight(c, p.auth, next) {
		next = c.record
	} else if err := s.update(ctx, c, p.auth, next); err != nil {
		return err
	}
	if !c.active {
		if err := s.system.activate(ctx, c); err != nil {
			return err
		}
		s.o.Log.InfoContext(ctx, "an inactive credential of Rancher's is active again", "registry", c.host, "credential", c.id, "at", s.system.name())
		s.report.Changed = before + 1
	}
	s.remember(c.id, memo{record: next, username: p.auth.Username, password: p.auth.Password})
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
	if !c.recorded || c.username != a.Username {
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
	m, ok := s.recall(c.id)
	return ok && c.recorded && c.record.same(m.record) && c.username == a.Username &&
		m.username == a.Username && m.password.Equal(a.Password)
}

// update writes a login and its record into a credential.
func (s *session) update(ctx context.Context, c *credential, a keyring.Auth, next record) error {
	description, err := next.describe(c.text)
	if err != nil {
		return err
	}
	same := s.hasLogin(c, a)
	if err := s.system.update(ctx, c, values{a.Username, a.Password, description}); err != nil {
		return err
	}
	if !same {
		s.report.Changed++
	}
	if !c.recorded && !c.edited {
		s.o.Log.InfoContext(ctx, "a credential of Rancher's is taken over", "registry", c.host, "credential", c.id, "user", c.username, "at", s.system.name())
	}
	c.username, c.record, c.recorded, c.edited = a.Username, next, true, false
	return nil
}

// create creates the credential for a login.
func (s *session) create(ctx context.Context, p slot) error {
	next := s.recordOf(p.auth)
	next.Made = true
	description, err := next.describe("")
	if err != nil {
		return err
	}
	c, err := s.system.create(ctx, p.host, values{p.auth.Username, p.auth.Password, description})
	if err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "a credential was created in Rancher", "registry", p.host, "credential", c.id, "at", s.system.name())
	s.report.Changed++
	c.record, c.recorded = next, true
	s.all = append(s.all, c)
	s.remember(c.id, memo{record: next, username: p.auth.Username, password: p.auth.Password})
	return nil
}

// takeAway takes a login away, unless somebody changed what was delivered.
func (s *session) takeAway(ctx context.Context, c *credential) error {
	if c.edited {
		s.forget(c.id)
		return nil
	}
	return s.withdraw(ctx, c)
}

func (s *session) withdraw(ctx context.Context, c *credential) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.system.withdraw(ctx, c); err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "a login was taken away from Rancher", "registry", c.host, "credential", c.id, "at", s.system.name())
	s.forget(c.id)
	s.report.Changed++
	c.gone = true
	return nil
}

package service

import (
	"context"
	"errors"
	"time"

	"regcred.dev"
)

// Delete removes a credential and its login. Logins of regcred's own registry
// that were minted from it are refused from now on.
// Errors: NotFound, Denied, ReadOnly, those of regcred.Members.
func (s *Service) Delete(ctx context.Context, caller regcred.Caller, guid string) error {
	a := act{operation: "delete credential", guid: guid}
	c, err := s.mayChange(ctx, caller, a)
	// One that cannot be read can still be deleted: that is how it is mended.
	if regcred.CodeOf(err) == regcred.Corrupt && caller.IsAdmin() {
		err = s.allow(ctx, caller, a)
	}
	if err != nil {
		return err
	}
	c.GUID = guid
	return s.remove(ctx, c, "caller", caller)
}

// remove deletes a credential, and says so with the attributes.
func (s *Service) remove(ctx context.Context, c regcred.Credential, attrs ...any) error {
	// A caller who goes away does not leave it half done.
	ctx = context.WithoutCancel(ctx)
	// Revoked first: a crash between the two leaves a credential without a good
	// login, never a good login without its credential.
	if err := s.revoke(ctx, c.GUID); err != nil {
		return err
	}
	revision, err := s.o.Store.Delete(ctx, c.GUID)
	if err != nil {
		_, mintErr := s.o.Refresher.Mint(ctx, c.GUID) // in place of the one that was revoked
		return errors.Join(err, mintErr)
	}
	s.o.Log.InfoContext(ctx, "credential deleted", append([]any{"credential", c}, attrs...)...)
	s.settle(ctx, revision)
	return s.revoke(ctx, c.GUID) // what was minted in between
}

// Refresh mints a new login now; one by a profile only for admins, others get it in its
// turn. With revoke the old one is dropped first,
// wherever it was delivered: for one that leaked. Where no new one can be minted
// there is then none. Errors: NotFound, Denied, those of regcred.Members and of
// Provider.Mint.
func (s *Service) Refresh(ctx context.Context, caller regcred.Caller, guid string, revoke bool) (Credential, error) {
	a := act{operation: "refresh credential", guid: guid, detail: revokes(revoke)}
	c, err := s.mayUse(ctx, caller, a)
	if err != nil {
		return Credential{}, err
	}
	if err := s.mayRevoke(ctx, caller, a.on(c), revoke && s.lent(caller, c)); err != nil {
		return Credential{}, err
	}
	if revoke {
		if c.Provider == regcred.ProviderStatic {
			return Credential{}, staticRevoked(guid)
		}
		leaked, err := s.storedLogin(ctx, guid)
		if err == nil {
			err = s.drop(ctx, caller, c, leaked)
		}
		if err != nil {
			return Credential{}, err
		}
	}
	if _, err := s.mint(ctx, caller, c); err != nil {
		if revoke {
			err = explain(err, "the old login was revoked; a new one is minted as soon as that is possible")
		}
		return Credential{}, err
	}
	return s.current(ctx, caller, c), nil
}

// revokes is the detail of an act that revokes the old login too.
func revokes(revoke bool) string {
	if revoke {
		return "the old login is revoked"
	}
	return ""
}

// staticRevoked is the answer where the login that is to be revoked is just what is
// stored, and would be handed out again.
func staticRevoked(guid string) error {
	return regcred.Errorf(regcred.Invalid, "the login of credential %s is the username and password that are stored: change the password and revoke the old one in one step (regcred credential update --revoke), or delete the credential", guid)
}

// drop ends the login of a credential, whatever it is by now, and leaked, the one that
// is to go, wherever else it is: its registry refuses it where that is regcred's own,
// and every target takes it away.
func (s *Service) drop(ctx context.Context, caller regcred.Caller, c regcred.Credential, leaked regcred.Login) error {
	ctx = context.WithoutCancel(ctx)
	dropped := map[string]bool{}
	// Somebody may begin to share it until the book shows that it is gone.
	for todo := []string{c.GUID}; len(todo) > 0; todo = s.sharers(c, leaked, dropped) {
		var last uint64
		for _, guid := range todo {
			dropped[guid] = true
			if err := s.revoke(ctx, guid); err != nil {
				return err
			}
			revision, err := s.o.Store.DropLogin(ctx, guid)
			if err != nil && (guid == c.GUID || regcred.CodeOf(err) != regcred.NotFound) {
				return err
			}
			s.o.Log.InfoContext(ctx, "login revoked", "guid", guid, "because_of", c, "caller", caller)
			last = max(last, revision)
		}
		s.settle(ctx, last)
	}
	return nil
}

// sharers returns the credentials, but for some, that have a login of c's: those with
// equal settings may share a mint. A username and password that are stored are no
// such login.
func (s *Service) sharers(c regcred.Credential, leaked regcred.Login, without map[string]bool) []string {
	if leaked.Password.IsZero() || c.Provider == regcred.ProviderStatic {
		return nil
	}
	var guids []string
	for e := range s.o.Books.Now().Entries() {
		if !without[e.GUID] && e.Provider == c.Provider && e.Login != nil && e.Login.Password.Equal(leaked.Password) {
			guids = append(guids, e.GUID)
		}
	}
	return guids
}

// storedLogin returns a credential's login, the zero one where there is none, or none
// that can be read.
func (s *Service) storedLogin(ctx context.Context, guid string) (regcred.Login, error) {
	l, err := s.o.Store.Login(ctx, guid)
	if code := regcred.CodeOf(err); err != nil && (code == regcred.NotFound || code == regcred.Corrupt) {
		return regcred.Login{}, nil
	}
	return l, err
}

// explain adds to an error what became of the operation.
func explain(err error, hint string) error {
	return regcred.Errorf(regcred.CodeOf(err), "%w; %s", err, hint)
}

// revoke ends what was minted from a credential so far.
func (s *Service) revoke(ctx context.Context, guid string) error {
	now := time.Now()
	until := now.Add(s.o.LoginLifetime)
	// A login may be of a time when lifetimes were longer.
	if l, err := s.o.Store.Login(ctx, guid); err == nil && l.ExpiresAt.After(until) {
		until = l.ExpiresAt
	}
	return s.o.Tokens.Revoke(ctx, guid, now, until)
}

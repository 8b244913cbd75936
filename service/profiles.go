package service

import (
	"context"
	"fmt"
	"slices"

	"regcred.dev"
)

// Profiles returns the profiles that the caller's credentials may name: the names,
// providers and locations, never settings. Grants are for those alone who read
// everything, who get all profiles.
// Errors: Unauthenticated; those of regcred.Members.
func (s *Service) Profiles(ctx context.Context, caller regcred.Caller) ([]regcred.Profile, error) {
	a := act{operation: "list profiles", read: true}
	if caller.Role == "" {
		return nil, s.deny(ctx, caller, a)
	}
	scopes, err := writable(ctx, caller)
	if err != nil {
		return nil, s.unknown(ctx, caller, a, err)
	}
	if err := s.allow(ctx, caller, a); err != nil {
		return nil, err
	}
	list := []regcred.Profile{}
	for _, p := range s.profiles() {
		shown := regcred.Profile{Name: p.Name, Provider: p.Provider, Location: p.Location, Spelling: p.Spelling}
		switch {
		case readsAll(caller):
			shown.Grants = p.Grants
		case !slices.ContainsFunc(scopes, p.GrantedTo):
			continue
		}
		list = append(list, shown)
	}
	return list, nil
}

// profiles returns all that there are.
func (s *Service) profiles() []regcred.Profile {
	if d, ok := s.o.Providers[regcred.ProviderProfile].(regcred.Delegate); ok {
		return d.Profiles()
	}
	return nil
}

// writable returns the scopes of organizations and spaces whose credentials the caller
// may alter by a role that it holds there. Errors: those of regcred.Members.
func writable(ctx context.Context, caller regcred.Caller) ([]regcred.Scope, error) {
	if caller.ReadOnly || readsAll(caller) {
		return nil, nil
	}
	held, err := memberships(ctx, caller)
	if err != nil {
		return nil, err
	}
	var scopes []regcred.Scope
	for _, m := range held {
		if m.Role == regcred.RoleOrgManager || m.Role == regcred.RoleSpaceDeveloper {
			scopes = append(scopes, m.Scope)
		}
	}
	return scopes, nil
}

// ApplyProfiles has stored credentials follow the profiles as they are now, at a start:
// those whose profile was changed are minted from anew, and the old login serves until
// then; those that have none any more lose their login, wherever it was delivered. Where
// the configuration has no list of profiles at all they keep it until it expires: one
// that was lost is no order.
//
// Errors: Unavailable where a change cannot be recorded; those of the store.
func (s *Service) ApplyProfiles(ctx context.Context) error {
	stored, err := s.o.Store.List(ctx, regcred.Filter{})
	if err := s.leaveOut(ctx, "credentials of profiles", err); err != nil {
		return err
	}
	for _, c := range stored {
		if d, ok := s.delegate(c); ok {
			if err := s.follow(ctx, d, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow has one credential follow its profile.
func (s *Service) follow(ctx context.Context, d regcred.Delegate, c regcred.Credential) error {
	_, lost := d.Stamp(c)
	switch {
	case lost == nil:
		return s.stampAgain(ctx, d, c)
	case d.Profiles() == nil:
		s.o.Log.WarnContext(ctx, "a login stays until it expires although this configuration has no list of profiles", "credential", c)
		return nil
	}
	if login, err := s.storedLogin(ctx, c.GUID); err != nil || login.MintedAt.IsZero() {
		return err
	}
	if err := s.allow(ctx, configuration, act{operation: "update credential", detail: "its profile is no longer granted: the login is revoked"}.on(c)); err != nil {
		return err
	}
	if err := s.revoke(ctx, c.GUID); err != nil {
		return err
	}
	_, err := s.o.Store.DropLogin(ctx, c.GUID)
	if regcred.CodeOf(err) == regcred.NotFound {
		return nil
	}
	s.o.Log.WarnContext(ctx, "login revoked", "credential", c, "because", lost)
	return err
}

// stampAgain stores the mark of a credential's profile where that was changed.
func (s *Service) stampAgain(ctx context.Context, d regcred.Delegate, c regcred.Credential) error {
	after, err := s.o.Store.Update(ctx, c.GUID, func(c *regcred.Credential) (err error) {
		*c, err = d.Stamp(*c)
		return err
	})
	if err == nil && after.Version != c.Version {
		s.o.Log.InfoContext(ctx, "a profile was changed: minting anew", "credential", after)
	}
	return err
}

// delegate returns the delegate that mints a credential's logins, if one does.
func (s *Service) delegate(c regcred.Credential) (regcred.Delegate, bool) {
	d, ok := s.o.Providers[c.Provider].(regcred.Delegate)
	return d, ok
}

// lent reports whether a credential's login is lent to the caller: it is an operator's,
// and other scopes may have the same one.
func (s *Service) lent(caller regcred.Caller, c regcred.Credential) bool {
	_, ok := s.delegate(c)
	return ok && !caller.IsAdmin()
}

// mint mints a login for a caller now. Whom it is lent gets the one that is stored, or
// waits for it as others do: the issuer is the operator's, who alone has it asked.
// Errors: those of the refresher, as the caller may know them.
func (s *Service) mint(ctx context.Context, caller regcred.Caller, c regcred.Credential) (regcred.Login, error) {
	if s.lent(caller, c) {
		login, err := s.o.Refresher.Ensure(ctx, c.GUID)
		return login, s.told(caller, c, err)
	}
	return s.o.Refresher.Mint(ctx, c.GUID)
}

// mayRevoke refuses an act that would revoke a login that is lent: others would lose it
// too. Errors: Denied.
func (s *Service) mayRevoke(ctx context.Context, caller regcred.Caller, a act, lent bool) error {
	if !lent {
		return nil
	}
	return s.refuse(ctx, caller, a, regcred.Errorf(regcred.Denied, "the login is that of a profile, which other scopes may have too: ask an operator to revoke it, or delete the credential, which ends it here"))
}

// told returns an error of a mint as the caller may know it: what an issuer says of an
// operator's identity is for operators.
func (s *Service) told(caller regcred.Caller, c regcred.Credential, err error) error {
	if !s.lent(caller, c) || err == nil || regcred.CodeOf(err) == regcred.Internal {
		return err
	}
	return regcred.Errorf(regcred.CodeOf(err), "%s", s.toldOf(caller, c, regcred.CodeOf(err), err.Error()))
}

// toldOf returns what the caller may know of why no login could be minted.
func (s *Service) toldOf(caller regcred.Caller, c regcred.Credential, code regcred.Code, problem string) string {
	d, ok := s.delegate(c)
	if !ok || caller.IsAdmin() {
		return problem
	}
	if _, err := d.Source(c); err != nil {
		return regcred.MessageOf(err)
	}
	what := "no login could be minted from it"
	switch code {
	case regcred.Denied:
		what = "its issuer refused"
	case regcred.Throttled:
		what = "its issuer asks to be asked less often; it is tried again"
	case regcred.Unavailable:
		what = "its issuer does not answer, or not as it should; it is tried again"
	}
	return fmt.Sprintf("profile %q: %s (code %s): ask an operator, who finds the reason in the server's status", c.Settings[regcred.SettingProfile], what, code)
}

// lentReport adds to a report what a caller may know of how a registry took a login that
// is lent: a refusal names whose it is.
func (s *Service) lentReport(out CheckReport, c regcred.Credential, err error) CheckReport {
	answer := "accepted"
	if err != nil {
		answer = "not accepted"
		out.Problem = fmt.Sprintf("profile %q: its registry did not accept the login (code %s): ask an operator, who finds the reason with regcred credential check", c.Settings[regcred.SettingProfile], regcred.CodeOf(err))
	}
	out.Steps = append(out.Steps, "asking the registry -> "+answer)
	return out
}

package service

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"regcred.dev"
)

// CredentialUpdate is what an update changes; what is nil stays.
type CredentialUpdate struct {
	Username *string
	Password *regcred.Secret
	// Settings are merged into the provider's; a nil value removes one.
	Settings map[string]*regcred.Secret
	// Labels and Annotations are merged into those that there are; nil removes one.
	Labels, Annotations map[string]*string

	// Check has a login minted from the new settings, and the registry asked about
	// it, before anything is changed.
	Check bool
	// Revoke drops the old login at once, in place of letting it serve until the new
	// one is there: for one that leaked.
	Revoke bool
}

// apply changes a credential as the update says. Errors: Invalid, Denied.
func (s *Service) apply(caller regcred.Caller, c *regcred.Credential, up CredentialUpdate) error {
	if up.Username != nil {
		c.Username = *up.Username
	}
	if up.Password != nil {
		c.Password = *up.Password
	}
	c.Labels, c.Annotations = merged(c.Labels, up.Labels), merged(c.Annotations, up.Annotations)
	settings := settingsOf(*c)
	delete(settings, regcred.ProfileMark) // configure makes it anew
	for name, value := range up.Settings {
		if _, set := settings[name]; value == nil && !set {
			if err := s.knowsSetting(c.Provider, name); err != nil {
				return err
			}
		}
		delete(settings, name)
		if value != nil {
			settings[name] = *value
		}
	}
	return s.configure(caller, c, settings)
}

// merged returns a map with changes; a nil value removes one.
func merged(old map[string]string, changes map[string]*string) map[string]string {
	if len(changes) == 0 {
		return old
	}
	out := maps.Clone(old)
	if out == nil {
		out = map[string]string{}
	}
	for key, value := range changes {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = *value
		}
	}
	return out
}

// settingsOf returns a credential's settings, secret or not.
func settingsOf(c regcred.Credential) map[string]regcred.Secret {
	all := map[string]regcred.Secret{}
	for name, value := range c.Settings {
		all[name] = regcred.NewSecret(value)
	}
	maps.Copy(all, c.Secrets)
	return all
}

// Update changes a credential and waits for its new login; until that is there
// the old one serves, unless it is to be revoked.
//
// Errors: NotFound, Denied, ReadOnly, Invalid; Stale where somebody else changed it
// while it was checked; where it is checked those of Provider.Mint too, and Denied
// where the registry refuses the login: nothing is changed then.
func (s *Service) Update(ctx context.Context, caller regcred.Caller, guid string, up CredentialUpdate) (Credential, error) {
	a := act{operation: "update credential", guid: guid, detail: revokes(up.Revoke)}
	before, err := s.mayChange(ctx, caller, a)
	if err != nil {
		return Credential{}, err
	}
	a = a.on(before)
	if err := s.mayRevoke(ctx, caller, a, up.Revoke && s.lent(caller, before)); err != nil {
		return Credential{}, err
	}
	if err := noReferences(given(up.Settings)); err != nil {
		return Credential{}, err
	}
	var checked checkedUpdate
	if up.Check {
		if checked, err = s.checkUpdate(ctx, caller, a, up); err != nil {
			return Credential{}, err
		}
	}
	leaked, err := s.storedLogin(ctx, guid)
	if err != nil {
		return Credential{}, err
	}
	c, err := s.o.Store.Update(ctx, guid, func(c *regcred.Credential) error {
		if checked.version != 0 && checked.version != c.Version {
			return regcred.Errorf(regcred.Stale, "credential %s was changed by somebody else meanwhile: look at it and try again", guid)
		}
		old := c.Clone()
		if err := s.apply(caller, c, up); err != nil {
			return err
		}
		if up.Revoke && c.Provider == regcred.ProviderStatic && c.SameSource(old) {
			return staticRevoked(guid)
		}
		return nil
	})
	if err != nil {
		return Credential{}, s.denied(ctx, caller, a, err)
	}
	s.o.Log.InfoContext(ctx, "credential updated", "credential", c, "version", c.Version, "caller", caller)
	if up.Revoke {
		if err := s.drop(ctx, caller, c, leaked); err != nil {
			return Credential{}, err
		}
	}
	out := s.withNewLogin(ctx, caller, c)
	out.Warnings = checked.warnings
	return out, nil
}

// given returns the settings that an update sets.
func given(settings map[string]*regcred.Secret) map[string]regcred.Secret {
	set := map[string]regcred.Secret{}
	for name, value := range settings {
		if value != nil {
			set[name] = *value
		}
	}
	return set
}

// checkedUpdate is an update that was tried out.
type checkedUpdate struct {
	version  uint64 // of the credential that it was tried on
	warnings []string
}

// checkUpdate mints a login from the settings as they would be, and asks the
// registry about it. Where that cannot be asked it is a warning: it may be reached
// from the nodes alone.
func (s *Service) checkUpdate(ctx context.Context, caller regcred.Caller, a act, up CredentialUpdate) (checkedUpdate, error) {
	const hint = "nothing was changed; --no-check (check=false) stores it all the same"
	old, err := s.o.Store.Get(ctx, a.guid)
	if err != nil {
		return checkedUpdate{}, err
	}
	c := old.Clone()
	if err := s.apply(caller, &c, up); err != nil {
		return checkedUpdate{}, s.denied(ctx, caller, a, err)
	}
	checked := checkedUpdate{version: old.Version}
	if c.SameSource(old) {
		return checked, nil
	}
	if s.lent(caller, c) {
		// Nobody but operators has their issuers asked out of turn.
		checked.warnings = append(checked.warnings, "a profile is not tried before it is stored: the old login serves until there is a new one")
		return checked, nil
	}
	login, host, err := s.tryOut(ctx, c)
	if err != nil {
		return checked, explain(err, hint)
	}
	_, err = s.proberFor(caller).Probe(ctx, host, login, "")
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return checked, ctx.Err()
	case regcred.CodeOf(err) == regcred.Denied:
		return checked, explain(err, hint)
	default:
		checked.warnings = append(checked.warnings, "the registry could not be asked about the new login: "+regcred.MessageOf(err))
	}
	return checked, nil
}

// tryOut mints a login that is not kept, and returns which registry to ask about it.
func (s *Service) tryOut(ctx context.Context, c regcred.Credential) (login regcred.Login, host string, err error) {
	limited, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	login, err = s.o.Providers[c.Provider].Mint(limited, c)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = regcred.Errorf(regcred.Unavailable, "no login was minted within %s", mintTimeout)
	}
	if err != nil {
		return login, "", err
	}
	if host = c.Location.Host(); host == "" && len(login.Hosts) > 0 {
		host = login.Hosts[0]
	}
	switch {
	case login.Password.IsZero():
		err = regcred.Errorf(regcred.Unavailable, "provider %s gave a login without a password", c.Provider)
	case login.Expired(time.Now()):
		err = regcred.Errorf(regcred.Unavailable, "provider %s gave a login that had expired already: compare this machine's clock with the issuer's", c.Provider)
	case host == "":
		err = regcred.Errorf(regcred.Invalid, "the login is for no registry that is known")
	case !login.Serves(host):
		err = regcred.Errorf(regcred.Invalid, "the login is for %s, not for %s", strings.Join(login.Hosts, ", "), host)
	}
	return login, host, err
}

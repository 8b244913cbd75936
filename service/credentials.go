package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

// mintTimeout bounds how long a change waits for the login that it causes. The
// refresher goes on after that.
const mintTimeout = 20 * time.Second

// NewCredential is what a credential is created from.
type NewCredential struct {
	Scope regcred.Scope
	// Location is as its user wrote it; "" where a provider will find it.
	Location string
	Username string
	Password regcred.Secret
	// Provider is "" for one with username and password.
	Provider string
	// Settings are the provider's, secret or not: its Fields tell them apart.
	Settings    map[string]regcred.Secret
	Labels      map[string]string
	Annotations map[string]string
}

// Credential is a stored credential, without its secrets, and the state of its
// login.
type Credential struct {
	regcred.Credential
	// LoginUser is the user name of its login, "" where there is none.
	LoginUser string
	// Login is nil where there is none, and nothing to say of it.
	Login *LoginState
}

// LoginState says how a login is, never what it is.
type LoginState struct {
	MintedAt  time.Time // zero: none is stored
	ExpiresAt time.Time // zero: never
	RenewAt   time.Time // zero: not planned
	Failures  int
	// Problem is why the last mint failed, "" where it did not.
	Problem string
}

// CreateCredential stores a credential and waits for its first login; where that
// cannot be had the credential is stored all the same, and Login says why.
//
// Errors: Denied, Invalid, Exists.
func (s *Service) CreateCredential(ctx context.Context, caller regcred.Caller, in NewCredential) (Credential, error) {
	if err := s.requireAdmin(ctx, caller, "create credential"); err != nil {
		return Credential{}, err
	}
	c, err := s.build(caller, in)
	if err != nil {
		return Credential{}, err
	}
	c.Origin = regcred.OriginAPI
	c, err = s.o.Store.Create(ctx, c)
	if err != nil {
		return Credential{}, err
	}
	s.o.Log.InfoContext(ctx, "credential created", "credential", c, "caller", caller)
	return s.withNewLogin(ctx, c), nil
}

// build makes a credential of what was asked for and checks it.
func (s *Service) build(caller regcred.Caller, in NewCredential) (regcred.Credential, error) {
	c := regcred.Credential{
		Scope: in.Scope, Spelling: in.Location, Provider: in.Provider,
		Username: in.Username, Password: in.Password, Labels: in.Labels, Annotations: in.Annotations,
	}
	if c.Provider == "" {
		c.Provider = regcred.ProviderStatic
	}
	if in.Location != "" {
		var err error
		if c.Location, err = imageref.ParseLocation(in.Location); err != nil {
			return c, regcred.Errorf(regcred.Invalid, "%w", err)
		}
	}
	if err := s.configure(caller, &c, in.Settings); err != nil {
		return c, err
	}
	return c, c.Validate()
}

// configure gives a credential its provider's settings and has them checked.
func (s *Service) configure(caller regcred.Caller, c *regcred.Credential, settings map[string]regcred.Secret) error {
	p, ok := s.o.Providers[c.Provider]
	if !ok {
		return regcred.Errorf(regcred.Invalid, "there is no provider %q; there are %s", c.Provider, strings.Join(slices.Sorted(maps.Keys(s.o.Providers)), ", "))
	}
	fields := map[string]regcred.Field{}
	for _, f := range p.Describe().Fields {
		fields[f.Name] = f
	}
	c.Settings, c.Secrets = nil, nil
	for name, value := range settings {
		f := fields[name]
		if f.Admin && !caller.IsAdmin() {
			return regcred.Errorf(regcred.Denied, "only an admin may set %q of provider %s", name, c.Provider)
		}
		if f.Secret {
			c.Secrets = put(c.Secrets, name, value)
		} else {
			c.Settings = put(c.Settings, name, value.Reveal())
		}
	}
	return p.Check(*c)
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}

// Get returns one credential. Errors: NotFound; Corrupt, for admins.
func (s *Service) Get(ctx context.Context, caller regcred.Caller, guid string) (Credential, error) {
	c, err := s.o.Store.Get(ctx, guid)
	switch {
	// What is corrupt has no scope to be trusted.
	case regcred.CodeOf(err) == regcred.Corrupt && !caller.IsAdmin(), err == nil && !mayRead(caller, c.Scope):
		return Credential{}, notFound(guid)
	case err != nil:
		return Credential{}, err
	}
	return s.View(c), nil
}

func notFound(guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no credential %q", guid)
}

// List returns the credentials that match the filter and that the caller may
// read, oldest first; View shows more of each. One that the store cannot read is
// left out, and logged.
func (s *Service) List(ctx context.Context, caller regcred.Caller, f regcred.Filter) ([]regcred.Credential, error) {
	stored, err := s.o.Store.List(ctx, f)
	if err := s.leaveOut(ctx, "credentials", err); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(stored, func(c regcred.Credential) bool { return !mayRead(caller, c.Scope) }), nil
}

// CredentialUpdate is what an update changes; what is nil stays.
type CredentialUpdate struct {
	Username *string
	Password *regcred.Secret
	// Settings are merged into the provider's; a nil value removes one.
	Settings    map[string]*regcred.Secret
	Labels      map[string]string
	Annotations map[string]string
}

// Update changes a credential and waits for its new login; until that is there
// the old one serves. Errors: NotFound, Denied, ReadOnly, Invalid.
func (s *Service) Update(ctx context.Context, caller regcred.Caller, guid string, up CredentialUpdate) (Credential, error) {
	if _, err := s.mayChange(ctx, caller, guid, "update credential"); err != nil {
		return Credential{}, err
	}
	c, err := s.o.Store.Update(ctx, guid, func(c *regcred.Credential) error {
		if up.Username != nil {
			c.Username = *up.Username
		}
		if up.Password != nil {
			c.Password = *up.Password
		}
		if up.Labels != nil {
			c.Labels = up.Labels
		}
		if up.Annotations != nil {
			c.Annotations = up.Annotations
		}
		settings := settingsOf(*c)
		for name, value := range up.Settings {
			delete(settings, name)
			if value != nil {
				settings[name] = *value
			}
		}
		return s.configure(caller, c, settings)
	})
	if err != nil {
		return Credential{}, err
	}
	s.o.Log.InfoContext(ctx, "credential updated", "credential", c, "version", c.Version, "caller", caller)
	return s.withNewLogin(ctx, c), nil
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

// Delete removes a credential and its login. Logins of regcred's own registry
// that were minted from it are refused from now on.
// Errors: NotFound, Denied, ReadOnly.
func (s *Service) Delete(ctx context.Context, caller regcred.Caller, guid string) error {
	c, err := s.mayChange(ctx, caller, guid, "delete credential")
	// One that cannot be read can still be deleted: that is how it is mended.
	if err != nil && (regcred.CodeOf(err) != regcred.Corrupt || !caller.IsAdmin()) {
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

// Refresh mints a new login now. Errors: NotFound, Denied, and those of
// Provider.Mint.
func (s *Service) Refresh(ctx context.Context, caller regcred.Caller, guid string) (Credential, error) {
	c, err := s.Get(ctx, caller, guid)
	if err != nil {
		return Credential{}, err
	}
	if err := s.requireAdmin(ctx, caller, "refresh credential"); err != nil {
		return Credential{}, err
	}
	if _, err := s.o.Refresher.Mint(ctx, guid); err != nil {
		return Credential{}, err
	}
	return s.current(ctx, c.Credential), nil
}

// mayChange returns the credential, or an error where the caller may not change it,
// or nobody may.
func (s *Service) mayChange(ctx context.Context, caller regcred.Caller, guid, operation string) (regcred.Credential, error) {
	c, err := s.Get(ctx, caller, guid)
	if err != nil {
		return c.Credential, err
	}
	if err := s.requireAdmin(ctx, caller, operation); err != nil {
		return c.Credential, err
	}
	if c.Origin == regcred.OriginConfig {
		return c.Credential, regcred.Errorf(regcred.ReadOnly, "credential %s (%s, scope %s) is declared in the server's configuration: change it there", guid, c.Location, c.Scope)
	}
	return c.Credential, nil
}

// withNewLogin waits a while for the login of a credential just written.
func (s *Service) withNewLogin(ctx context.Context, c regcred.Credential) Credential {
	mintCtx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	// A failure is kept by the refresher, which tries again; the view has it.
	_, _ = s.o.Refresher.Ensure(mintCtx, c.GUID)
	return s.current(ctx, c)
}

// current returns a credential as it is now, once the book shows it so.
func (s *Service) current(ctx context.Context, c regcred.Credential) Credential {
	if stored, err := s.o.Store.Get(ctx, c.GUID); err == nil {
		c = stored
	}
	s.settle(ctx, c.Revision)
	return s.View(c)
}

// View adds the state of its login to a credential, and leaves its secrets out.
func (s *Service) View(c regcred.Credential) Credential {
	v := Credential{Credential: c.Public(), LoginUser: c.Username}
	status, known := s.o.Refresher.Status(c.GUID)
	entry, ok := s.o.Books.Now().Get(c.GUID)
	if ok && entry.Login != nil {
		v.LoginUser = entry.Login.Username
		v.Login = &LoginState{MintedAt: entry.Login.MintedAt, ExpiresAt: entry.Login.ExpiresAt}
	} else if known && status.Problem != "" {
		v.Login = &LoginState{}
	}
	if known && v.Login != nil {
		v.Login.RenewAt, v.Login.Failures, v.Login.Problem = status.Due, status.Failures, status.Problem
	}
	return v
}

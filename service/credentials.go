package service

import (
	"context"
	"fmt"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/catalog"
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
	// SettingsHidden says that it has settings which the caller is not shown.
	SettingsHidden bool
	// Warnings are what its user should know of the change just made.
	Warnings []string
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
// The scope may be named by its innermost id alone, as Locate takes it. Where the caller's
// roles come from a system that knows, it is one that there is.
//
// Errors: Denied; Invalid, also where the caller may not know that there is such a
// scope; Exists; those of regcred.Members.
func (s *Service) CreateCredential(ctx context.Context, caller regcred.Caller, in NewCredential) (Credential, error) {
	var err error
	if in.Scope, err = s.locateNew(ctx, caller, in.Scope); err != nil {
		return Credential{}, err
	}
	// What is no location stays out of the log: a URL may have a password in it.
	location, _ := imageref.ParseLocation(in.Location)
	a := act{operation: "create credential", scope: in.Scope, location: location.String()}
	if err := s.requireNew(ctx, caller, a); err != nil {
		return Credential{}, err
	}
	if err := noReferences(in.Settings); err != nil {
		return Credential{}, err
	}
	c, err := s.build(caller, in)
	if err != nil {
		return Credential{}, s.denied(ctx, caller, a, err)
	}
	c.Origin = regcred.OriginAPI
	c, err = s.o.Store.Create(ctx, c)
	if err != nil {
		return Credential{}, err
	}
	s.o.Log.InfoContext(ctx, "credential created", "credential", c, "caller", caller)
	out := s.withNewLogin(ctx, caller, c)
	if warning := tagWarning(c); warning != "" {
		out.Warnings = append(out.Warnings, warning)
	}
	return out, nil
}

// tagWarning says what is to be known of a location that is written HOST/PATH:PORT, for
// that is how a tag is written too; "" for all others.
func tagWarning(c regcred.Credential) string {
	_, path, _ := strings.Cut(c.Spelling, "/")
	_, port, ok := strings.Cut(path, ":")
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s is read as a port: the credential is used for images at %s; if it is a tag, create the credential without it, for all tags", port, c.Location)
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

// Get returns one credential. Errors: NotFound; Corrupt, for admins; those of
// regcred.Members.
func (s *Service) Get(ctx context.Context, caller regcred.Caller, guid string) (Credential, error) {
	a := act{operation: "get credential", guid: guid, read: true}
	c, err := s.get(ctx, caller, a)
	if err != nil {
		return Credential{}, err
	}
	if err := s.allow(ctx, caller, a.on(c)); err != nil {
		return Credential{}, err
	}
	return s.View(caller, c), nil
}

// get returns the credential that an act is about, where the caller may know of it.
func (s *Service) get(ctx context.Context, caller regcred.Caller, a act) (regcred.Credential, error) {
	// Asked first, and both recorded, so that what is not there and what may not be read
	// cost the same: guids of declared credentials follow from scope and location.
	may, err := readable(ctx, caller)
	if err != nil {
		return regcred.Credential{}, s.unknown(ctx, caller, a, err)
	}
	c, err := s.o.Store.Get(ctx, a.guid)
	switch code := regcred.CodeOf(err); {
	// What is corrupt has no scope to be trusted.
	case code == regcred.NotFound, code == regcred.Corrupt && !caller.IsAdmin():
		return regcred.Credential{}, s.refuse(ctx, caller, a, notFound(a.guid))
	case err == nil && !may(c.Scope):
		return regcred.Credential{}, s.refuse(ctx, caller, a.on(c), notFound(a.guid))
	}
	return c, err
}

func notFound(guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no credential %q", guid)
}

// List returns the page of a query over the credentials that the caller may read, and
// how many the query selects; View shows more of each. Those that the store cannot read
// are left out.
//
// Errors: Unavailable until all credentials are read; those of regcred.Members.
func (s *Service) List(ctx context.Context, caller regcred.Caller, q catalog.Query) ([]regcred.Credential, int, error) {
	a := act{operation: "list credentials", read: true}
	may, err := readable(ctx, caller)
	if err != nil {
		return nil, 0, s.unknown(ctx, caller, a, err)
	}
	if !s.o.Books.Now().Current() {
		return nil, 0, regcred.Errorf(regcred.Unavailable, "the credentials are being read: try again in a moment")
	}
	if err := s.allow(ctx, caller, a); err != nil {
		return nil, 0, err
	}
	q.May = may
	page, total := s.o.Catalog.Select(q)
	return page, total, nil
}

// mayUse returns the credential, or an error where the caller may not have its login
// minted, tried or changed: one that uses the server itself is for admins alone.
// Errors: NotFound, Denied, Corrupt, those of regcred.Members.
func (s *Service) mayUse(ctx context.Context, caller regcred.Caller, a act) (regcred.Credential, error) {
	c, err := s.get(ctx, caller, a)
	if err != nil {
		return c, err
	}
	// With its secrets: what it uses may depend on them.
	if err := s.ownMeans(caller, c); err != nil {
		if may, _ := mayWrite(ctx, caller, c.Scope); may {
			// Not in the words of ownMeans: they tell of settings that View does not show.
			return c.Public(), s.refuse(ctx, caller, a.on(c), regcred.Errorf(regcred.Denied,
				"only an admin may alter or use this credential of provider %s: it uses or directs the server itself", c.Provider))
		}
	}
	return c.Public(), s.requireWrite(ctx, caller, a.on(c))
}

// mayChange returns the credential, or an error where the caller may not change it,
// or nobody may. Errors: as mayUse, and ReadOnly.
func (s *Service) mayChange(ctx context.Context, caller regcred.Caller, a act) (regcred.Credential, error) {
	c, err := s.mayUse(ctx, caller, a)
	if err != nil {
		return c, err
	}
	if c.Origin == regcred.OriginConfig {
		return c, regcred.Errorf(regcred.ReadOnly, "credential %s (%s, scope %s) is declared in the server's configuration: change it there", c.GUID, c.Location, c.Scope)
	}
	return c, nil
}

// withNewLogin waits a while for the login of a credential just written.
func (s *Service) withNewLogin(ctx context.Context, caller regcred.Caller, c regcred.Credential) Credential {
	mintCtx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	// A failure is kept by the refresher, which tries again; the view has it.
	_, _ = s.o.Refresher.Ensure(mintCtx, c.GUID)
	return s.current(ctx, caller, c)
}

// current returns a credential as it is now, once the book shows it so.
func (s *Service) current(ctx context.Context, caller regcred.Caller, c regcred.Credential) Credential {
	if stored, err := s.o.Store.Get(ctx, c.GUID); err == nil {
		c = stored
	}
	s.settle(ctx, c.Revision)
	return s.View(caller, c)
}

// View adds the state of its login to a credential that the caller may read, and
// leaves its secrets out. Where it uses or directs the server itself, its settings and what
// its issuer says are for admins: they tell of roles, endpoints and files. Without its
// secrets, as in a list, a credential counts as such unless its settings say otherwise.
func (s *Service) View(caller regcred.Caller, c regcred.Credential) Credential {
	v := Credential{Credential: c.Public(), LoginUser: c.Username}
	foreign := s.ownMeans(caller, c) != nil
	if foreign && len(c.Settings) > 0 {
		v.Settings, v.SettingsHidden = nil, true
	}
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
		if v.Login.Problem != "" {
			v.Login.Problem = s.toldOf(caller, c, status.Code, status.Problem)
		}
		if v.Login.Problem != "" && foreign {
			v.Login.Problem = "no login could be minted: get this credential by itself for the reason, or ask an admin"
		}
	}
	return v
}

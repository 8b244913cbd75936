// Package profile is the provider of credentials that name a profile: settings of
// another provider that an operator keeps in the configuration, and grants to chosen
// scopes. Who stores such a credential learns nothing of them.
package profile

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"regcred.dev"
)

// Options configure a Provider.
type Options struct {
	// Profiles are all that there are; nil says that the configuration has no list.
	Profiles []Declaration
	// Providers mint the logins, by name.
	Providers map[string]regcred.Provider
	// Key is of the marks by which a profile that was changed is noticed: random, secret,
	// and the same at each start. Required where there are profiles.
	Key []byte
}

// Declaration is a profile as the configuration has it.
type Declaration struct {
	// Profile is without Settings and Secrets: All has both.
	regcred.Profile
	All map[string]regcred.Secret
	// Literal names the settings that stand in the file itself: none may be secret.
	Literal []string
	// Where is the file and line, for errors.
	Where string
}

// Provider implements regcred.Delegate. The zero Provider has no profiles.
type Provider struct {
	profiles  map[string]regcred.Profile
	providers map[string]regcred.Provider
	key       []byte
}

// New returns a Provider. Errors: Invalid, with the place, where a profile could never
// give a login.
func New(o Options) (*Provider, error) {
	p := &Provider{providers: o.Providers, key: o.Key}
	if o.Profiles != nil {
		p.profiles = map[string]regcred.Profile{}
	}
	for _, d := range o.Profiles {
		profile, err := p.build(d)
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "%s: profile %q: %w", d.Where, d.Name, err)
		}
		p.profiles[d.Name] = profile
	}
	return p, nil
}

func (p *Provider) build(d Declaration) (regcred.Profile, error) {
	inner, ok := p.providers[d.Provider]
	switch {
	case d.Provider == regcred.ProviderStatic:
		return d.Profile, regcred.Errorf(regcred.Invalid, "a username and password need no profile: declare a credential for the scope")
	case !ok:
		return d.Profile, regcred.Errorf(regcred.Invalid, "there is no provider %q", d.Provider)
	case p.profiles[d.Name].Name != "":
		return d.Profile, regcred.Errorf(regcred.Invalid, "there is one of that name already")
	case d.Location.IsZero():
		return d.Profile, regcred.Errorf(regcred.Invalid, "it needs a location, where its logins may be used")
	}
	c := regcred.Credential{Provider: d.Provider, Location: d.Location}
	if err := inner.Describe().SetAll(&c, d.All); err != nil {
		return d.Profile, err
	}
	for _, name := range d.Literal {
		if _, secret := c.Secrets[name]; secret {
			return d.Profile, regcred.Errorf(regcred.Invalid, "settings.%s is a secret, which does not stand in this file: write file:PATH or env:NAME", name)
		}
	}
	if _, set := c.Settings[regcred.SettingRotateBy]; set {
		return d.Profile, regcred.Errorf(regcred.Invalid, "settings.%s reminds of a credential: set it on one that names the profile", regcred.SettingRotateBy)
	}
	d.Settings, d.Secrets = c.Settings, c.Secrets
	return d.Profile, inner.Check(c)
}

// Profiles implements regcred.Delegate.
func (p *Provider) Profiles() []regcred.Profile {
	if p.profiles == nil {
		return nil
	}
	list := make([]regcred.Profile, 0, len(p.profiles))
	for _, name := range slices.Sorted(maps.Keys(p.profiles)) {
		list = append(list, p.profiles[name])
	}
	return list
}

// Describe says what the provider is and which settings it takes.
func (*Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name: regcred.ProviderProfile,
		Doc:  "Logins by a profile: settings that an operator keeps in the server's configuration, and grants to chosen organizations and spaces.",
		Fields: []regcred.Field{{
			Name:     regcred.SettingProfile,
			Doc:      "The profile; regcred profile list shows those that you may use.",
			Example:  "acme-ecr",
			Required: true,
		}},
		Permissions: "None of its user's: what the profile mints from is the operator's.",
		Hosts:       "The profile's location, which is the credential's where that has none; a credential may name a path below it.",
		Examples:    []string{"--set name=acme-ecr"},
	}
}

// Check refuses a credential that has settings besides the profile's name, whose scope
// has no grant of the profile, or whose location leaves the profile's.
func (p *Provider) Check(c regcred.Credential) error {
	c = c.Clone()
	delete(c.Secrets, regcred.ProfileMark)
	if err := p.Describe().CheckFields(c); err != nil {
		return err
	}
	if c.Username != "" || !c.Password.IsZero() {
		return regcred.Errorf(regcred.Invalid, "provider %s obtains its own username and password: leave them out", regcred.ProviderProfile)
	}
	_, err := p.find(c)
	return err
}

// Uses returns nothing: what a profile uses of the server, the operator has granted.
func (*Provider) Uses(regcred.Credential) []string { return nil }

// Issuer returns that of the profile's provider, "" where there is no grant.
func (p *Provider) Issuer(c regcred.Credential) string {
	from, err := p.Source(c)
	if err != nil {
		return ""
	}
	return p.providers[from.Provider].Issuer(from.Public())
}

// find returns the profile that a credential names. A profile that there is not and one
// without a grant are told alike.
func (p *Provider) find(c regcred.Credential) (regcred.Profile, error) {
	name := c.Settings[regcred.SettingProfile]
	profile, ok := p.profiles[name]
	switch {
	case !ok || !profile.GrantedTo(c.Scope):
		return regcred.Profile{}, regcred.Errorf(regcred.Invalid, "the setting %q is %q: scope %s has no grant of such a profile; operators grant them in the server's configuration, and regcred profile list shows those that you may use", regcred.SettingProfile, name, c.Scope)
	case !profile.Holds(c.Location):
		return regcred.Profile{}, regcred.Errorf(regcred.Invalid, "the location %s leaves that of profile %q: name %s, a path below it, or none", c.Location, name, profile.Location)
	}
	return profile, nil
}

// Source implements regcred.Delegate. The source has the profile's own location, also
// where the credential's is narrower: what an issuer is asked for depends on the host
// alone, and so all credentials of a profile can share their logins.
func (p *Provider) Source(c regcred.Credential) (regcred.Credential, error) {
	profile, err := p.find(c)
	if err != nil {
		return regcred.Credential{}, err
	}
	return regcred.Credential{
		GUID: c.GUID, Scope: c.Scope, Version: c.Version,
		Provider: profile.Provider, Location: profile.Location, Spelling: profile.Spelling,
		Settings: maps.Clone(profile.Settings), Secrets: maps.Clone(profile.Secrets),
	}, nil
}

// Stamp implements regcred.Delegate.
func (p *Provider) Stamp(c regcred.Credential) (regcred.Credential, error) {
	from, err := p.Source(c)
	if err != nil {
		return c, err
	}
	c = c.Clone()
	if c.Location.IsZero() {
		c.Location, c.Spelling = from.Location, from.Spelling
	}
	mark := from.Fingerprint(p.key)
	if c.Secrets == nil {
		c.Secrets = map[string]regcred.Secret{}
	}
	c.Secrets[regcred.ProfileMark] = regcred.NewSecret(hex.EncodeToString(mark[:]))
	return c, nil
}

// Mint has the profile's provider mint a login, for the host of the profile's location
// and no other. Errors: as Check, and those of that provider.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	if err := p.Check(c); err != nil {
		return regcred.Login{}, err
	}
	from, err := p.Source(c)
	if err != nil {
		return regcred.Login{}, err
	}
	name, host := c.Settings[regcred.SettingProfile], from.Location.Host()
	login, err := p.providers[from.Provider].Mint(ctx, from)
	switch {
	case err != nil:
		return regcred.Login{}, explain(name, err)
	case !login.Serves(host):
		return regcred.Login{}, regcred.Errorf(regcred.Invalid, "profile %q: its logins are not for its location, %s", name, from.Location)
	}
	login.Hosts = []string{host}
	return login, nil
}

// explain says of which profile an error is.
func explain(name string, err error) error {
	const format = "profile %q: %w"
	if e, ok := errors.AsType[*regcred.Error](err); ok && e.Code == regcred.Throttled {
		return regcred.ThrottledFor(e.RetryAfter, format, name, err)
	}
	return regcred.Errorf(regcred.CodeOf(err), format, name, err)
}

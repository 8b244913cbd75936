// Package regcred is the provider of short-lived logins to regcred's own
// registry. Its passwords are tokens that the server itself signed.
package regcred

import (
	"context"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// Name is the provider's name.
const Name = "regcred"

// Username is that of every login: the registry looks at the password alone.
const Username = "regcred"

// MinLifetime is the shortest lifetime that a credential may ask for.
const MinLifetime = 10 * time.Second

// defaultLifetime is that of a login where neither the credential nor the options
// say.
const defaultLifetime = time.Hour

// Limits on the setting "repositories". They keep a login within the 8 KiB that
// common proxies allow for a request's headers.
const (
	maxRepositories     = 32
	maxRepositoriesText = 1536 // bytes
)

// The settings.
const (
	settingRepositories = "repositories"
	settingActions      = "actions"
	settingLifetime     = "lifetime"
)

// Signer signs logins: a *token.Service.
type Signer interface {
	Sign(token.Claims) (regcred.Secret, error)
}

// Options configure a Provider.
type Options struct {
	// Signer signs the logins. Required.
	Signer Signer
	// Host is the registry's host, with its port where that is not 443, in
	// canonical form. Required.
	Host string
	// Lifetime is how long a login lives where the credential does not say.
	// Default one hour, or MaxLifetime where that is less.
	Lifetime time.Duration
	// MaxLifetime is the longest lifetime that a credential may ask for. Default
	// token.DefaultMaxLifetime. It must not exceed what the Signer allows.
	MaxLifetime time.Duration
}

// Provider implements regcred.Provider.
type Provider struct {
	o Options
}

// New returns a Provider.
func New(o Options) *Provider {
	if o.MaxLifetime <= 0 {
		o.MaxLifetime = token.DefaultMaxLifetime
	}
	if o.Lifetime <= 0 {
		o.Lifetime = defaultLifetime
	}
	o.Lifetime = min(o.Lifetime, o.MaxLifetime)
	return &Provider{o: o}
}

// Describe says what the provider is and which settings it takes. Who may set
// them decides who may do what at the server's own registry, so that is admins.
func (p *Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name: Name,
		Doc:  "Short-lived logins to regcred's own registry, for chosen repositories and actions.",
		Fields: []regcred.Field{
			{
				Name:     settingRepositories,
				Doc:      "The repositories that the login is for, separated by commas: acme/app is one, acme/* all below acme, * all.",
				Example:  "acme/app,acme/tools/*",
				Required: true,
				Admin:    true,
			},
			{
				Name:    settingActions,
				Doc:     "What the login may do there, separated by commas: pull, push, delete.",
				Default: token.Pull,
				Example: "pull,push",
				Admin:   true,
			},
			{
				Name:    settingLifetime,
				Doc:     "How long each login lives: from " + regcred.FormatDuration(MinLifetime) + " to " + regcred.FormatDuration(p.o.MaxLifetime) + ".",
				Default: regcred.FormatDuration(p.o.Lifetime),
				Example: "15m",
				Admin:   true,
			},
		},
		Permissions: "None: the server signs these logins itself.",
		Hosts:       "This server's own registry, " + p.o.Host + ".",
		Examples:    []string{"--set repositories=acme/*", "--set repositories=acme/app --set actions=pull,push --set lifetime=15m"},
	}
}

// Check returns an Invalid error, naming the setting, where the settings cannot
// work.
func (p *Provider) Check(c regcred.Credential) error {
	if err := p.Describe().CheckFields(c); err != nil {
		return err
	}
	if c.Username != "" || !c.Password.IsZero() {
		return regcred.Errorf(regcred.Invalid, "provider %s makes its own username and password: leave them out", Name)
	}
	if !c.Location.IsZero() && c.Location.Host() != p.o.Host {
		return regcred.Errorf(regcred.Invalid, "the location %s is not at this server's registry, %s: name that, or leave it out", c.Location, p.o.Host)
	}
	if _, err := grants(c.Settings); err != nil {
		return err
	}
	_, err := p.lifetime(c.Settings)
	return err
}

// Uses names the settings: who sets them decides who may do what at this server.
func (p *Provider) Uses(c regcred.Credential) []string { return p.Describe().AdminFields(c) }

// Issuer returns "": nobody is asked.
func (*Provider) Issuer(regcred.Credential) string { return "" }

// Mint signs a new login. It does no I/O. Errors: as Check.
func (p *Provider) Mint(_ context.Context, c regcred.Credential) (regcred.Login, error) {
	if err := p.Check(c); err != nil {
		return regcred.Login{}, err
	}
	allowed, err := grants(c.Settings)
	if err != nil {
		return regcred.Login{}, err
	}
	lifetime, err := p.lifetime(c.Settings)
	if err != nil {
		return regcred.Login{}, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	password, err := p.o.Signer.Sign(token.Claims{
		Subject:   c.GUID,
		Use:       token.UseLogin,
		Grants:    allowed,
		IssuedAt:  now,
		ExpiresAt: now.Add(lifetime),
	})
	if err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{
		Username:  Username,
		Password:  password,
		Hosts:     []string{p.o.Host},
		ExpiresAt: now.Add(lifetime),
	}, nil
}

// grants reads the settings "repositories" and "actions".
func grants(settings map[string]string) ([]token.Grant, error) {
	text := settings[settingRepositories]
	if len(text) > maxRepositoriesText {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q has %d bytes, at most %d are allowed: name a common path such as acme/*", settingRepositories, len(text), maxRepositoriesText)
	}
	repositories := splitList(text)
	if len(repositories) > maxRepositories {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q names %d repositories, at most %d are allowed: name a common path such as acme/*", settingRepositories, len(repositories), maxRepositories)
	}
	actions := []string{token.Pull}
	if text, ok := settings[settingActions]; ok {
		actions = splitList(text)
	}
	if len(actions) > len(token.Actions) {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q names an action twice", settingActions)
	}
	list := make([]token.Grant, 0, len(repositories))
	for _, repository := range repositories {
		g := token.Grant{Repository: repository, Actions: actions}
		if err := g.Validate(); err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "the settings %q and %q: %w", settingRepositories, settingActions, err)
		}
		list = append(list, g)
	}
	return list, nil
}

// splitList splits at commas; spaces around an item do not count. An empty item
// is kept, for the validation to refuse.
func splitList(text string) []string {
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// lifetime reads the setting "lifetime".
func (p *Provider) lifetime(settings map[string]string) (time.Duration, error) {
	text, ok := settings[settingLifetime]
	if !ok {
		return p.o.Lifetime, nil
	}
	d, ok := regcred.ParseDuration(text)
	if !ok {
		return 0, regcred.Errorf(regcred.Invalid, "the setting %q is no duration: write one such as 30s, 15m or 12h", settingLifetime)
	}
	if d < MinLifetime || d > p.o.MaxLifetime {
		return 0, regcred.Errorf(regcred.Invalid, "the setting %q is %s: it must be from %s to %s", settingLifetime,
			regcred.FormatDuration(d), regcred.FormatDuration(MinLifetime), regcred.FormatDuration(p.o.MaxLifetime))
	}
	return d, nil
}

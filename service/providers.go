package service

import (
	"context"
	"maps"
	"slices"
	"strings"

	"regcred.dev"
)

// Providers describes all providers of the server, by name. Every caller that is
// known may read them.
func (s *Service) Providers(ctx context.Context, caller regcred.Caller) ([]regcred.ProviderInfo, error) {
	if caller.Role == "" {
		return nil, refusal(caller)
	}
	var list []regcred.ProviderInfo
	for _, name := range s.providerNames() {
		list = append(list, s.o.Providers[name].Describe())
	}
	return list, nil
}

// Provider describes one provider. Errors: NotFound.
func (s *Service) Provider(ctx context.Context, caller regcred.Caller, name string) (regcred.ProviderInfo, error) {
	list, err := s.Providers(ctx, caller)
	if err != nil {
		return regcred.ProviderInfo{}, err
	}
	for _, info := range list {
		if info.Name == name {
			return info, nil
		}
	}
	return regcred.ProviderInfo{}, regcred.Errorf(regcred.NotFound, "%s", s.noProvider(name))
}

func (s *Service) providerNames() []string { return slices.Sorted(maps.Keys(s.o.Providers)) }

func (s *Service) noProvider(name string) string {
	return "there is no provider \"" + name + "\"; there are " + strings.Join(s.providerNames(), ", ")
}

// configure gives a credential its provider's settings and has them checked: what
// would use or direct the server itself only from an admin.
// Errors: Invalid, Denied.
func (s *Service) configure(caller regcred.Caller, c *regcred.Credential, settings map[string]regcred.Secret) error {
	p, ok := s.o.Providers[c.Provider]
	if !ok {
		return regcred.Errorf(regcred.Invalid, "%s", s.noProvider(c.Provider))
	}
	if err := p.Describe().SetAll(c, settings); err != nil {
		return err
	}
	if err := p.Check(*c); err != nil {
		return err
	}
	if d, ok := p.(regcred.Delegate); ok {
		var err error
		if *c, err = d.Stamp(*c); err != nil {
			return err
		}
	}
	return s.ownMeans(caller, *c)
}

// ownMeans returns a Denied error where a credential uses or directs the server itself,
// which only admins may have it do. One of a provider that this server does not have
// may use anything.
func (s *Service) ownMeans(caller regcred.Caller, c regcred.Credential) error {
	if caller.IsAdmin() {
		return nil
	}
	uses := []string{"a provider that this server does not have"}
	if p, ok := s.o.Providers[c.Provider]; ok {
		uses = p.Uses(c)
	}
	if len(uses) > 0 {
		return regcred.Errorf(regcred.Denied, "only an admin may store, alter or use this credential of provider %s: it uses %s", c.Provider, strings.Join(uses, ", "))
	}
	return nil
}

// knowsSetting refuses the name of a setting that a provider does not have.
func (s *Service) knowsSetting(provider, name string) error {
	p, ok := s.o.Providers[provider]
	if !ok {
		return regcred.Errorf(regcred.Invalid, "%s", s.noProvider(provider))
	}
	return p.Describe().CheckName(name)
}

// noReferences refuses settings that look like the configuration's references:
// nobody but who writes that file may have the server's files and environment read.
func noReferences(settings map[string]regcred.Secret) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		for _, prefix := range []string{"file:", "env:"} {
			if strings.HasPrefix(settings[name].Reveal(), prefix) {
				return regcred.Errorf(regcred.Invalid, "the setting %q begins with %q: only the server's configuration resolves such references. Send the value itself; the command line reads it from a file with --set-file %s=PATH", name, prefix, name)
			}
		}
	}
	return nil
}

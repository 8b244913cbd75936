package server

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/provider/profile"
)

// marksKey is the name of the key, sealed in the store, by which a profile that was
// changed is noticed.
const marksKey = "profiles"

// profiles returns the provider of the configuration's profiles, whose logins others
// mint. Errors: Invalid, with the place, where one could never give a login; those of
// the store.
func (s *Server) profiles(ctx context.Context, providers map[string]regcred.Provider) (*profile.Provider, error) {
	key, err := s.store.Key(ctx, marksKey, func() (regcred.Secret, error) { return regcred.NewSecret(rand.Text()), nil })
	if err != nil {
		return nil, err
	}
	return profile.New(profile.Options{
		Profiles: declaredProfiles(s.cfg.Profiles), Providers: maps.Clone(providers), Key: []byte(key.Reveal()),
	})
}

// declaredProfiles are the profiles of the configuration as their provider takes them.
func declaredProfiles(list []config.Profile) []profile.Declaration {
	if list == nil {
		return nil
	}
	out := []profile.Declaration{}
	for _, p := range list {
		out = append(out, profile.Declaration{
			Profile: regcred.Profile{Name: p.Name, Provider: p.Provider, Location: p.Location, Spelling: p.Spelling, Grants: p.Grants},
			All:     settingsOf(p.Settings, p.References), Literal: slices.Collect(maps.Keys(p.Settings)), Where: p.Where,
		})
	}
	return out
}

// settingsOf joins the settings that stand in the configuration and those that its
// references resolve to.
func settingsOf(plain map[string]string, references map[string]regcred.Secret) map[string]regcred.Secret {
	all := map[string]regcred.Secret{}
	for name, value := range plain {
		all[name] = regcred.NewSecret(value)
	}
	maps.Copy(all, references)
	return all
}

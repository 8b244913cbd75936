package ecr

import (
	"regexp"
	"slices"

	"regcred.dev"
	"regcred.dev/provider/internal/amazon"
	"regcred.dev/provider/internal/setting"
)

// The settings, besides those of package amazon.
const (
	settingRegion      = "region"
	settingRegistryIDs = "registry-ids"
	settingFIPS        = "fips"
	settingDualStack   = "dual-stack"
)

// maxRegistryIDs is how many registryIds GetAuthorizationToken takes (its API
// reference).
const maxRegistryIDs = 10

var (
	regionPattern  = regexp.MustCompile(`^[a-z]{2,10}(-[a-z0-9]{1,20}){1,4}$`)
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
)

// settings are a credential's, parsed.
type settings struct {
	amazon.Settings

	registry    registryHost // what the location names; zero where that is no host of ECR
	location    string       // the location's host, "" where there is no location
	region      string       // "" where the server's own AWS configuration says
	registryIDs []string
	fips        bool
	dualStack   bool
}

// parse reads a credential. Errors: Invalid, naming the setting.
func parse(info regcred.ProviderInfo, c regcred.Credential) (*settings, error) {
	common, err := amazon.Parse(info, c)
	if err != nil {
		return nil, err
	}
	s := &settings{Settings: common}
	for _, step := range []func(regcred.Credential) error{s.parseLocation, s.parseRegion, s.parseRegistryIDs, s.parseKind} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *settings) parseLocation(c regcred.Credential) error {
	if c.Location.IsZero() {
		return nil
	}
	s.location = c.Location.Host()
	var known bool
	if s.registry, known = parseHost(s.location); !known && !slices.Contains(s.Hosts, s.location) {
		return regcred.Errorf(regcred.Invalid, "%s is no ECR registry (ACCOUNT.dkr.ecr.REGION.amazonaws.com): where it is a proxy in front of one, an admin names it with --set %s=%s", s.location, setting.Host, s.location)
	}
	return nil
}

// parseRegion takes the region of the setting, or else the location's.
func (s *settings) parseRegion(c regcred.Credential) error {
	region, ok := c.Settings[settingRegion]
	switch {
	case !ok:
		s.region = s.registry.region
	case !regionPattern.MatchString(region):
		return regcred.Errorf(regcred.Invalid, "the setting %q is %q: write a region such as us-east-1", settingRegion, region)
	case s.registry.region != "" && s.registry.region != region:
		return regcred.Errorf(regcred.Invalid, "the setting %q is %s, but the registry %s is in %s: a token is good in its own region alone", settingRegion, region, s.location, s.registry.region)
	default:
		s.region = region
	}
	if s.region == "" && !s.Own() {
		return regcred.Errorf(regcred.Invalid, "the setting %q is missing, and no location of ECR says it", settingRegion)
	}
	return nil
}

func (s *settings) parseRegistryIDs(c regcred.Credential) error {
	ids, err := setting.List(c, settingRegistryIDs)
	if err != nil {
		return err
	}
	if len(ids) > maxRegistryIDs {
		return regcred.Errorf(regcred.Invalid, "the setting %q names %d accounts, at most %d are allowed", settingRegistryIDs, len(ids), maxRegistryIDs)
	}
	for _, id := range ids {
		if !accountPattern.MatchString(id) {
			return regcred.Errorf(regcred.Invalid, "the setting %q: %q is no account: one has 12 digits", settingRegistryIDs, id)
		}
	}
	s.registryIDs = ids
	return nil
}

// parseKind reads which kind of endpoint is asked for; the location's own kind
// where the settings do not say.
func (s *settings) parseKind(c regcred.Credential) error {
	var err error
	if s.fips, err = boolOr(c, settingFIPS, s.registry.fips); err != nil {
		return err
	}
	if s.dualStack, err = boolOr(c, settingDualStack, s.registry.dualStack); err != nil {
		return err
	}
	return s.checkKind(s.region)
}

// checkKind refuses dual-stack in a region where no host has it. The region may
// still be unknown ("").
func (s *settings) checkKind(region string) error {
	if s.dualStack && region != "" && partitionOf(region).dualStack == "" {
		return regcred.Errorf(regcred.Invalid, "the setting %q: the registries of %s have no dual-stack hosts", settingDualStack, region)
	}
	return nil
}

func boolOr(c regcred.Credential, name string, otherwise bool) (bool, error) {
	if _, ok := c.Settings[name]; !ok {
		return otherwise, nil
	}
	return setting.Bool(c, name)
}

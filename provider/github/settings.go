package github

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/provider/internal/rsakey"
	"regcred.dev/provider/internal/setting"
)

// The settings.
const (
	settingAppID        = "app-id"
	settingInstallation = "installation-id"
	settingOwner        = "owner"
	settingPrivateKey   = "private-key"
	settingRepositories = "repositories"
	settingPush         = "push"
)

// What is used where the settings name no endpoint.
const (
	defaultAPI  = "https://api.github.com"
	defaultHost = "ghcr.io"
)

// maxRepositories is how many a token may be narrowed to ("Create an installation
// access token for an app").
const maxRepositories = 500

// minKeyBits is the least size of a key. GitHub's have 2048 bits.
const minKeyBits = 2048

// maxKey bounds the text of a key, in bytes, before it is looked at.
const maxKey = 32 << 10

func fields() []regcred.Field {
	return []regcred.Field{
		{
			Name:     settingAppID,
			Doc:      "The App ID or Client ID of the GitHub App, as its settings page shows it.",
			Example:  "123456",
			Required: true,
		},
		{
			Name:     settingPrivateKey,
			Doc:      "A private key of the app: the .pem file that its settings page generated, as it is or in base64.",
			Example:  "-----BEGIN RSA PRIVATE KEY-----...",
			Required: true,
			Secret:   true,
		},
		{
			Name:    settingInstallation,
			Doc:     "The number of the app's installation, the last part of the address of its page; either this or owner is needed.",
			Example: "7890123",
		},
		{
			Name:    settingOwner,
			Doc:     "The organization or user at whom the app is installed, to look the installation up at each mint.",
			Example: "acme",
		},
		{
			Name:    settingRepositories,
			Doc:     "The names, without their owner, of the repositories that the login is narrowed to, separated by commas; without it, it is for all that the installation covers.",
			Example: "app,tools",
		},
		{
			Name:    settingPush,
			Doc:     "Whether the login may push: true or false.",
			Default: "false",
			Example: "true",
		},
		setting.EndpointField("the API of a GitHub Enterprise", "https://github.corp.example/api/v3"),
		setting.CAField(),
		setting.HostField("containers.github.corp.example"),
	}
}

// settings are the settings of a credential, read.
type settings struct {
	app          string
	key          *rsa.PrivateKey
	keyText      string   // as it was set, to be kept out of errors
	installation string   // "": it is looked up by owner
	owner        string   // "": installation is set
	repositories []string // nil: all
	push         bool
	api          string // URL without a trailing slash
	roots        *x509.CertPool
	hosts        []string // that logins are for; at least one
}

// What names look like. Those of Enterprise Managed Users have an underscore.
var (
	appID        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	installation = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)
	owner        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	repository   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// parse reads a credential. Errors: Invalid.
func (p *Provider) parse(c regcred.Credential) (s settings, err error) {
	info := p.Describe()
	if err := info.CheckFields(c); err != nil {
		return s, err
	}
	if err := setting.NoPassword(info, c); err != nil {
		return s, err
	}
	if s.app = c.Settings[settingAppID]; !appID.MatchString(s.app) {
		return s, regcred.Errorf(regcred.Invalid, "the setting %q is no App ID or Client ID: copy it from the settings page of the app", settingAppID)
	}
	s.keyText = c.Secrets[settingPrivateKey].Reveal()
	if s.key, err = parseKey(s.keyText); err != nil {
		return s, err
	}
	if err := s.parseInstallation(c); err != nil {
		return s, err
	}
	if s.push, err = setting.Bool(c, settingPush); err != nil {
		return s, err
	}
	if s.roots, err = setting.Pool(c); err != nil {
		return s, err
	}
	return s, s.parsePlaces(c)
}

// parseInstallation reads what the token is for.
func (s *settings) parseInstallation(c regcred.Credential) (err error) {
	var byNumber, byOwner bool
	s.installation, byNumber = c.Settings[settingInstallation]
	s.owner, byOwner = c.Settings[settingOwner]
	switch {
	case byNumber == byOwner:
		return regcred.Errorf(regcred.Invalid, "set either %q or %q, to say which installation of the app is meant", settingInstallation, settingOwner)
	case byNumber && !installation.MatchString(s.installation):
		return regcred.Errorf(regcred.Invalid, "the setting %q is no number of an installation", settingInstallation)
	case byOwner && !owner.MatchString(s.owner):
		return regcred.Errorf(regcred.Invalid, "the setting %q is no name of an organization or user", settingOwner)
	}
	if s.repositories, err = setting.List(c, settingRepositories); err != nil {
		return err
	}
	if len(s.repositories) > maxRepositories {
		return regcred.Errorf(regcred.Invalid, "the setting %q names %d repositories, GitHub allows %d: leave it out to mean all", settingRepositories, len(s.repositories), maxRepositories)
	}
	for _, name := range s.repositories {
		if !repository.MatchString(name) {
			return regcred.Errorf(regcred.Invalid, "the setting %q: %q is no name of a repository: write it without its owner", settingRepositories, name)
		}
	}
	return nil
}

// parsePlaces reads whom to ask and which registries the answer is for. A token
// of another API than GitHub's own is never for ghcr.io, unless an admin says so.
func (s *settings) parsePlaces(c regcred.Credential) error {
	s.api, s.hosts = defaultAPI, []string{defaultHost}
	endpoint, err := setting.URL(c, setting.Endpoint)
	if err != nil {
		return err
	}
	if endpoint != nil {
		s.api, s.hosts = strings.TrimSuffix(endpoint.String(), "/"), nil
	}
	named, err := setting.Hosts(c)
	if err != nil {
		return err
	}
	for _, host := range named {
		if !slices.Contains(s.hosts, host) {
			s.hosts = append(s.hosts, host)
		}
	}
	switch host := c.Location.Host(); {
	case len(s.hosts) == 0:
		return regcred.Errorf(regcred.Invalid, "with the setting %q, name the registry that its tokens are for: --set %s=containers.github.corp.example", setting.Endpoint, setting.Host)
	case !c.Location.IsZero() && !slices.Contains(s.hosts, host):
		return regcred.Errorf(regcred.Invalid, "%s is no registry of GitHub's: the logins are for %s. Where it is that of a GitHub Enterprise or a proxy in front of one, an admin names it with --set %s=%s", host, strings.Join(s.hosts, ", "), setting.Host, host)
	}
	return nil
}

// parseKey reads an RSA private key in PEM form, or the base64 of that.
func parseKey(text string) (*rsa.PrivateKey, error) {
	bad := func(why string) error {
		return regcred.Errorf(regcred.Invalid, "the setting %q holds %s: give the .pem file that the settings page of the app generated", settingPrivateKey, why)
	}
	if len(text) > maxKey {
		return nil, bad("more than 32 KiB")
	}
	if !strings.Contains(text, "-----BEGIN ") {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, bad("neither PEM nor the base64 of that")
		}
		text = string(decoded)
	}
	key, err := rsakey.Parse(text, minKeyBits)
	if err != nil {
		return nil, bad(err.Error())
	}
	return key, nil
}

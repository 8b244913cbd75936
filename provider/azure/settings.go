package azure

import (
	"crypto/x509"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/internal/setting"
)

// Values of the setting "identity".
const (
	identityDefault  = "default"
	identityManaged  = "managed"
	identityWorkload = "workload"
)

// kind says how the identity is proved to Entra ID.
type kind int

const (
	byServer      kind = iota // workload identity where the server has one, else managed
	bySecret                  // a client secret
	byCertificate             // an assertion that is signed with a certificate's key
	byWorkload                // an assertion by an issuer that Entra ID trusts, in a file
	byManaged                 // the machine's managed identity
)

// settings are a credential's, parsed.
type settings struct {
	kind        kind
	tenant      string // "": the server's, or not known
	client      string
	secret      regcred.Secret
	certificate *certificate
	tokenFile   string // "": the server's

	authority      *url.URL
	authorityRoots *x509.CertPool // nil: the system's
	audience       string

	host          string         // of the location
	registry      string         // the login server that is asked
	registryRoots *x509.CertPool // nil: the system's
	scopes        []string
}

var (
	validTenant = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$`)
	validClient = regexp.MustCompile(`^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

// parse reads the settings. Errors: Invalid, naming the setting.
func parse(c regcred.Credential) (s settings, err error) {
	info := describe()
	if err := info.CheckFields(c); err != nil {
		return s, err
	}
	if err := setting.NoPassword(info, c); err != nil {
		return s, err
	}
	for _, read := range []func(regcred.Credential, *settings) error{readRegistry, readIdentity, readAuthority, readScopes, readCA} {
		if err := read(c, &s); err != nil {
			return settings{}, err
		}
	}
	return s, nil
}

// readRegistry reads where the login is for, and which login server is asked for
// it: the Entra ID token goes to no other host.
func readRegistry(c regcred.Credential, s *settings) error {
	if c.Location.IsZero() {
		return regcred.Errorf(regcred.Invalid, "the location is missing: name the registry's login server, such as acme.azurecr.io")
	}
	named, err := setting.Hosts(c)
	if err != nil {
		return err
	}
	s.host = c.Location.Host()
	s.registry = s.host
	proxied := slices.Contains(named, s.host)
	if !proxied && !loginServer.MatchString(s.host) {
		return regcred.Errorf(regcred.Invalid, "%s is no login server of Azure Container Registry, such as acme.azurecr.io: where it is a proxy in front of one, an admin names it with --set host=%s", s.host, s.host)
	}
	server, ok := c.Settings[settingLoginServer]
	if !ok {
		return nil
	}
	loc, err := imageref.ParseLocation(server)
	if err != nil || !loginServer.MatchString(loc.String()) {
		return regcred.Errorf(regcred.Invalid, "the setting %q is no login server of Azure Container Registry: write one such as acme.azurecr.io", settingLoginServer)
	}
	if !proxied {
		return regcred.Errorf(regcred.Invalid, "the setting %q is of use where the setting %q names the location's host alone: leave it out", settingLoginServer, setting.Host)
	}
	s.registry = loc.Host()
	return nil
}

// readIdentity reads who asks.
func readIdentity(c regcred.Credential, s *settings) error {
	s.tenant, s.client = c.Settings[settingTenant], c.Settings[settingClient]
	if _, ok := c.Settings[settingTenant]; ok && !validTenant.MatchString(s.tenant) {
		return regcred.Errorf(regcred.Invalid, "the setting %q is no tenant: write its id, or a domain such as contoso.onmicrosoft.com", settingTenant)
	}
	if _, ok := c.Settings[settingClient]; ok && !validClient.MatchString(s.client) {
		return regcred.Errorf(regcred.Invalid, "the setting %q is no application id, such as 7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11", settingClient)
	}
	var err error
	if s.kind, err = readKind(c); err != nil {
		return err
	}
	switch s.kind {
	case bySecret:
		if s.secret = c.Secrets[settingSecret]; s.secret.IsZero() {
			return regcred.Errorf(regcred.Invalid, "the setting %q is empty", settingSecret)
		}
		return s.needPrincipal()
	case byCertificate:
		if s.certificate, err = readCertificate(c.Secrets[settingCertificate]); err != nil {
			return err
		}
		return s.needPrincipal()
	case byWorkload:
		file, ok := c.Settings[settingTokenFile]
		if s.tokenFile = file; ok && file == "" {
			return regcred.Errorf(regcred.Invalid, "the setting %q is empty", settingTokenFile)
		}
	case byServer, byManaged:
	}
	return nil
}

// readKind finds out how the identity is proved: by what the credential has for it,
// at most one thing, or else by what the setting "identity" says.
func readKind(c regcred.Credential) (kind, error) {
	found, by := byServer, ""
	for _, has := range []struct {
		name string
		kind kind
	}{{settingSecret, bySecret}, {settingCertificate, byCertificate}, {settingTokenFile, byWorkload}} {
		_, plain := c.Settings[has.name]
		_, secret := c.Secrets[has.name]
		if !plain && !secret {
			continue
		}
		if by != "" {
			return 0, regcred.Errorf(regcred.Invalid, "the settings %q and %q are two identities: leave one out", by, has.name)
		}
		found, by = has.kind, has.name
	}
	identity, ok := c.Settings[settingIdentity]
	switch {
	case !ok || identity == identityDefault:
		return found, nil
	case identity == identityWorkload && (found == byServer || found == byWorkload):
		return byWorkload, nil
	case identity == identityManaged && found == byServer:
		return byManaged, nil
	case identity == identityWorkload || identity == identityManaged:
		return 0, regcred.Errorf(regcred.Invalid, "the setting %q is %s, which does not go with %q: leave one out", settingIdentity, identity, by)
	}
	return 0, regcred.Errorf(regcred.Invalid, "the setting %q is %q: write managed, workload or default", settingIdentity, identity)
}

// needPrincipal checks that a service principal is named.
func (s settings) needPrincipal() error {
	switch {
	case s.tenant == "":
		return regcred.Errorf(regcred.Invalid, "a service principal needs the setting %q", settingTenant)
	case s.client == "":
		return regcred.Errorf(regcred.Invalid, "a service principal needs the setting %q", settingClient)
	}
	return nil
}

// readAuthority reads where Entra ID is, and the audience of its tokens.
func readAuthority(c regcred.Credential, s *settings) error {
	cloud, ok := c.Settings[settingCloud]
	if !ok {
		cloud = cloudOfHost(s.registry)
	}
	if s.authority, ok = clouds[cloud]; !ok {
		return regcred.Errorf(regcred.Invalid, "the setting %q is %q: write public, china, government or germany", settingCloud, cloud)
	}
	endpoint, err := setting.URL(c, setting.Endpoint)
	if err != nil {
		return err
	}
	if endpoint != nil {
		s.authority = endpoint
	}
	for _, name := range []string{settingCloud, setting.Endpoint} {
		if _, ok := c.Settings[name]; ok && s.kind == byManaged {
			return regcred.Errorf(regcred.Invalid, "the setting %q does not go with a managed identity, which has its tokens from the machine: leave it out", name)
		}
	}
	s.audience = defaultAudience
	audience, err := setting.URL(c, settingAudience)
	if err != nil {
		return err
	}
	if audience != nil {
		s.audience = strings.TrimSuffix(audience.String(), "/")
	}
	return nil
}

// readCA reads the certificates that hosts which an admin named are verified by.
func readCA(c regcred.Credential, s *settings) error {
	pool, err := setting.Pool(c)
	if pool == nil || err != nil {
		return err
	}
	if _, ok := c.Settings[setting.Endpoint]; ok {
		s.authorityRoots = pool
	}
	if !loginServer.MatchString(s.registry) {
		s.registryRoots = pool
	}
	if s.authorityRoots == nil && s.registryRoots == nil {
		return regcred.Errorf(regcred.Invalid, "the setting %q is for the hosts in %q and %q: none is asked, so leave it out", setting.CA, setting.Endpoint, setting.Host)
	}
	return nil
}

package google

import (
	"crypto/x509"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"

	"regcred.dev"
	"regcred.dev/provider/internal/setting"
)

// settings are a credential's, read and checked.
type settings struct {
	doc         *document // of "key" or "federation"; nil: in a file, or the server's own
	file        string    // of "credentials-file"
	impersonate []string
	push        bool
	endpoint    *url.URL
	pool        *x509.CertPool
	hosts       []string // of the login, the location's first
}

// parse reads a credential. It does no I/O. Errors: Invalid.
func (p *Provider) parse(c regcred.Credential) (*settings, error) {
	info := p.Describe()
	if err := info.CheckFields(c); err != nil {
		return nil, err
	}
	if err := setting.NoPassword(info, c); err != nil {
		return nil, err
	}
	s := new(settings)
	for _, read := range []func(regcred.Credential) error{
		s.readEndpoint, s.readIdentity, s.readImpersonate, s.readPush, s.readHosts,
	} {
		if err := read(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *settings) readEndpoint(c regcred.Credential) (err error) {
	if s.endpoint, err = setting.URL(c, setting.Endpoint); err != nil {
		return err
	}
	if s.endpoint != nil && ambient(c) {
		return regcred.Errorf(regcred.Invalid, "the setting %q needs one of %q, %q and %q beside it: the server's own identity has its own endpoint", setting.Endpoint, settingKey, settingFile, settingFederation)
	}
	s.pool, err = setting.Pool(c)
	return err
}

// readIdentity reads "key", "credentials-file" and "federation", of which there
// is at most one.
func (s *settings) readIdentity(c regcred.Credential) error {
	key, hasKey := c.Secrets[settingKey]
	file, hasFile := c.Settings[settingFile]
	federation, hasFederation := c.Settings[settingFederation]
	if hasKey && hasFile || hasFile && hasFederation || hasFederation && hasKey {
		return regcred.Errorf(regcred.Invalid, "the settings %q, %q and %q are of one identity each: leave all but one out", settingKey, settingFile, settingFederation)
	}
	switch {
	case hasKey:
		return s.readKey(key)
	case hasFile:
		if !filepath.IsAbs(file) {
			return regcred.Errorf(regcred.Invalid, "the setting %q is no absolute path: write one such as /etc/regcred/google.json", settingFile)
		}
		s.file = file
	case hasFederation:
		return s.readFederation(federation)
	}
	return nil
}

// readKey reads a key that anybody may have stored: it must not direct requests.
func (s *settings) readKey(key regcred.Secret) error {
	d, err := readDocument(quoted(settingKey), key.Reveal())
	if err != nil {
		return err
	}
	if d.Type != typeServiceAccount {
		return regcred.Errorf(regcred.Invalid, "the setting %q is of the type %s: only the key of a service account (type %s) can be stored; an admin may put any other on the server and name it in %q", settingKey, d.shownType(), typeServiceAccount, settingFile)
	}
	s.doc = d
	return d.check(quoted(settingKey), s.endpoint)
}

// readFederation reads a configuration that an admin stored where it can be seen.
func (s *settings) readFederation(text string) error {
	d, err := readDocument(quoted(settingFederation), text)
	if err != nil {
		return err
	}
	if d.Type != typeExternalAccount {
		return regcred.Errorf(regcred.Invalid, "the setting %q is of the type %s: it must be %s", settingFederation, d.shownType(), typeExternalAccount)
	}
	if d.hasSecret() {
		return regcred.Errorf(regcred.Invalid, "the setting %q holds a secret (a client_secret, a key, or a header of the credential_source), and settings can be read by others: put the configuration into a file on the server, and name that in %q", settingFederation, settingFile)
	}
	s.doc = d
	return d.check(quoted(settingFederation), s.endpoint)
}

// account is what names a service account: its e-mail address or unique id.
var account = regexp.MustCompile(`^([A-Za-z0-9._-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[0-9]{10,30})$`)

func (s *settings) readImpersonate(c regcred.Credential) (err error) {
	if s.impersonate, err = setting.List(c, settingImpersonate); err != nil {
		return err
	}
	for _, name := range s.impersonate {
		if !account.MatchString(name) {
			return regcred.Errorf(regcred.Invalid, "the setting %q has %q, which is no service account: write its e-mail address, such as puller@project.iam.gserviceaccount.com", settingImpersonate, name)
		}
	}
	return nil
}

func (s *settings) readPush(c regcred.Credential) (err error) {
	s.push, err = setting.Bool(c, settingPush)
	return err
}

// registry is what Google's registry hosts look like, in canonical form.
var registry = regexp.MustCompile(`^((us|eu|asia)\.)?gcr\.io$|^[a-z0-9]+(-[a-z0-9]+)*-docker\.pkg\.dev$|^docker\.[a-z0-9]+(-[a-z0-9]+)*\.rep\.pkg\.dev$`)

func (s *settings) readHosts(c regcred.Credential) error {
	named, err := setting.Hosts(c)
	if err != nil {
		return err
	}
	host := c.Location.Host()
	switch {
	case host == "" && len(named) == 0:
		return regcred.Errorf(regcred.Invalid, "the location is missing: none follows from the settings; write one such as us-docker.pkg.dev/PROJECT/REPOSITORY")
	case host != "" && !registry.MatchString(host) && !slices.Contains(named, host):
		return regcred.Errorf(regcred.Invalid, "%s is no registry of Google's: where it is a proxy in front of one, an admin names it with --set %s=%s", host, setting.Host, host)
	case host != "" && !slices.Contains(named, host):
		s.hosts = append(s.hosts, host)
	}
	s.hosts = append(s.hosts, named...)
	return nil
}

// scopes are what the login's token may do.
func (s *settings) scopes() []string {
	if s.push {
		return []string{scopeCloud}
	}
	return []string{scopePull}
}

// quoted names a setting in an error.
func quoted(name string) string { return `the setting "` + name + `"` }

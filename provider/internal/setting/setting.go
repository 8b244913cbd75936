// Package setting has what the settings of several providers have in common: the
// fields that they share, and the reading of values. All errors are Invalid and
// name the field.
package setting

import (
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
)

// Names of the fields that providers share.
const (
	Host     = "host"
	Endpoint = "endpoint"
	CA       = "ca"
)

// HostField lets an admin name a registry host that the provider's pattern does not
// cover, such as a proxy in front of the registry.
func HostField(example string) regcred.Field {
	return regcred.Field{
		Name:    Host,
		Doc:     "A registry host that the logins may be used at besides those that the provider knows, such as a proxy in front of the registry; several are separated by commas.",
		Example: example,
		Admin:   true,
	}
}

// EndpointField lets an admin name the issuer's URL. whose says whose it is.
func EndpointField(whose, example string) regcred.Field {
	return regcred.Field{
		Name:    Endpoint,
		Doc:     "The URL of " + whose + ", in place of the usual one.",
		Example: example,
		Admin:   true,
	}
}

// CAField lets an admin name who signs the certificate of a custom endpoint.
func CAField() regcred.Field {
	return regcred.Field{
		Name:    CA,
		Doc:     "Certificates, in PEM form, of the authorities that the endpoint is verified by in place of the system's.",
		Example: "-----BEGIN CERTIFICATE-----...",
		Admin:   true,
	}
}

// List splits a value at commas, nil where it is not set. Spaces around an item do not
// count. An empty item is an error, and so is an empty value: who sets one means it.
func List(c regcred.Credential, name string) ([]string, error) {
	text, ok := c.Settings[name]
	if !ok {
		return nil, nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		if list[i] = strings.TrimSpace(list[i]); list[i] == "" {
			return nil, regcred.Errorf(regcred.Invalid, "the setting %q has an empty item: separate its items by single commas", name)
		}
	}
	return list, nil
}

// Bool reads a value that is true or false; one that is not set is false.
func Bool(c regcred.Credential, name string) (bool, error) {
	text, ok := c.Settings[name]
	if !ok {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, regcred.Errorf(regcred.Invalid, "the setting %q is %q: write true or false", name, text)
	}
	return b, nil
}

// URL reads an absolute https URL without user name, query or fragment, nil where
// it is not set. http is allowed at loopback addresses alone.
func URL(c regcred.Credential, name string) (*url.URL, error) {
	text, ok := c.Settings[name]
	if !ok {
		return nil, nil //nolint:nilnil // not set, as documented
	}
	u, err := url.Parse(text)
	if err != nil || !isHost(u) || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q is no URL that can be used: write https://HOST[:PORT][/PATH]", name)
	}
	return u, nil
}

// isHost reports whether a URL has a host and, behind a colon, a port from 1 to 65535.
func isHost(u *url.URL) bool {
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0 && u.Hostname() != ""
	}
	return u.Hostname() != "" && !strings.HasSuffix(u.Host, ":")
}

// loopback reports whether a host is this machine by what it is, not by how it begins:
// 127.0.0.1.example.com is somebody else's.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Pool reads the field CA, nil where it is not set. Text around the certificates does
// not count, but each block has to be a certificate: a pool that lacks one would only
// be noticed when that is needed.
func Pool(c regcred.Credential) (*x509.CertPool, error) {
	text, ok := c.Settings[CA]
	if !ok {
		return nil, nil //nolint:nilnil // not set, as documented
	}
	pool, blocks := x509.NewCertPool(), 0
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if block.Type != "CERTIFICATE" {
			return nil, regcred.Errorf(regcred.Invalid, "the setting %q has something that is no certificate, as block %d: leave out all else, a private key above all", CA, blocks)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "the setting %q has a certificate, as block %d, that cannot be read", CA, blocks)
		}
		pool.AddCert(certificate)
	}
	if blocks == 0 || blocks != strings.Count(text, "-----BEGIN") {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q has no certificate in PEM form, or not a whole one", CA)
	}
	return pool, nil
}

// Hosts reads the field Host, in canonical form.
func Hosts(c regcred.Credential) ([]string, error) {
	list, err := List(c, Host)
	if err != nil {
		return nil, err
	}
	for i, text := range list {
		loc, err := imageref.ParseLocation(text)
		if err == nil && loc.Path() != "" {
			err = regcred.Errorf(regcred.Invalid, "write a host without a path")
		}
		if err == nil {
			err = loc.Assignable()
		}
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "the setting %q: %q: %w", Host, text, err)
		}
		list[i] = loc.Host()
	}
	return list, nil
}

// NoPassword refuses a user name and password beside a provider's settings.
func NoPassword(info regcred.ProviderInfo, c regcred.Credential) error {
	if c.Username != "" || !c.Password.IsZero() {
		return regcred.Errorf(regcred.Invalid, "provider %s obtains its own username and password: leave them out", info.Name)
	}
	return nil
}

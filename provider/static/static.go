// Package static is the provider of plain usernames and passwords: it hands out
// what was stored, and never has to renew it.
package static

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"regcred.dev"
)

// Limits in bytes. The longest passwords in use are key files of Google service
// accounts (about 2.5 KB, with line breaks) and tokens of a few KB.
const (
	maxUsername = 1 << 10
	maxPassword = 64 << 10
)

// Provider implements regcred.Provider. The zero Provider is usable.
type Provider struct{}

// New returns a Provider.
func New() *Provider { return &Provider{} }

// Describe says what the provider is. It takes no settings: username and
// password are fields of the credential itself.
func (*Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name:        regcred.ProviderStatic,
		Doc:         "A username and a password, handed out as they were stored; they never expire.",
		Permissions: "Whatever the images need: an account or robot that may only pull is best.",
	}
}

// Check refuses what HTTP Basic authentication (RFC 7617) or a docker config file
// cannot carry: a username that is empty, or holds a colon or control characters;
// an empty password, or one with a NUL byte; text that is not UTF-8.
func (p *Provider) Check(c regcred.Credential) error {
	if err := p.Describe().CheckFields(c); err != nil {
		return err
	}
	switch {
	case c.Username == "":
		return regcred.Errorf(regcred.Invalid, "the username is missing")
	case len(c.Username) > maxUsername:
		return regcred.Errorf(regcred.Invalid, "the username has %d bytes, at most %d are allowed", len(c.Username), maxUsername)
	case !utf8.ValidString(c.Username) || strings.ContainsFunc(c.Username, unicode.IsControl):
		return regcred.Errorf(regcred.Invalid, "the username %q holds control characters", c.Username)
	case strings.Contains(c.Username, ":"):
		return regcred.Errorf(regcred.Invalid, "the username %q holds a colon, which ends it in HTTP Basic authentication", c.Username)
	}
	return checkPassword(c.Password.Reveal())
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return regcred.Errorf(regcred.Invalid, "the password is missing")
	case len(password) > maxPassword:
		return regcred.Errorf(regcred.Invalid, "the password has %d bytes, at most %d are allowed", len(password), maxPassword)
	case !utf8.ValidString(password) || strings.Contains(password, "\x00"):
		return regcred.Errorf(regcred.Invalid, "the password is not text: it holds a NUL byte or is not UTF-8")
	}
	return nil
}

// Uses returns nothing: all is in the credential.
func (*Provider) Uses(regcred.Credential) []string { return nil }

// Issuer returns "": nobody is asked.
func (*Provider) Issuer(regcred.Credential) string { return "" }

// Mint returns the username and password as a login that never expires and
// serves the credential's location. It does no I/O. Errors: as Check.
func (p *Provider) Mint(_ context.Context, c regcred.Credential) (regcred.Login, error) {
	if err := p.Check(c); err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{Username: c.Username, Password: c.Password}, nil
}

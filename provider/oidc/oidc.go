// Package oidc is the provider of logins that a token service gives in exchange
// for a token of an OpenID Connect issuer: by OAuth 2.0 Token Exchange (RFC 8693),
// or by the federation of Quay's robot accounts.
package oidc

import (
	"context"
	"net/http"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// Name is the provider's name.
const Name = "oidc"

// Options configure a Provider. The zero Options are usable.
type Options struct {
	// Transport carries the requests. Nil: one of its own, which refuses link-local
	// addresses.
	Transport http.RoundTripper
}

// Provider implements regcred.Provider.
type Provider struct {
	o Options
}

// New returns a Provider.
func New(o Options) *Provider { return &Provider{o: o} }

// Describe says what the provider is and which settings it takes. No token
// service documents a limit: the rate is one that none should mind.
func (*Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name:   Name,
		Doc:    "Logins that a token service gives in exchange for a token of an OpenID Connect issuer, by RFC 8693 or as Quay does for its robots.",
		Fields: fields(),
		Permissions: "Whatever the images need, for whom the token service takes the token's subject to be. " +
			"For Quay: a robot account with the role Read, and a robot federation with the issuer and the subject of the token.",
		Hosts: "With exchange=quay, quay.io and the hosts that the setting host names. Else the location's host: " +
			"where the tokens come from is then up to an admin, and so is the location.",
		Examples: []string{
			"--set exchange=quay --set username=acme+puller --set-file token=token.jwt",
			"quay.corp.example --set exchange=quay --set username=acme+puller --set token-file=/var/run/secrets/tokens/quay --set host=quay.corp.example",
			"registry.corp.example --set exchange=rfc8693 --set token-url=https://sts.corp.example/token --set token-file=/var/run/secrets/tokens/sts --set audience=registry --set username=oauth2",
			"registry.corp.example --set exchange=rfc8693 --set issuer=https://id.corp.example/realms/ci --set client-id=regcred --set-file client-secret=secret.txt --set audience=registry --set username=oauth2",
			"registry.corp.example --set exchange=none --set issuer=https://id.corp.example/realms/ci --set client-id=regcred --set-file client-secret=secret.txt --set scope=registry --set username=oauth2",
		},
		Rate:   5,
		Burst:  20,
		Shared: true,
	}
}

// Check returns an Invalid error, naming the setting, where the settings cannot
// work.
func (p *Provider) Check(c regcred.Credential) error {
	_, err := p.parse(c)
	return err
}

// Uses names the settings that only an admin may set. There is one at least,
// unless a token of the credential's own is exchanged at quay.io for a login to
// quay.io.
func (p *Provider) Uses(c regcred.Credential) []string { return p.Describe().AdminFields(c) }

// Issuer returns who is asked last: the token service, or else the issuer.
func (*Provider) Issuer(c regcred.Credential) string {
	switch {
	case c.Settings[settingTokenURL] != "":
		return c.Settings[settingTokenURL]
	case c.Settings[settingExchange] == exchangeQuay:
		return quayHost(c)
	}
	return c.Settings[settingIssuer]
}

// Mint obtains the issuer's token and exchanges it. Errors: as
// regcred.Provider's.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	s, err := p.parse(c)
	if err != nil {
		return regcred.Login{}, err
	}
	transport := p.o.Transport
	if transport == nil {
		own := web.NewTransport(web.Options{RootCAs: s.roots})
		defer own.CloseIdleConnections()
		transport = own
	}
	asker := &client{web: web.New(web.Options{Transport: transport}), settings: s}
	password, err := asker.password(ctx)
	if err != nil {
		return regcred.Login{}, err
	}
	expires, err := password.expiry(s.lifetime)
	if err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{Username: s.username, Password: regcred.NewSecret(password.value), Hosts: s.hosts, ExpiresAt: expires}, nil
}

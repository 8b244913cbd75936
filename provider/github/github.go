// Package github is the provider of logins to GitHub's container registry, minted
// as installation tokens of a GitHub App.
package github

import (
	"cmp"
	"context"
	"net/http"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/setting"
)

// Name is the provider's name.
const Name = "github"

// Username is that of every login: GitHub looks at the password alone.
const Username = "x-access-token"

// Options configure a Provider. The zero Options are usable.
type Options struct {
	// Transport carries the requests to GitHub's API. Nil: one of its own, which
	// refuses link-local addresses.
	Transport http.RoundTripper
}

// Provider implements regcred.Provider.
type Provider struct {
	o Options
}

// New returns a Provider.
func New(o Options) *Provider { return &Provider{o: o} }

// Describe says what the provider is and which settings it takes.
//
// GitHub's limit on requests that create something, of which a token is one, is
// 80 a minute ("Rate limits for the REST API", secondary limits).
func (*Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name:   Name,
		Doc:    "Logins to GitHub's container registry that live for an hour, minted as installation tokens of a GitHub App.",
		Fields: fields(),
		Permissions: "A GitHub App with the repository permission Packages: Read-only (Read and write with push=true), installed at the account that owns the images. " +
			"A private image must be linked to a repository that the installation covers, and inherit its access. " +
			"Where GitHub denies a pull all the same, the image is open to users alone: use provider static with a personal access token (classic) of the scope read:packages.",
		Hosts: "ghcr.io. With a setting endpoint, the hosts that the setting host names alone.",
		Examples: []string{
			"--set app-id=123456 --set installation-id=7890123 --set-file private-key=app.pem",
			"--set app-id=Iv23liAbCdEfGhIjKlMn --set owner=acme --set repositories=app,tools --set-file private-key=app.pem",
			"--set app-id=12 --set owner=acme --set push=true --set endpoint=https://github.corp.example/api/v3 --set host=containers.github.corp.example --set-file private-key=app.pem",
			"--set app-id=123456 --set owner=acme --set endpoint=https://api.acme.ghe.com --set host=containers.acme.ghe.com --set-file private-key=app.pem",
		},
		Rate:   1,
		Burst:  10,
		Shared: true,
	}
}

// Check returns an Invalid error, naming the setting, where the settings cannot
// work, or where the location is at a host that they do not name.
func (p *Provider) Check(c regcred.Credential) error {
	_, err := p.parse(c)
	return err
}

// Uses names the settings that only an admin may set. The identity is always the
// credential's own.
func (p *Provider) Uses(c regcred.Credential) []string { return p.Describe().AdminFields(c) }

// Issuer returns the app and the API: GitHub's limits are each app's.
func (*Provider) Issuer(c regcred.Credential) string {
	return "app " + c.Settings[settingAppID] + " at " + cmp.Or(c.Settings[setting.Endpoint], defaultAPI)
}

// Mint obtains an installation token. It asks for the installation first where
// the settings name its owner alone. Errors: as regcred.Provider's.
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
	github := &client{web: web.New(web.Options{Transport: transport}), settings: s}
	installation, err := github.installation(ctx)
	if err != nil {
		return regcred.Login{}, err
	}
	token, expires, err := github.token(ctx, installation)
	if err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{Username: Username, Password: token, Hosts: s.hosts, ExpiresAt: expires}, nil
}

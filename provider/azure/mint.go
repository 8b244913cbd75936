package azure

import (
	"context"
	"crypto/x509"
	"os"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// The variables that Azure Workload Identity sets.
const (
	envTokenFile = "AZURE_FEDERATED_TOKEN_FILE"
	envTenant    = "AZURE_TENANT_ID"
	envClient    = "AZURE_CLIENT_ID"
)

// Mint obtains a login: a refresh token of the registry, or an access token where
// the setting "scope" limits it. Errors: as regcred.Provider has them.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	s, err := parse(c)
	if err != nil {
		return regcred.Login{}, err
	}
	if s, err = s.withServer(); err != nil {
		return regcred.Login{}, err
	}
	token := p.entraToken
	if s.kind == byManaged {
		token = p.managedToken
	}
	entra, err := token(ctx, s)
	if err != nil {
		return regcred.Login{}, err
	}
	client, done := p.client(s.registryRoots)
	defer done()
	l, err := exchange(ctx, client, s, entra)
	if err == nil && len(s.scopes) > 0 {
		l, err = limit(ctx, client, s, l.token)
	}
	if err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{Username: Username, Password: l.token, Hosts: []string{s.host}, ExpiresAt: l.expires}, nil
}

// withServer adds what of the server's own identity the credential uses.
func (s settings) withServer() (settings, error) {
	if s.kind == byServer {
		s.kind = byManaged
		if os.Getenv(envTokenFile) != "" {
			s.kind = byWorkload
		} else if s.client == "" {
			s.client = os.Getenv(envClient) // as in Azure's own libraries
		}
	}
	if s.kind != byWorkload {
		return s, nil
	}
	for _, v := range []struct {
		value     *string
		env, name string
	}{
		{&s.tokenFile, envTokenFile, settingTokenFile},
		{&s.tenant, envTenant, settingTenant},
		{&s.client, envClient, settingClient},
	} {
		if *v.value == "" {
			*v.value = os.Getenv(v.env)
		}
		if *v.value == "" {
			return s, regcred.Errorf(regcred.Invalid, "the server has no workload identity: its variable %s is not set, and neither is the setting %q", v.env, v.name)
		}
	}
	return s, nil
}

// client returns a client, which trusts roots where there are any, and what is to
// be called when it is no longer needed.
func (p *Provider) client(roots *x509.CertPool) (client *web.Client, done func()) {
	if roots == nil || p.given {
		return web.New(web.Options{Transport: p.internet}), func() {}
	}
	transport := web.NewTransport(web.Options{RootCAs: roots})
	return web.New(web.Options{Transport: transport}), transport.CloseIdleConnections
}

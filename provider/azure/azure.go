// Package azure is the provider of logins to Azure Container Registry: it proves
// an identity to Microsoft Entra ID, exchanges the access token that this gives at
// the registry, and hands out the registry's own token as a password.
//
// The exchange is that of the registry's documentation, "Azure Container Registry
// integration with Azure Active Directory" (AAD-OAuth.md in github.com/Azure/acr).
package azure

import (
	"net/http"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/setting"
)

// Name is the provider's name.
const Name = "azure"

// Username is the one of every login: it tells the registry that the password is a
// token of its own.
const Username = "00000000-0000-0000-0000-000000000000"

// Names of the settings.
const (
	settingTenant      = "tenant-id"
	settingClient      = "client-id"
	settingSecret      = "client-secret"
	settingCertificate = "client-certificate"
	settingTokenFile   = "federated-token-file"
	settingIdentity    = "identity"
	settingCloud       = "cloud"
	settingScope       = "scope"
	settingAudience    = "audience"
	settingLoginServer = "login-server"
)

// Options configure a Provider. The zero Options are usable.
type Options struct {
	// Transport carries all requests, those for managed identities too. Nil: one
	// that verifies TLS, and reaches link-local addresses for managed identities
	// alone.
	Transport http.RoundTripper
}

// Provider implements regcred.Provider.
type Provider struct {
	given    bool              // the transport is the caller's
	internet http.RoundTripper // to Entra ID and registries
	machine  http.RoundTripper // to what the machine has for its managed identity
}

// New returns a Provider.
func New(o Options) *Provider {
	if o.Transport != nil {
		return &Provider{given: true, internet: o.Transport, machine: o.Transport}
	}
	machine := web.NewTransport(web.Options{LocalAllowed: true})
	machine.Proxy = nil // a proxy would be another machine
	return &Provider{internet: web.NewTransport(web.Options{}), machine: machine}
}

// Describe says what the provider is.
func (*Provider) Describe() regcred.ProviderInfo { return describe() }

func describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name:   Name,
		Doc:    "Short-lived logins to Azure Container Registry, by a service principal, workload identity or managed identity.",
		Fields: fields(),
		Permissions: "The role AcrPull on the registry (AcrPush to push); in a registry whose role assignment mode is " +
			`"RBAC Registry + ABAC Repository Permissions" the role Container Registry Repository Reader (Writer to push) instead.`,
		Hosts: "The login server in the credential's location, NAME.azurecr.io, .azurecr.cn, .azurecr.us or .azurecr.de, or a host that an admin named. Data endpoints (NAME.REGION.data.azurecr.io) need no login.",
		Examples: []string{
			"acme.azurecr.io --set tenant-id=409520d4-8100-4d1d-ad47-72432ddcc120 --set client-id=7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11 --set-file client-secret=secret.txt",
			"acme.azurecr.io --set tenant-id=409520d4-8100-4d1d-ad47-72432ddcc120 --set client-id=7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11 --set-file client-secret=secret.txt --set scope=repository:acme/app:pull",
			"acme.azurecr.io --set identity=workload",
			"acme.azurecr.io --set identity=managed",
		},
		// Neither Entra ID nor the registry documents a limit for these requests; the
		// smallest registries serve 1,000 reads a minute, of which this takes a part.
		Rate:   5,
		Burst:  20,
		Shared: true,
	}
}

func fields() []regcred.Field {
	ca := setting.CAField()
	ca.Doc = `Certificates, in PEM form, of the authorities that the hosts in "endpoint" and "host" are verified by in place of the system's.`
	return []regcred.Field{
		{Name: settingTenant, Doc: "The Entra ID tenant of the identity, by its id or domain; needed with a client secret or certificate.", Example: "409520d4-8100-4d1d-ad47-72432ddcc120"},
		{Name: settingClient, Doc: "The application (client) id of the service principal or of a user-assigned managed identity.", Example: "7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11"},
		{Name: settingSecret, Doc: "The service principal's client secret: its value, not its id.", Secret: true},
		{Name: settingCertificate, Doc: "The service principal's certificate with its RSA private key, both in PEM form, or as a PFX file without a password in base64.", Example: "-----BEGIN PRIVATE KEY-----...", Secret: true},
		{Name: settingTokenFile, Doc: "A file on the server with the token that a federated identity credential trusts, read at each mint.", Example: "/var/run/secrets/azure/tokens/azure-identity-token", Admin: true},
		{Name: settingIdentity, Doc: "Whose identity is used: managed is the one of the machine; workload the one that Azure Workload Identity gave the server (AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID, AZURE_CLIENT_ID); default the one in the other settings, or else of these two the one that the server has.", Default: identityDefault, Example: identityManaged, Admin: true},
		{Name: settingCloud, Doc: "The cloud that the identity is in: public, china, government or germany; it follows from the registry's host where it is not set.", Example: "china"},
		{Name: settingScope, Doc: "What the login is limited to, as registry scopes separated by spaces or commas; it then is an access token that lives about 75 minutes, instead of a refresh token that lives about 3 hours. The registry documents both as passwords.", Example: "repository:acme/app:pull"},
		{Name: settingAudience, Doc: "The audience of the Entra ID token; for clouds that do not know the default it is that of their Azure Resource Manager.", Default: defaultAudience, Example: "https://management.azure.com"},
		{Name: settingLoginServer, Doc: "The registry's login server, where the location is a proxy in front of it.", Example: "acme.azurecr.io"},
		setting.HostField("registry.corp.example"),
		setting.EndpointField("Entra ID", "https://login.corp.example"),
		ca,
	}
}

// Check returns an Invalid error, naming the setting, where the settings cannot
// work.
func (*Provider) Check(c regcred.Credential) error {
	_, err := parse(c)
	return err
}

// Uses names the fields for admins, and the server's identity where the credential
// has none of its own.
func (*Provider) Uses(c regcred.Credential) []string {
	uses := describe().AdminFields(c)
	_, secret := c.Secrets[settingSecret]
	_, certificate := c.Secrets[settingCertificate]
	_, file := c.Settings[settingTokenFile]
	if !secret && !certificate && !file {
		uses = append(uses, "the server's own Azure identity")
	}
	return uses
}

// Issuer names the registry, and Entra ID where it is not the usual one.
func (*Provider) Issuer(c regcred.Credential) string {
	issuer := c.Location.Host()
	if server, ok := c.Settings[settingLoginServer]; ok {
		issuer = strings.ToLower(server)
	}
	if endpoint, ok := c.Settings[setting.Endpoint]; ok {
		issuer += " by " + endpoint
	}
	return issuer
}

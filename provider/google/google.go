// Package google is the provider of logins to Google's registries, Artifact
// Registry and Container Registry: an OAuth 2.0 access token as the password of
// the user oauth2accesstoken.
package google

import (
	"context"
	"net/http"

	"regcred.dev"
	"regcred.dev/provider/internal/setting"
)

// Name is the provider's name.
const Name = "google"

// Username is that of every login: the registries take it as a sign that the
// password is an access token.
const Username = "oauth2accesstoken"

// Scopes of the tokens. Artifact Registry's page "Deploying to Compute Engine"
// names the read-only scope of Cloud Storage for pulling, and it is what nodes of
// GKE pull with from both registries; for pushing to Artifact Registry that page
// names cloud-platform, of which the account's roles are then the limit.
const (
	scopePull  = "https://www.googleapis.com/auth/devstorage.read_only"
	scopeCloud = "https://www.googleapis.com/auth/cloud-platform"
)

// The settings that are this provider's alone.
const (
	settingKey         = "key"
	settingFile        = "credentials-file"
	settingFederation  = "federation"
	settingImpersonate = "impersonate"
	settingPush        = "push"
)

// Options configure a Provider. The zero Options are usable.
type Options struct {
	// Transport carries all requests, the metadata server's too. Nil: a transport of
	// its own for each mint, which verifies TLS by the system's authorities or the
	// setting "ca".
	Transport http.RoundTripper
}

// Provider implements regcred.Provider.
type Provider struct {
	o Options
}

// New returns a Provider.
func New(o Options) *Provider { return &Provider{o: o} }

// Describe says what the provider is and which settings it takes.
func (*Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name: Name,
		Doc:  "Access tokens for Google's Artifact Registry and Container Registry, of about an hour.",
		Fields: []regcred.Field{
			{
				Name:    settingKey,
				Doc:     "The key file of a service account, as JSON or as base64 of it.",
				Example: `{"type":"service_account",...}`,
				Secret:  true,
			},
			{
				Name:    settingFile,
				Doc:     "The path of a credentials file on the server, read at each mint: a service account's key, a configuration of workload identity federation, or what gcloud auth application-default login wrote (whose tokens may do all that the user granted, pushing too).",
				Example: "/etc/regcred/google.json",
				Admin:   true,
			},
			{
				Name:    settingFederation,
				Doc:     "A configuration of workload identity federation (type external_account), as JSON or as base64 of it, without secrets. It directs requests, and which files or programs of the server are read; programs run only where the server's environment has GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1.",
				Example: `{"type":"external_account",...}`,
				Admin:   true,
			},
			{
				Name:    settingImpersonate,
				Doc:     "The e-mail address of a service account to impersonate; of several, separated by commas, each may impersonate the next, and the last one's token it is.",
				Example: "puller@project.iam.gserviceaccount.com",
			},
			{
				Name:    settingPush,
				Doc:     "Whether the login may push as well: its token has the scope cloud-platform then, in place of devstorage.read_only.",
				Default: "false",
				Example: "true",
			},
			setting.EndpointField("Google's token endpoint, or of federation's token exchange", "https://oauth2.private.example.com/token"),
			setting.CAField(),
			setting.HostField("registry.example.com"),
		},
		Permissions: "The role roles/artifactregistry.reader on the repository (roles/artifactregistry.writer to push). To impersonate, roles/iam.serviceAccountTokenCreator on the service account, and the IAM Service Account Credentials API (iamcredentials.googleapis.com) enabled. On Google's machines, an access scope that includes devstorage.read_only (cloud-platform to push).",
		Hosts:       "gcr.io, us.gcr.io, eu.gcr.io, asia.gcr.io; LOCATION-docker.pkg.dev and docker.REGION.rep.pkg.dev: the one that the location names, and those of the setting host.",
		Examples: []string{
			"europe-docker.pkg.dev --set-file key=key.json",
			"gcr.io --set-file key=key.json --set push=true",
			"europe-docker.pkg.dev --set credentials-file=/etc/regcred/google.json",
			"us-docker.pkg.dev/project/repo --set impersonate=puller@project.iam.gserviceaccount.com",
		},
		// The scarcest documented quota is that of federation's token exchange: 6,000
		// requests a minute and project. Half of it.
		Rate:   50,
		Burst:  50,
		Shared: true,
	}
}

// Check returns an Invalid error, naming the setting, where the settings cannot
// work, or would send a request to where no admin directed it.
func (p *Provider) Check(c regcred.Credential) error {
	_, err := p.parse(c)
	return err
}

// Uses names the fields that only admins may set, and the server's own identity
// where the credential brings none.
func (p *Provider) Uses(c regcred.Credential) []string {
	uses := p.Describe().AdminFields(c)
	if ambient(c) {
		uses = append(uses, "the server's own Google identity")
	}
	return uses
}

// ambient reports whether a credential brings no identity.
func ambient(c regcred.Credential) bool {
	_, key := c.Secrets[settingKey]
	_, file := c.Settings[settingFile]
	_, federation := c.Settings[settingFederation]
	return !key && !file && !federation
}

// Issuer names the host of the token endpoint, and with federation where it gets
// the proof of identity, or the credentials file.
func (*Provider) Issuer(c regcred.Credential) string {
	issuer := "oauth2.googleapis.com"
	if u, err := setting.URL(c, setting.Endpoint); err == nil && u != nil {
		issuer = u.Host
	}
	if file, ok := c.Settings[settingFile]; ok {
		issuer += " for " + file
	}
	if text, ok := c.Settings[settingFederation]; ok {
		if d, err := readDocument("", text); err == nil {
			issuer += " for " + d.TokenURL + " " + d.CredentialSource.URL
		}
	}
	return issuer
}

// Mint obtains an access token. Errors: as regcred.Provider says.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	s, err := p.parse(c)
	if err != nil {
		return regcred.Login{}, err
	}
	client, closeIdle := p.client(s)
	defer closeIdle()
	id, err := s.identity(client)
	if err != nil {
		return regcred.Login{}, err
	}
	t, err := id.token(ctx, s.scopes())
	if err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{
		Username:    Username,
		Password:    t.secret,
		Hosts:       s.hosts,
		ExpiresAt:   t.expires,
		RenewableAt: t.renewable,
	}, nil
}

package amazon

import (
	"context"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"regcred.dev"
	"regcred.dev/provider/internal/file"
)

// Where says which of AWS's endpoints are asked. An endpoint that an admin named
// comes first.
type Where struct {
	// Region may be empty where the server's own configuration is read: that then
	// names it.
	Region    string
	FIPS      bool
	DualStack bool
}

// Direct sets where a client of the SDK asks: at url where an admin named one, to
// which FIPS and dual-stack would be a contradiction, and else as w says.
func (w Where) Direct(url string, base **string, fips *aws.FIPSEndpointState, dualStack *aws.DualStackEndpointState) {
	if url != "" {
		*base, *fips, *dualStack = &url, aws.FIPSEndpointStateDisabled, aws.DualStackEndpointStateDisabled
		return
	}
	if w.FIPS {
		*fips = aws.FIPSEndpointStateEnabled
	}
	if w.DualStack {
		*dualStack = aws.DualStackEndpointStateEnabled
	}
}

// Config is what the SDK's clients are made from, and in whose name they ask.
type Config struct {
	aws.Config

	// Who names the identity in the end, for errors.
	Who string
}

// Config finds out who asks: it obtains the identity's keys, and assumes the roles
// in turn.
//
// Errors: Invalid where no region is known, or a file or profile is missing; else
// as Client.Explain.
func (s Settings) Config(ctx context.Context, c *Client, w Where) (Config, error) {
	cfg, err := s.load(ctx, c, w)
	if err != nil {
		return Config{}, err
	}
	roles, who := s.roles, s.String()
	if s.tokenFile != "" {
		cfg.Credentials = s.webIdentity(cfg, w)
		roles, who = roles[1:], "the role "+roles[0]
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return Config{}, s.explainIdentity(ctx, c, err)
	}
	for _, role := range roles {
		cfg.Credentials = fixed(keys)
		if keys, err = s.assume(ctx, cfg, w, role); err != nil {
			return Config{}, c.explain(ctx, err, call{action: "sts:AssumeRole", who: who, role: role})
		}
		who = "the role " + role
	}
	cfg.Credentials = fixed(keys)
	return Config{Config: cfg, Who: who}, nil
}

// load makes the configuration. Only a credential that uses the server's own
// identity sees the server's environment and files.
func (s Settings) load(ctx context.Context, c *Client, w Where) (aws.Config, error) {
	if !s.Own() {
		return aws.Config{
			Region: w.Region, HTTPClient: c, Retryer: newRetryer, Logger: logging.Nop{},
			Credentials: credentials.NewStaticCredentialsProvider(s.accessKeyID, s.secretAccessKey.Reveal(), s.sessionToken.Reveal()),
		}, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(w.Region),
		config.WithSharedConfigProfile(s.profile),
		config.WithHTTPClient(c),
		config.WithRetryer(newRetryer),
		config.WithRetryMaxAttempts(newRetryer().MaxAttempts()),
		config.WithLogger(logging.Nop{}),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = c }),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) { o.Client = directed(s, o.Client) }),
		config.WithWebIdentityRoleCredentialOptions(func(o *stscreds.WebIdentityRoleOptions) {
			o.Client = directed(s, o.Client)
			if file, ok := o.TokenRetriever.(stscreds.IdentityTokenFile); ok {
				o.TokenRetriever = tokenFile(file)
			}
		}),
	)
	if err != nil {
		return aws.Config{}, s.explainIdentity(ctx, c, err)
	}
	if cfg.Region != "" {
		return cfg, nil
	}
	here, err := imds.NewFromConfig(cfg).GetRegion(ctx, nil)
	if err != nil || here.Region == "" {
		return aws.Config{}, regcred.Errorf(regcred.Invalid, "the AWS region is not known: set region=..., give the credential a location, or give the server AWS_REGION")
	}
	w.Region = here.Region
	return s.load(ctx, c, w)
}

// tokenFile is a file with a web identity token. The SDK's own does not say why it
// cannot be read, and reads anything to its end.
type tokenFile string

// maxTokenFile is what AWS takes as a web identity token, in bytes (API reference of
// STS, AssumeRoleWithWebIdentity), with a line break.
const maxTokenFile = 20000 + 2

// GetIdentityToken implements stscreds.IdentityTokenRetriever.
func (f tokenFile) GetIdentityToken() ([]byte, error) {
	text, err := file.Read(string(f), maxTokenFile)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: string(f), Err: err}
	}
	return []byte(text), nil
}

// webIdentity assumes the first role by a token that the server's platform signed,
// such as a Kubernetes service account's.
func (s Settings) webIdentity(cfg aws.Config, w Where) aws.CredentialsProvider {
	return stscreds.NewWebIdentityRoleProvider(s.sts(cfg, w), s.roles[0], tokenFile(s.tokenFile),
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = s.sessionName })
}

// assume returns the keys of a role.
func (s Settings) assume(ctx context.Context, cfg aws.Config, w Where, role string) (aws.Credentials, error) {
	p := stscreds.NewAssumeRoleProvider(s.sts(cfg, w), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = s.sessionName
		if s.externalID != "" {
			o.ExternalID = &s.externalID
		}
	})
	return p.Retrieve(ctx)
}

// sts returns a client of the Security Token Service.
func (s Settings) sts(cfg aws.Config, w Where) *sts.Client {
	return sts.NewFromConfig(cfg, func(o *sts.Options) { s.direct(o, w) })
}

func (s Settings) direct(o *sts.Options, w Where) {
	w.Direct(s.STSEndpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint)
}

// directed turns a client that the SDK's default chain made to the STS endpoint of
// the settings.
func directed[Client any](s Settings, client Client) Client {
	made, ok := any(client).(*sts.Client)
	if !ok || s.STSEndpoint == "" {
		return client
	}
	return any(sts.New(made.Options(), func(o *sts.Options) { s.direct(o, Where{}) })).(Client)
}

// fixed provides keys as they are: one mint is shorter than they live.
func fixed(keys aws.Credentials) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
}

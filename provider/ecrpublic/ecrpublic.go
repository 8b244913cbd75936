// Package ecrpublic is the provider of logins to Amazon ECR Public: without one,
// pulls from there are few and slow, and pushes impossible. It asks the API of
// us-east-1, the one region that has it, for an authorization token, which lives 12
// hours.
package ecrpublic

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"regcred.dev"
	"regcred.dev/provider/internal/amazon"
	"regcred.dev/provider/internal/setting"
)

// Name is the provider's name.
const Name = "ecrpublic"

// region is the one that serves GetAuthorizationToken.
const region = "us-east-1"

// permission is what a mint needs. The second action is checked behind the first:
// the token is a bearer token of AWS's Security Token Service.
const permission = "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken"

// AWS's quota on GetAuthorizationToken of ECR Public is 500 a second by account; its
// API has no region to spread to, and others of the account ask too.
const (
	rate  = 10
	burst = 50
)

// hosts are the registry's names: the second is reached over IPv6 too, and needs a
// key of its own in a docker config.
var hosts = []string{"public.ecr.aws", "ecr-public.aws.com"}

// Options configure a Provider. The zero Options are usable.
type Options struct {
	// Transport carries all requests. Nil: one of each mint's own, which verifies by
	// the setting "ca".
	Transport http.RoundTripper
}

// Provider implements regcred.Provider. It may be used concurrently.
type Provider struct {
	transport http.RoundTripper
}

// New returns a Provider.
func New(o Options) *Provider { return &Provider{transport: o.Transport} }

// Describe says what the provider is and which settings it takes.
func (*Provider) Describe() regcred.ProviderInfo {
	fields := append(amazon.IdentityFields(), amazon.EndpointFields("the ECR Public API", "https://ecr-public.corp.example")...)
	return regcred.ProviderInfo{
		Name:        Name,
		Doc:         "Logins to Amazon ECR Public, for 12 hours each.",
		Fields:      append(fields, setting.HostField("registry.corp.example")),
		Permissions: "The IAM actions " + permission + ", on all resources (*).",
		Hosts:       strings.Join(hosts, ", ") + ".",
		Examples: []string{
			"--set access-key-id=AKIAIOSFODNN7EXAMPLE --set-file secret-access-key=key.txt",
			"--set role-arn=arn:aws:iam::123456789012:role/ecr-public",
		},
		Rate:   rate,
		Burst:  burst,
		Shared: true,
	}
}

// Check returns an Invalid error, naming the setting, where the settings cannot
// work.
func (p *Provider) Check(c regcred.Credential) error {
	_, err := parse(p.Describe(), c)
	return err
}

func parse(info regcred.ProviderInfo, c regcred.Credential) (amazon.Settings, error) {
	s, err := amazon.Parse(info, c)
	if err != nil || c.Location.IsZero() {
		return s, err
	}
	if host := c.Location.Host(); !slices.Contains(hosts, host) && !slices.Contains(s.Hosts, host) {
		return amazon.Settings{}, regcred.Errorf(regcred.Invalid, "%s is not ECR Public (%s): where it is a proxy in front of it, an admin names it with --set %s=%s", host, hosts[0], setting.Host, host)
	}
	return s, nil
}

// Uses names the settings of admins, and the server's own AWS identity where the
// credential has none.
func (p *Provider) Uses(c regcred.Credential) []string { return amazon.Uses(p.Describe(), c) }

// Issuer names the account, as far as it is known, and the endpoint, by which AWS's
// quota counts.
func (*Provider) Issuer(c regcred.Credential) string {
	return strings.TrimSpace(Name + " for " + amazon.Issuer(c) + " " + c.Settings[setting.Endpoint])
}

// Mint asks the ECR Public API for a login. Without a location its first host is
// public.ecr.aws.
//
// Errors: as regcred.Provider's.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	s, err := parse(p.Describe(), c)
	if err != nil {
		return regcred.Login{}, err
	}
	client := s.NewClient(p.transport)
	defer client.Close()
	where := amazon.Where{Region: region}
	cfg, err := s.Config(ctx, client, where)
	if err != nil {
		return regcred.Login{}, err
	}
	api := ecrpublic.NewFromConfig(cfg.Config, func(o *ecrpublic.Options) {
		where.Direct(s.Endpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint)
	})
	out, err := api.GetAuthorizationToken(ctx, nil)
	if err != nil {
		return regcred.Login{}, client.Explain(ctx, err, permission, cfg.Who)
	}
	var token amazon.Token
	if data := out.AuthorizationData; data != nil {
		token = amazon.Token{Value: data.AuthorizationToken, ExpiresAt: data.ExpiresAt}
	}
	l, err := token.Login(time.Now(), client.Skew())
	if err != nil {
		return regcred.Login{}, err
	}
	l.Hosts = amazon.UniqueHosts([]string{c.Location.Host()}, hosts, s.Hosts)
	return l, nil
}

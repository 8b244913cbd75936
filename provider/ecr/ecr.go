// Package ecr is the provider of logins to private registries of Amazon ECR, in
// every partition of AWS: it asks the ECR API for an authorization token, which
// lives 12 hours and is good for every registry of the region that the identity may
// use.
package ecr

import (
	"net/http"
	"strings"

	"regcred.dev"
	"regcred.dev/provider/internal/amazon"
	"regcred.dev/provider/internal/setting"
)

// Name is the provider's name.
const Name = "ecr"

// permission is the IAM action that a mint needs.
const permission = "ecr:GetAuthorizationToken"

// AWS's quota on GetAuthorizationToken counts by account and region: 500 a second
// in the service quotas, 20 with bursts of 200 in older documents. These are half
// and a quarter of the lower ones: others of the account ask too.
const (
	rate  = 10
	burst = 50
)

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
	fields := []regcred.Field{
		{
			Name:    settingRegion,
			Doc:     "The AWS region; the location's where that is a host of ECR, or else what the server's AWS configuration says.",
			Example: "us-east-1",
		},
		{
			Name:    settingRegistryIDs,
			Doc:     "Accounts whose registries the login is used at, besides the location's, separated by commas; AWS is told them (registryIds).",
			Example: "123456789012,210987654321",
		},
	}
	fields = append(fields, amazon.IdentityFields()...)
	fields = append(fields,
		regcred.Field{
			Name:    settingFIPS,
			Doc:     "Whether AWS is asked, and the registry named, by its FIPS 140 endpoints: true or false; as the location has it where it is not set.",
			Example: "true",
		},
		regcred.Field{
			Name:    settingDualStack,
			Doc:     "Whether AWS is asked, and the registry named, by its endpoints with IPv6: true or false; as the location has it where it is not set.",
			Example: "true",
		})
	fields = append(fields, amazon.EndpointFields("the ECR API", "https://vpce-0a1b2c3d-4e5f.api.ecr.us-east-1.vpce.amazonaws.com")...)
	fields = append(fields, setting.HostField("registry.corp.example"))
	return regcred.ProviderInfo{
		Name:   Name,
		Doc:    "Logins to private registries of Amazon ECR, for 12 hours each.",
		Fields: fields,
		Permissions: "The IAM action " + permission + " on all resources (*). To pull, ecr:BatchCheckLayerAvailability, ecr:GetDownloadUrlForLayer and " +
			"ecr:BatchGetImage on the repositories. To assume a role, sts:AssumeRole on it, and a trust policy of the role that names who assumes it.",
		Hosts: "ACCOUNT.dkr.ecr.REGION.amazonaws.com, its FIPS and dual-stack (ACCOUNT.dkr-ecr.REGION.on.aws) forms, and those of the other partitions, such as China's.",
		Examples: []string{
			"--set region=us-east-1",
			"123456789012.dkr.ecr.us-east-1.amazonaws.com --set access-key-id=AKIAIOSFODNN7EXAMPLE --set-file secret-access-key=key.txt",
			"--set region=eu-central-1 --set role-arn=arn:aws:iam::123456789012:role/ecr-pull --set external-id=acme-7f3a",
			"--set region=us-gov-west-1 --set fips=true --set registry-ids=123456789012,210987654321",
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

// Uses names the settings of admins, and the server's own AWS identity where the
// credential has none.
func (p *Provider) Uses(c regcred.Credential) []string { return amazon.Uses(p.Describe(), c) }

// Issuer names the account, as far as it is known, the region and the endpoint, by
// which AWS's quota counts.
func (*Provider) Issuer(c regcred.Credential) string {
	region := c.Settings[settingRegion]
	if h, ok := parseHost(c.Location.Host()); ok {
		region = h.region
	}
	if region == "" {
		region = "its own region"
	}
	return strings.TrimSpace(Name + " for " + amazon.Issuer(c) + " in " + region + " " + c.Settings[setting.Endpoint])
}

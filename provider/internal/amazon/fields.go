// Package amazon is what the providers of Amazon's registries have in common: the
// settings that say who asks AWS, and where; the HTTP client; the authorization
// token; and errors of AWS in words.
package amazon

import (
	"regcred.dev"
	"regcred.dev/provider/internal/setting"
)

// The settings, besides setting.Host, setting.Endpoint and setting.CA.
const (
	AccessKeyID      = "access-key-id"
	SecretAccessKey  = "secret-access-key"
	SessionToken     = "session-token"
	Profile          = "profile"
	WebIdentityToken = "web-identity-token-file"
	RoleARN          = "role-arn"
	ExternalID       = "external-id"
	SessionName      = "role-session-name"
	STSEndpoint      = "sts-endpoint"
)

// DefaultSessionName is how AWS's logs name who assumed a role, where the
// credential does not say.
const DefaultSessionName = "regcred"

// Ambient is what a credential without keys, profile and web identity token uses of
// the server, as regcred.Provider.Uses says it.
const Ambient = "the server's own AWS identity"

// IdentityFields say who asks AWS.
func IdentityFields() []regcred.Field {
	return []regcred.Field{
		{
			Name:    AccessKeyID,
			Doc:     "The id of an access key; without one, a profile or a web identity token, the server's own AWS identity is used.",
			Example: "AKIAIOSFODNN7EXAMPLE",
		},
		{
			Name:    SecretAccessKey,
			Doc:     "The secret that goes with the access key id.",
			Example: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
			Secret:  true,
		},
		{
			Name:    SessionToken,
			Doc:     "The session token of a temporary access key.",
			Example: "IQoJb3JpZ2luX2VjE...",
			Secret:  true,
		},
		{
			Name:    Profile,
			Doc:     "A profile of the server's own AWS configuration files.",
			Example: "registry",
			Admin:   true,
		},
		{
			Name:    WebIdentityToken,
			Doc:     "A file on the server with a web identity token, by which the first role of role-arn is assumed.",
			Example: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
			Admin:   true,
		},
		{
			Name:    RoleARN,
			Doc:     "The role to assume; of several, separated by commas, each is assumed by the one before it.",
			Example: "arn:aws:iam::123456789012:role/ecr-pull",
		},
		{
			Name:    ExternalID,
			Doc:     "The external id that the trust policies of the roles ask for.",
			Example: "acme-7f3a",
		},
		{
			Name:    SessionName,
			Doc:     "How AWS's logs name the session of an assumed role.",
			Default: DefaultSessionName,
			Example: "regcred-production",
		},
	}
}

// EndpointFields let an admin name where AWS is asked. api is the registry's API,
// as in "the ECR API".
func EndpointFields(api, example string) []regcred.Field {
	return []regcred.Field{
		setting.EndpointField(api, example),
		{
			Name:    STSEndpoint,
			Doc:     "The URL of the Security Token Service (STS), in place of the usual one.",
			Example: "https://vpce-0a1b2c3d-4e5f.sts.us-east-1.vpce.amazonaws.com",
			Admin:   true,
		},
		setting.CAField(),
	}
}

// Uses says what of the server a credential uses or directs (regcred.Provider.Uses).
func Uses(info regcred.ProviderInfo, c regcred.Credential) []string {
	uses := info.AdminFields(c)
	if c.Settings[AccessKeyID] == "" && c.Settings[Profile] == "" && c.Settings[WebIdentityToken] == "" {
		uses = append(uses, Ambient)
	}
	return uses
}

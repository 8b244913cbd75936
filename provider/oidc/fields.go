package oidc

import (
	"slices"

	"regcred.dev"
	"regcred.dev/provider/internal/setting"
)

func fields() []regcred.Field {
	return slices.Concat(subjectFields(), exchangeFields())
}

// subjectFields are those of the token that is exchanged.
func subjectFields() []regcred.Field {
	return []regcred.Field{
		{
			Name:    settingToken,
			Doc:     "The token to exchange; one of this, token-file and issuer is needed.",
			Example: "eyJhbGciOi...",
			Secret:  true,
		},
		{
			Name:    settingTokenFile,
			Doc:     "A file on the server with the token to exchange, such as a projected token of a Kubernetes service account; it is read at each mint.",
			Example: "/var/run/secrets/tokens/registry",
			Admin:   true,
		},
		{
			Name:    settingIssuer,
			Doc:     "The URL of an OpenID Connect issuer that gives the token to exchange for client-id and client-secret, by the grant client_credentials.",
			Example: "https://id.corp.example/realms/ci",
			Admin:   true,
		},
		{
			Name:    settingClientID,
			Doc:     "The OAuth client that asks the issuer, or where none is set the token service.",
			Example: "regcred",
		},
		{
			Name:    settingClientSecret,
			Doc:     "The secret of that client.",
			Example: "kZ8...",
			Secret:  true,
		},
	}
}

// exchangeFields are those of what the token is exchanged for.
func exchangeFields() []regcred.Field {
	return []regcred.Field{
		{
			Name:    settingExchange,
			Doc:     "How the token becomes the password: rfc8693 (OAuth 2.0 Token Exchange), quay (the federation of Quay's robot accounts) or none (it is the password).",
			Default: exchangeRFC8693,
			Example: exchangeQuay,
		},
		{
			Name:     settingUsername,
			Doc:      "The user name of the logins: whatever the registry wants beside its tokens; for Quay the robot account.",
			Example:  "acme+puller",
			Required: true,
		},
		{
			Name:    settingTokenURL,
			Doc:     "The URL of the token service; without it, the token endpoint of the issuer, or for Quay " + quayPath + " at the location's host.",
			Example: "https://sts.corp.example/token",
			Admin:   true,
		},
		{
			Name:    settingAudience,
			Doc:     "The audience that the token service, or with exchange other than rfc8693 the issuer, is asked for.",
			Example: "registry",
		},
		{
			Name:    settingResource,
			Doc:     "The URI of the resource that the token service is asked for (RFC 8693, section 2.1).",
			Example: "https://registry.corp.example",
		},
		{
			Name:    settingScope,
			Doc:     "The scopes, separated by spaces, that the token service, or with exchange other than rfc8693 the issuer, is asked for.",
			Example: "repository:pull",
		},
		{
			Name:    settingSubjectType,
			Doc:     "The type of the token that is exchanged: jwt, access_token, id_token or a whole URN (RFC 8693, section 3).",
			Default: "jwt",
			Example: "access_token",
		},
		{
			Name:    settingRequestedType,
			Doc:     "The type of the token that the token service is asked for, in the same form; without it, the service chooses.",
			Example: "access_token",
		},
		{
			Name:    settingLifetime,
			Doc:     "How long the logins live from when they are asked for, where neither the answer nor the token in it says.",
			Example: "1h",
		},
		setting.CAField(),
		setting.HostField("quay.corp.example"),
	}
}

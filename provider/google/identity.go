package google

import (
	"context"
	"net/url"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// An identity obtains access tokens: serviceAccount, user, federated, metadata,
// and impersonated on top of one of them.
type identity interface {
	// token asks for an access token with the scopes. Errors: as regcred.Provider.Mint.
	token(ctx context.Context, scopes []string) (token, error)
}

// token is an access token.
type token struct {
	secret regcred.Secret
	// expires is by this machine's clock.
	expires time.Time
	// renewable is from when on the issuer gives another one; zero: at any time.
	renewable time.Time
}

// identity returns the identity of a document that check accepted. endpoint takes
// the place of its token endpoint where it is not nil.
func (d *document) identity(client *web.Client, endpoint *url.URL) identity {
	at := func(usual string) string {
		if endpoint != nil {
			return endpoint.String()
		}
		return usual
	}
	switch d.Type {
	case typeUser:
		return user{client: client, doc: d, url: at(tokenURIs[0])}
	case typeExternalAccount:
		id := federated{client: client, doc: d, url: at(d.TokenURL)}
		if d.ImpersonationURL == "" {
			return id
		}
		return impersonated{client: client, source: id, url: d.ImpersonationURL, lifetime: time.Duration(d.Impersonation.Seconds) * time.Second}
	case typeImpersonated:
		return impersonated{client: client, source: d.Source.identity(client, endpoint), url: d.ImpersonationURL, delegates: d.Delegates}
	}
	return serviceAccount{client: client, doc: d, url: at(d.TokenURI)}
}

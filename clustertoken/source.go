package clustertoken

import (
	"net/http"
	"net/url"
	"os"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/jwks"
	"regcred.dev/internal/web"
)

// OIDCOptions say who issues tokens and where its keys are.
type OIDCOptions struct {
	// Issuer is the claim "iss" of its tokens, exactly: an https URL.
	Issuer string
	// Audience is what the claim "aud" must name.
	Audience string
	// JWKSURL is where its keys are (RFC 7517); "": where its discovery document says.
	JWKSURL string
	// TokenFile holds a bearer token for the issuer, "" for none: an API server wants
	// one unless system:service-account-issuer-discovery is bound to everybody. It is
	// read for each request, as it is replaced from time to time, and sent to the hosts
	// of Issuer and JWKSURL alone.
	TokenFile string
	// Client asks the issuer.
	Client *web.Client
}

// issuer returns who is asked for the keys.
func (o OIDCOptions) issuer() jwks.Issuer {
	trusted := map[string]bool{} // hosts that the bearer token is for
	for _, raw := range []string{o.Issuer, o.JWKSURL} {
		if u, err := url.Parse(raw); err == nil && raw != "" {
			trusted[u.Host] = true
		}
	}
	return jwks.Issuer{URL: o.Issuer, JWKSURL: o.JWKSURL, Client: o.Client, Authorize: func(req *http.Request) error {
		if o.TokenFile == "" || !trusted[req.URL.Host] {
			return nil
		}
		token, err := os.ReadFile(o.TokenFile)
		if err != nil {
			return regcred.Errorf(regcred.Unavailable, "the bearer token for %s cannot be read: %w", req.URL.Host, err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		return nil
	}}
}

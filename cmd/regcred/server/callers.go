package server

import (
	"context"
	"time"

	"regcred.dev"
	"regcred.dev/cloudfoundry"
	"regcred.dev/config"
	"regcred.dev/internal/web"
	"regcred.dev/oidctoken"
	"regcred.dev/token"
)

// callers are whose tokens the API takes besides its own.
type callers struct {
	issuers    oidctoken.Issuers
	foundation *cloudfoundry.Foundation // nil: none
}

// newCallers returns whose tokens the configuration wants to be taken. Nobody is asked
// yet.
func newCallers(cfg config.Config) (callers, error) {
	var c callers
	for _, o := range cfg.OIDC {
		issuer, err := oidctoken.New(oidctoken.Options{
			Issuer: o.Issuer, Audience: o.Audience, JWKSURL: o.JWKSURL, UsernameClaim: o.UsernameClaim, Roles: o.Roles,
			Client: web.New(web.Options{RootCAs: o.RootCAs}),
		})
		if err != nil {
			return c, regcred.Errorf(regcred.CodeOf(err), "%s: oidc: %w", o.Where, err)
		}
		c.issuers = append(c.issuers, issuer)
	}
	if cf := cfg.CloudFoundry; cf != nil {
		var err error
		if c.foundation, err = cloudfoundry.New(cloudfoundry.Options{API: cf.API, RootCAs: cf.RootCAs, SkipTLSVerify: cf.SkipTLSVerify}); err != nil {
			return c, regcred.Errorf(regcred.CodeOf(err), "cloudfoundry: %w", err)
		}
	}
	return c, nil
}

// authenticate returns the caller that a bearer token stands for: an API token, one of
// an issuer that is known, or one of Cloud Foundry's.
func (s *Server) authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	switch {
	case token.IsAPIToken(raw):
	case s.callers.issuers.Knows(raw):
		return s.callers.issuers.Authenticate(ctx, now, raw)
	case s.callers.foundation != nil:
		return s.callers.foundation.Authenticate(ctx, now, raw)
	}
	return s.tokens.Authenticate(ctx, now, raw)
}

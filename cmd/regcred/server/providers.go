package server

import (
	"regcred.dev"
	"regcred.dev/provider/azure"
	"regcred.dev/provider/ecr"
	"regcred.dev/provider/ecrpublic"
	"regcred.dev/provider/exec"
	"regcred.dev/provider/github"
	"regcred.dev/provider/google"
	"regcred.dev/provider/oidc"
	regcredprovider "regcred.dev/provider/regcred"
	"regcred.dev/provider/static"
)

// providers are all that mint logins by themselves. host is that of the server's own registry.
func (s *Server) providers(host string) []regcred.Provider {
	return []regcred.Provider{
		static.New(),
		ecr.New(ecr.Options{}),
		ecrpublic.New(ecrpublic.Options{}),
		google.New(google.Options{}),
		azure.New(azure.Options{}),
		github.New(github.Options{}),
		oidc.New(oidc.Options{}),
		exec.New(exec.Options{}),
		regcredprovider.New(regcredprovider.Options{
			Signer: s.tokens, Host: host,
			Lifetime: s.cfg.Registry.LoginLifetime, MaxLifetime: s.cfg.Registry.LoginLifetime,
		}),
	}
}

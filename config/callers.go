package config

import (
	"crypto/x509"
	"slices"

	"regcred.dev"
	"regcred.dev/oidctoken"
)

// CloudFoundry is the one whose users may call, with the roles that they hold there.
type CloudFoundry struct {
	// API is the URL of its Cloud Controller.
	API string
	// RootCAs verify it and its UAA in place of the system's authorities.
	RootCAs *x509.CertPool
	// SkipTLSVerify trusts any certificate.
	SkipTLSVerify bool
}

// OIDC is an OpenID Connect issuer whose tokens callers may have.
type OIDC struct {
	// Where is the file and line where it stands.
	Where string
	// Issuer, Audience, JWKSURL, UsernameClaim and Roles are those of oidctoken.Options.
	Issuer, Audience, JWKSURL, UsernameClaim string
	Roles                                    []oidctoken.Rule
	// RootCAs verify it in place of the system's authorities.
	RootCAs *x509.CertPool
}

type fileCloudFoundry struct {
	API           text `yaml:"api"`
	CA            text `yaml:"ca"`
	SkipTLSVerify bool `yaml:"skip_tls_verify"`
}

type fileOIDC struct {
	Issuer        text           `yaml:"issuer"`
	Audience      text           `yaml:"audience"`
	JWKSURL       text           `yaml:"jwks_url"`
	UsernameClaim text           `yaml:"username_claim"`
	CA            text           `yaml:"ca"`
	Roles         []fileOIDCRole `yaml:"roles"`
}

type fileOIDCRole struct {
	Claim        text `yaml:"claim"`
	Value        text `yaml:"value"`
	Pattern      text `yaml:"pattern"`
	Role         text `yaml:"role"`
	Organization text `yaml:"organization"`
	Space        text `yaml:"space"`
}

func (f *fileCloudFoundry) cloudFoundry(p *parser) *CloudFoundry {
	if f == nil {
		return nil
	}
	c := &CloudFoundry{API: p.httpURL("cloudfoundry.api", f.API), SkipTLSVerify: f.SkipTLSVerify}
	if f.API.value == "" {
		p.problem(max(f.CA.line, 1), "cloudfoundry: write the URL of its API, as `cf api` takes it")
	}
	if f.CA.value != "" {
		c.RootCAs = p.pool("cloudfoundry.ca", f.CA)
		if f.SkipTLSVerify {
			p.problem(f.CA.line, "cloudfoundry: with skip_tls_verify nothing is verified: leave out one of the two")
		}
	}
	return c
}

// oidcIssuers reads the list of issuers, each of which is there once: a token is tried
// with the first that it names.
func oidcIssuers(p *parser, list []fileOIDC) []OIDC {
	var out []OIDC
	for _, f := range list {
		o := f.oidc(p)
		if o.Issuer != "" && slices.ContainsFunc(out, func(other OIDC) bool { return other.Issuer == o.Issuer }) {
			p.problem(f.Issuer.line, "oidc: %s is there already: an issuer has one audience and one list of roles", o.Issuer)
		}
		out = append(out, o)
	}
	return out
}

func (f fileOIDC) oidc(p *parser) OIDC {
	line := max(f.Issuer.line, f.Audience.line, 1)
	o := OIDC{
		Where: p.at(line), Issuer: f.Issuer.value, Audience: f.Audience.value,
		JWKSURL: f.JWKSURL.value, UsernameClaim: f.UsernameClaim.value,
	}
	if o.Issuer == "" || o.Audience == "" {
		p.problem(line, "oidc: an issuer needs its URL (issuer), and the audience that its tokens for regcred have")
	}
	if len(f.Roles) == 0 {
		p.problem(line, "oidc: without roles nobody of this issuer may do anything: map claims to roles")
	}
	for _, r := range f.Roles {
		o.Roles = append(o.Roles, oidctoken.Rule{
			Claim: r.Claim.value, Value: r.Value.value, Pattern: r.Pattern.value,
			Role: regcred.Role(r.Role.value), Organization: r.Organization.value, Space: r.Space.value,
		})
	}
	if f.CA.value != "" {
		o.RootCAs = p.pool("oidc.ca", f.CA)
	}
	return o
}

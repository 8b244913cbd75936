// Package oidctoken says which caller a token of an OpenID Connect issuer stands for:
// an identity provider of people, or the one of a CI system. Rules of the operator map
// claims to roles.
//
// Whom no rule gives a role is denied, and does not even read what serves everybody:
// some issuers give anybody in the world a token, for any audience.
package oidctoken

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev"
	"regcred.dev/internal/jwks"
	"regcred.dev/internal/web"
)

// algorithms are those that issuers may sign with (RFC 7518, section 3.1; RFC 8037).
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// maxName bounds what is shown of a caller's name, in bytes.
const maxName = 200

// Options say whose tokens are accepted, and what they give. All but JWKSURL and
// UsernameClaim are required.
type Options struct {
	// Issuer is the claim "iss" of its tokens, exactly: an https URL, below which its
	// discovery document is.
	Issuer string
	// Audience is what the claim "aud" must name: a value that is used for regcred alone.
	Audience string
	// JWKSURL is where its keys are; "": where its discovery document says.
	JWKSURL string
	// UsernameClaim is the claim that names the caller in logs and the audit. It decides
	// nothing. Default: "sub".
	UsernameClaim string
	// Roles map claims to roles. A caller has those of all rules that match.
	Roles []Rule
	// Client asks the issuer.
	Client *web.Client
}

// Issuer verifies the tokens of one issuer. It may be used concurrently.
type Issuer struct {
	o     Options
	rules []rule
	keys  *jwks.Set
}

// New returns an Issuer. It asks nobody before the first token. Errors: Invalid, naming
// the option.
func New(o Options) (*Issuer, error) {
	o.UsernameClaim = cmp.Or(o.UsernameClaim, "sub")
	for _, option := range [][2]string{{"issuer", o.Issuer}, {"jwks_url", cmp.Or(o.JWKSURL, o.Issuer)}} {
		if u, err := url.Parse(option[1]); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			return nil, regcred.Errorf(regcred.Invalid, "%s is %q, which is no https URL", option[0], option[1])
		}
	}
	if o.Audience == "" {
		return nil, regcred.Errorf(regcred.Invalid, "audience is missing: without one, a token that is meant for any other service would be accepted")
	}
	if len(o.Roles) == 0 {
		return nil, regcred.Errorf(regcred.Invalid, "roles is empty: nobody would be let in")
	}
	i := &Issuer{o: o, keys: jwks.New(jwks.Issuer{URL: o.Issuer, JWKSURL: o.JWKSURL, Client: o.Client}.Keys)}
	for n, r := range o.Roles {
		compiled, err := r.compile()
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "roles[%d]: %w", n, err)
		}
		i.rules = append(i.rules, compiled)
	}
	return i, nil
}

// Issuers are all whose tokens are accepted, each with an Options.Issuer of its own.
type Issuers []*Issuer

// Knows reports whether a token says that one of them has issued it. Nothing is
// verified.
func (all Issuers) Knows(raw string) bool { return all.of(raw) != nil }

// Authenticate returns the caller that a token stands for.
//
// Errors: Unauthenticated where it is not valid at now, or of no issuer that is known;
// Denied where no rule gives it a role; Unavailable where its issuer cannot be asked for
// keys.
func (all Issuers) Authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	if i := all.of(raw); i != nil {
		return i.Authenticate(ctx, now, raw)
	}
	return regcred.Caller{}, jwks.Refused("its issuer is none that is trusted here: regcred.yaml names them under oidc")
}

func (all Issuers) of(raw string) *Issuer {
	if len(all) == 0 {
		return nil // to read a token takes a tenth of what a request costs
	}
	claimed, ok := jwks.ClaimedIssuer(raw)
	for _, i := range all {
		if ok && i.o.Issuer == claimed {
			return i
		}
	}
	return nil
}

// Authenticate returns the caller that a token stands for. Errors: as
// Issuers.Authenticate.
func (i *Issuer) Authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	var c jwt.Claims
	var all map[string]any
	if err := i.keys.Open(ctx, now, raw, algorithms, &c, &all); err != nil {
		return regcred.Caller{}, err
	}
	switch {
	case c.Issuer != i.o.Issuer:
		return regcred.Caller{}, jwks.Refused("another issuer's name is in it")
	case !c.Audience.Contains(i.o.Audience):
		return regcred.Caller{}, jwks.Refused("it is for another audience than the one in regcred.yaml")
	case jwks.Untimely(now, c) != "":
		return regcred.Caller{}, jwks.Refused("%s", jwks.Untimely(now, c))
	case c.Subject == "":
		return regcred.Caller{}, jwks.Refused("it is nobody's: it has no subject")
	}
	return i.caller(c.Subject, all)
}

// caller returns whom the claims are of. Errors: Denied.
func (i *Issuer) caller(subject string, claims map[string]any) (regcred.Caller, error) {
	host, _ := url.Parse(i.o.Issuer)
	name, _ := claims[i.o.UsernameClaim].(string)
	caller := regcred.Caller{
		Name: fmt.Sprintf("%s (%s)", shown(cmp.Or(name, subject)), host.Host),
		Role: regcred.RoleUser, Scope: regcred.Foundation,
	}
	var held regcred.Memberships
	for _, r := range i.rules {
		held = append(held, r.memberships(claims[r.Claim])...)
	}
	holds := func(role regcred.Role) bool {
		return slices.Contains(held, regcred.Membership{Role: role, Scope: regcred.Foundation})
	}
	switch {
	case len(held) == 0:
		return regcred.Caller{}, regcred.Errorf(regcred.Denied, "you are not authorized to perform the requested action: no rule under oidc in regcred.yaml gives %s a role", caller.Name)
	case holds(regcred.RoleAdmin):
		caller.Role = regcred.RoleAdmin
		return caller, nil
	case holds(regcred.RoleAuditor):
		caller.Role = regcred.RoleAuditor
	}
	caller.Members = held
	return caller, nil
}

// shown returns a name as logs may have it.
func shown(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name)
}

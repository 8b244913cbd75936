package registry

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// TokenPath is where clients get Bearer tokens.
const TokenPath = "/regcred/v1/registry/token"

// maxAccessLifetime is the longest life of a Bearer token; a pull whose requests
// go on for longer gets another one.
const maxAccessLifetime = 5 * time.Minute

// maxScopes bounds the repositories that one Bearer token is for.
const maxScopes = 64

// realm returns the URL of the token endpoint, and the name of the service, as
// the client should see them.
//
// Without a public URL they follow the request's own Host header. Whoever sends
// a request can name any host in it, but is also the only one to read the answer:
// no other client is sent there.
func (s *Server) realm(r *http.Request) (realm, service string) {
	base := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	if s.public != nil {
		base = url.URL{Scheme: s.public.Scheme, Host: s.public.Host, Path: s.public.Path}
	}
	return base.JoinPath(TokenPath).String(), base.Host
}

// tokenResponse is that of the "Token Authentication Specification" of CNCF
// Distribution, and of its "OAuth2 Token Authentication"; clients differ in which of
// the two names they read.
type tokenResponse struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	Scope       string    `json:"scope"`      // what is allowed of what was asked for
	ExpiresIn   int       `json:"expires_in"` // seconds
	IssuedAt    time.Time `json:"issued_at"`
}

// serveToken exchanges a login for a Bearer token, for what was asked for as far as
// the login allows it. It answers
//
//	GET TokenPath?service=S&scope=repository:NAME:ACTIONS...
//
// with HTTP Basic authentication, as the "Token Authentication Specification" of CNCF
// Distribution has it, and the form of its "OAuth2 Token Authentication". Without a
// login there is a token too, for what the policy opens to everybody.
func (s *Server) serveToken(w *recorder, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		who, err := s.authenticate(r)
		if err != nil {
			return err
		}
		if who.bearer {
			return s.refuseToken(r, who, nil, regcred.Errorf(regcred.Unauthenticated, "a Bearer token cannot be exchanged: use the login itself"))
		}
		return s.issue(w, r, who, r.URL.Query()["scope"])
	case http.MethodPost:
		form, err := postedForm(w, r)
		if err != nil {
			return err
		}
		who, err := s.postedLogin(r, form)
		if err != nil {
			return err
		}
		return s.issue(w, r, who, form["scope"])
	}
	return &methodError{[]string{http.MethodGet, http.MethodPost}}
}

// issue answers with a Bearer token for the scopes that a request asks for. Errors:
// Unauthenticated where nobody asks, and nothing of it is open, here or elsewhere.
func (s *Server) issue(w *recorder, r *http.Request, who access, scopes []string) error {
	w.subject = who.subject
	asked, err := parseScopes(scopes)
	if err != nil {
		return err
	}
	if who.subject == "" && !who.mayAny(asked) && !s.anyElsewhere(r, asked) {
		return s.refuseToken(r, who, asked, errAnonymous)
	}
	now := time.Now().UTC()
	claims := token.Claims{
		Subject: cmp.Or(who.subject, nobody), Name: who.name, Use: token.UseAccess, Grants: narrow(asked, who), Scope: who.scope,
		IssuedAt: now, ExpiresAt: accessExpiry(now, who.expires),
	}
	signed, err := s.tokens.Sign(claims)
	if err != nil {
		return err
	}
	granted := allowedOf(asked, who)
	s.tokenIssued(r, who, asked, granted)
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, tokenResponse{
		Token: signed.Reveal(), AccessToken: signed.Reveal(), Scope: granted,
		ExpiresIn: int(claims.ExpiresAt.Sub(now) / time.Second), IssuedAt: now,
	})
}

// mayAny reports whether any of what was asked for is allowed; where nothing was,
// whether anything is.
func (a access) mayAny(asked []token.Grant) bool {
	for _, g := range asked {
		for _, action := range g.Actions {
			if g.Repository != "*" && a.allows(g.Repository, action) {
				return true
			}
		}
	}
	catalog := func(g token.Grant) bool { return g.Repository == "*" }
	return (len(asked) == 0 || slices.ContainsFunc(asked, catalog)) && a.policy.open(a.from)
}

// anyElsewhere reports whether any of what was asked for is served by the handler
// before this one.
func (s *Server) anyElsewhere(r *http.Request, asked []token.Grant) bool {
	return s.elsewhere != nil && slices.ContainsFunc(asked, func(g token.Grant) bool {
		return g.Permits(token.Pull) && s.elsewhere(r, g.Repository)
	})
}

// accessExpiry returns when a Bearer token expires that is made now from a login
// that ends at a time, zero meaning never.
func accessExpiry(now, loginEnds time.Time) time.Time {
	expires := now.Add(maxAccessLifetime)
	if !loginEnds.IsZero() && loginEnds.Before(expires) {
		return loginEnds
	}
	return expires
}

// parseScopes reads scope parameters: each is a list, separated by spaces, of
// TYPE:NAME:ACTIONS with actions separated by commas. Of type repository a grant
// is made, "*" meaning every action; registry:catalog:* is read as pull on all
// repositories, which is what the catalog needs. What has another form, or names
// no repository or action that there is, is passed over: a client then gets less
// than it asked for, as the specification wants it.
// Errors: Invalid where there are too many.
func parseScopes(params []string) ([]token.Grant, error) {
	var grants []token.Grant
	scopes := strings.Fields(strings.Join(params, " "))
	if len(scopes) > maxScopes {
		return nil, regcred.Errorf(regcred.Invalid, "%d scopes are too many, at most %d are allowed: ask in several requests", len(scopes), maxScopes)
	}
	for _, scope := range scopes {
		if g, ok := parseScope(scope); ok {
			grants = append(grants, g)
		}
	}
	return grants, nil
}

func parseScope(scope string) (token.Grant, bool) {
	if scope == "registry:catalog:*" {
		return token.Grant{Repository: "*", Actions: []string{token.Pull}}, true
	}
	rest, isRepository := strings.CutPrefix(scope, "repository:")
	name, list, ok := strings.Cut(rest, ":")
	if !isRepository || !ok || checkRepository(name) != nil {
		return token.Grant{}, false
	}
	g := token.Grant{Repository: name}
	asked := strings.Split(list, ",")
	for _, action := range token.Actions {
		if slices.Contains(asked, action) || slices.Contains(asked, "*") {
			g.Actions = append(g.Actions, action)
		}
	}
	return g, len(g.Actions) > 0
}

// narrow returns the part of what was asked for that the login grants. What is open
// to everybody needs no grant, and is looked up again at each request. The catalog
// lists what the login may pull, so that is what it takes.
func narrow(asked []token.Grant, who access) []token.Grant {
	var grants []token.Grant
	for _, g := range asked {
		if g.Repository == "*" {
			grants = append(grants, who.pulls()...)
		} else if g.Actions = keep(g, who.granted); len(g.Actions) > 0 {
			grants = append(grants, g)
		}
	}
	return grants
}

// allowedOf writes the part of what was asked for that is allowed as scopes,
// separated by spaces.
func allowedOf(asked []token.Grant, who access) string {
	var scopes []string
	for _, g := range asked {
		if actions := keep(g, who.allows); g.Repository != "*" && len(actions) > 0 {
			scopes = append(scopes, scopeText(token.Grant{Repository: g.Repository, Actions: actions}))
		}
	}
	return strings.Join(scopes, " ")
}

// scopeText writes a grant as a scope.
func scopeText(g token.Grant) string {
	return "repository:" + g.Repository + ":" + strings.Join(g.Actions, ",")
}

// keep returns those of a grant's actions that are allowed on its repository.
func keep(g token.Grant, allowed func(repo, action string) bool) []string {
	return slices.DeleteFunc(slices.Clone(g.Actions), func(action string) bool { return !allowed(g.Repository, action) })
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // it fails where the client went away
	return nil
}

package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// tokens is what the registry needs of token.Service.
type tokens interface {
	Verify(now time.Time, raw, use string) (token.Claims, error)
	APIToken(ctx context.Context, now time.Time, raw string) (regcred.APIToken, error)
	Sign(c token.Claims) (regcred.Secret, error)
}

// nobody is the subject of Bearer tokens that were asked for without a login.
const nobody = "nobody"

// access is who asks, and what they may do: what the policy opens to everybody
// from where the request comes, and what their login grants. The zero access is
// nobody, who may do nothing.
type access struct {
	policy Policy
	// from is where the request comes from; the zero Addr where that is not known.
	from netip.Addr

	// subject is that of the login's claims, or the id of an API token; "" without a
	// login.
	subject string
	// name is that of the API token, also of the one that a Bearer token was made from.
	name   string
	grants []token.Grant
	// scope bounds the grants to the repositories that it may have.
	scope regcred.Scope
	// expires is when the login ends; zero where it does not.
	expires time.Time
	// bearer says that it came as a Bearer token: its grants are then those that
	// its client asked for, and it may ask for others.
	bearer bool
}

// uploader names whose uploads are counted together: those of one API token, of one
// credential's logins, or without a login of one address.
func (a access) uploader() string {
	if a.subject != "" && a.subject != nobody {
		return a.subject
	}
	return "address " + a.from.String()
}

// allows reports whether the caller may do an action in a repository.
func (a access) allows(repo, action string) bool {
	rule := a.policy.For(repo)
	return rule.opens(a.from, action) || a.grantsIn(rule.Scope, repo, action)
}

// granted reports whether the login grants an action on a repository: what is open
// to everybody is left out.
func (a access) granted(repo, action string) bool {
	return a.grantsIn(a.policy.For(repo).Scope, repo, action)
}

// grantsIn reports whether the login grants an action on a repository that belongs
// to a scope.
func (a access) grantsIn(owner regcred.Scope, repo, action string) bool {
	return reaches(a.scope, owner, action) && token.Claims{Grants: a.grants}.Allows(repo, action)
}

// reaches reports whether callers of a scope get at repositories that belong to
// an owner. As a credential serves its scope and all within, so may a repository be
// pulled from there; and who has a scope has all that lies within it.
func reaches(scope, owner regcred.Scope, action string) bool {
	return scope.Contains(owner) || action == token.Pull && owner.Contains(scope)
}

// pulls returns the grants as far as they are for pulling.
func (a access) pulls() []token.Grant {
	var list []token.Grant
	for _, g := range a.grants {
		if g.Permits(token.Pull) {
			list = append(list, token.Grant{Repository: g.Repository, Actions: []string{token.Pull}})
		}
	}
	return list
}

// mayDo reports whether a request with an action is allowed. The catalog is for
// everybody who may pull anything; it lists what that is.
func (a access) mayDo(q request, action string) bool {
	switch {
	case action == "":
		return a.subject != ""
	case q.resource == resCatalog:
		return a.policy.open(a.from) || len(a.pulls()) > 0
	}
	return a.allows(q.repo, action)
}

// pullable yields those of some repositories that the caller may pull, and errors.
func (a access) pullable(names iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range names {
			if (err != nil || a.allows(name, token.Pull)) && !yield(name, err) {
				return
			}
		}
	}
}

// errAnonymous is the answer to requests without any login.
var errAnonymous = regcred.Errorf(regcred.Unauthenticated, "log in first, with an API token or a registry login of regcred as the password")

// errStranger is the answer to a password that is nothing of regcred's.
var errStranger = regcred.NewBadToken(regcred.TokenUnknown, "", "the password is neither an API token nor a registry login of regcred")

// authenticate finds out who sent a request; who sent no login is nobody.
// Errors: Unauthenticated where there is a login that is not valid; those of the
// tokens' store. The access is then to nothing.
func (s *Server) authenticate(r *http.Request) (access, error) {
	who, err := s.loggedIn(r)
	if err != nil {
		return access{bearer: who.bearer}, s.badLogin(r, err)
	}
	return s.seen(r, who), nil
}

// seen adds to what a login grants what is open to everybody who sends the request.
func (s *Server) seen(r *http.Request, who access) access {
	who.policy, who.from = s.storage.policy, s.clientAddr(r)
	return who
}

// loggedIn returns what the login of a request grants.
func (s *Server) loggedIn(r *http.Request) (access, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return access{}, nil
	}
	if _, password, ok := r.BasicAuth(); ok {
		return s.checkPassword(r.Context(), password)
	}
	scheme, raw, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return access{}, regcred.NewBadToken(regcred.TokenMalformed, "", "the Authorization header is neither of scheme Basic nor Bearer, or malformed")
	}
	claims, err := s.tokens.Verify(time.Now(), strings.TrimSpace(raw), token.UseAccess)
	who := accessOf(claims)
	who.bearer = true
	return who, err
}

// checkPassword tells whose password it is: an API token or a registry login. The
// user name says nothing.
func (s *Server) checkPassword(ctx context.Context, password string) (access, error) {
	now := time.Now()
	if token.IsAPIToken(password) {
		t, err := s.tokens.APIToken(ctx, now, password)
		if err != nil {
			return access{}, err
		}
		return access{subject: t.ID, name: t.Name, grants: grantsOf(t), scope: t.Scope, expires: t.ExpiresAt}, nil
	}
	if strings.Count(password, ".") != 2 { // a JWT has three parts
		return access{}, errStranger
	}
	claims, err := s.tokens.Verify(now, password, token.UseLogin)
	return accessOf(claims), err
}

func accessOf(c token.Claims) access {
	return access{subject: c.Subject, name: c.Name, grants: c.Grants, scope: c.Scope, expires: c.ExpiresAt}
}

// grantsOf returns what an API token may do in the repositories of its scope: an
// admin everything, a pusher push and pull, a puller or target pull, all others
// nothing. One that names repositories is for those alone.
func grantsOf(t regcred.APIToken) []token.Grant {
	var actions []string
	switch t.Role {
	case regcred.RoleAdmin:
		actions = token.Actions
	case regcred.RolePusher:
		actions = []string{token.Pull, token.Push}
	case regcred.RolePuller, regcred.RoleTarget:
		actions = []string{token.Pull}
	default:
		return nil
	}
	if len(t.Repositories) == 0 {
		return []token.Grant{{Repository: "*", Actions: actions}}
	}
	var grants []token.Grant
	for _, pattern := range t.Repositories {
		grants = append(grants, token.Grant{Repository: pattern, Actions: actions})
	}
	return grants
}

// refusal is the answer where the login does not allow a request, before anything
// is looked up: it says nothing about what exists.
//
// A Bearer token carries what its client asked for, not all that the login
// allows: like CNCF Distribution we answer 401 insufficient_scope, with which the
// client gets the token that it needs or learns that it can have none.
func refusal(a access, q request, action string) error {
	if a.subject == "" {
		return errAnonymous
	}
	what := action + " " + q.repo
	if q.resource == resCatalog {
		what = "list the repositories"
	}
	err := regcred.Errorf(regcred.Denied, "this login may not %s", what)
	if a.bearer {
		return &challengeError{err: err, reason: "insufficient_scope"}
	}
	return err
}

// challengeError is an error that is answered with 401 and a challenge.
type challengeError struct {
	err    error
	reason string // RFC 6750: "invalid_token", "insufficient_scope", or "" without any token
}

func (e *challengeError) Error() string { return e.err.Error() }
func (e *challengeError) Unwrap() error { return e.err }

// challenge returns the WWW-Authenticate header that sends a client to the token
// endpoint: "Token Authentication Specification" of CNCF Distribution.
func (s *Server) challenge(r *http.Request, q request, reason string) string {
	realm, service := s.realm(r)
	c := fmt.Sprintf("Bearer realm=%q,service=%q", realm, service)
	if scope := scopeOf(r.Method, q); scope != "" {
		c += fmt.Sprintf(",scope=%q", scope+mountScope(r, q))
	}
	if reason != "" {
		c += fmt.Sprintf(",error=%q", reason)
	}
	return c
}

// mountScope returns what a mount needs besides: to pull from where the blob is.
func mountScope(r *http.Request, q request) string {
	if q.resource != resUploads {
		return ""
	}
	from := r.URL.Query().Get("from")
	if checkRepository(from) != nil {
		return ""
	}
	return " repository:" + from + ":" + token.Pull
}

// scopeOf returns the scope that a request needs, "" for none. Who may push
// needs to pull too: clients look for what is there.
func scopeOf(method string, q request) string {
	action := routes[q.resource][method].action
	switch {
	case action == "":
		return ""
	case q.resource == resCatalog:
		return "registry:catalog:*"
	case action == token.Push:
		action = token.Pull + "," + token.Push
	}
	return "repository:" + q.repo + ":" + action
}

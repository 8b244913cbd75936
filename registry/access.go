package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// tokens is what the registry needs of token.Service.
type tokens interface {
	Verify(now time.Time, raw, use string) (token.Claims, error)
	Authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error)
	Sign(c token.Claims) (regcred.Secret, error)
}

// access is who asks, and what they may do. The zero access is nobody, who may
// do nothing.
type access struct {
	// subject is that of the login's claims, or the id of an API token.
	subject string
	grants  []token.Grant
	// expires is when the login ends; zero where that is not known.
	expires time.Time
	// bearer says that it came as a Bearer token: its grants are then those that
	// its client asked for, and it may ask for others.
	bearer bool
}

// allows reports whether an action on a repository is granted.
func (a access) allows(repo, action string) bool {
	return token.Claims{Grants: a.grants}.Allows(repo, action)
}

// allowsCatalog reports whether all repositories may be pulled, and with that
// listed.
func (a access) allowsCatalog() bool {
	for _, g := range a.grants {
		if g.Repository == "*" && g.Allows("any", token.Pull) {
			return true
		}
	}
	return false
}

// mayDo reports whether a request with an action is granted.
func (a access) mayDo(q request, action string) bool {
	switch {
	case action == "":
		return true
	case q.resource == resCatalog:
		return a.allowsCatalog()
	}
	return a.allows(q.repo, action)
}

// errAnonymous is the answer to requests without any login.
var errAnonymous = regcred.Errorf(regcred.Unauthenticated, "log in first, with an API token or a registry login of regcred as the password")

// errStranger is the answer to a password that is nothing of regcred's.
var errStranger = regcred.Errorf(regcred.Unauthenticated, "the password is neither an API token nor a registry login of regcred")

// authenticate finds out who sent a request.
// Errors: Unauthenticated; those of the tokens' store.
func (s *Server) authenticate(r *http.Request) (access, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return access{}, errAnonymous
	}
	if _, password, ok := r.BasicAuth(); ok {
		return s.checkPassword(r.Context(), password)
	}
	scheme, raw, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return access{}, regcred.Errorf(regcred.Unauthenticated, "the Authorization header is neither of scheme Basic nor Bearer, or malformed")
	}
	claims, err := s.tokens.Verify(time.Now(), strings.TrimSpace(raw), token.UseAccess)
	if err != nil {
		return access{bearer: true}, err
	}
	return access{subject: claims.Subject, grants: claims.Grants, expires: claims.ExpiresAt, bearer: true}, nil
}

// checkPassword tells whose password it is: an API token or a registry login. The
// user name says nothing.
func (s *Server) checkPassword(ctx context.Context, password string) (access, error) {
	now := time.Now()
	if !token.IsAPIToken(password) {
		if strings.Count(password, ".") != 2 { // a JWT has three parts
			return access{}, errStranger
		}
		claims, err := s.tokens.Verify(now, password, token.UseLogin)
		if err != nil {
			return access{}, err
		}
		return access{subject: claims.Subject, grants: claims.Grants, expires: claims.ExpiresAt}, nil
	}
	caller, err := s.tokens.Authenticate(ctx, now, password)
	if err != nil {
		return access{}, err
	}
	id, _ := token.APITokenID(password)
	return access{subject: id, grants: grantsOf(caller)}, nil
}

// grantsOf returns what an API token may do in the registry, by its role: an
// admin everything, a puller or target of the foundation pull everything, all
// others nothing.
func grantsOf(c regcred.Caller) []token.Grant {
	switch {
	case c.IsAdmin():
		return []token.Grant{{Repository: "*", Actions: token.Actions}}
	case c.Holds(regcred.RolePuller, regcred.Foundation), c.Holds(regcred.RoleTarget, regcred.Foundation):
		return []token.Grant{{Repository: "*", Actions: []string{token.Pull}}}
	}
	return nil
}

// refusal is the answer where the login does not allow a request, before anything
// is looked up: it says nothing about what exists.
//
// A Bearer token carries what its client asked for, not all that the login
// allows: like CNCF Distribution we answer 401 insufficient_scope, with which the
// client gets the token that it needs or learns that it can have none.
func refusal(a access, q request, action string) error {
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
		c += fmt.Sprintf(",scope=%q", scope)
	}
	if reason != "" {
		c += fmt.Sprintf(",error=%q", reason)
	}
	return c
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

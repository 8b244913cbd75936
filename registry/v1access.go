package registry

import (
	"context"
	"net/http"
	"slices"
	"time"

	"regcred.dev"
	"regcred.dev/token"
)

// Visitor is who sent a request, and what they may do: for handlers of the registry
// that speak another protocol than OCI's. The zero Visitor may do nothing.
type Visitor struct {
	server  *Server
	request *http.Request
	access  access
}

// Visitor finds out who sent a request; who sent no login is nobody in particular,
// who may do what the policy opens.
// Errors: Unauthenticated where there is a login that is not valid; those of the
// tokens' store.
func (s *Server) Visitor(r *http.Request) (Visitor, error) {
	who, err := s.authenticate(r)
	if err != nil {
		return Visitor{}, err
	}
	return Visitor{server: s, request: r, access: who}, nil
}

// MayPull reports whether the visitor may pull from a repository, whether it is there
// or not; MayPush whether they may push to it.
func (v Visitor) MayPull(repo string) bool { return v.access.allows(repo, token.Pull) }

// MayPush is described with MayPull.
func (v Visitor) MayPush(repo string) bool { return v.access.allows(repo, token.Push) }

// MayPullAll reports whether the visitor's login grants pulling from every repository,
// as an operator's does.
func (v Visitor) MayPullAll() bool {
	return v.access.scope == regcred.Foundation && slices.ContainsFunc(v.access.grants, func(g token.Grant) bool {
		return g.Repository == "*" && g.Permits(token.Pull)
	})
}

// PullToken returns a Bearer token with which the visitor pulls from a repository
// without sending their login again. It is empty where they need or get none: where
// the repository is open to them anyway, or they came with a Bearer token.
// Errors: those of signing.
func (v Visitor) PullToken(now time.Time, repo string) (regcred.Secret, error) {
	if v.access.subject == "" || v.access.bearer || !v.access.granted(repo, token.Pull) {
		return regcred.Secret{}, nil
	}
	now = now.UTC()
	grants := []token.Grant{{Repository: repo, Actions: []string{token.Pull}}}
	v.server.tokenIssued(v.request, v.access, grants, scopeText(grants[0]))
	return v.server.tokens.Sign(token.Claims{
		Subject: v.access.subject, Name: v.access.name, Use: token.UseAccess, Scope: v.access.scope,
		Grants:   grants,
		IssuedAt: now, ExpiresAt: accessExpiry(now, v.access.expires),
	})
}

// HasManifests reports whether there is anything to pull from a repository. A name
// that no repository can have is that of none.
func (s *Storage) HasManifests(ctx context.Context, repo string) (bool, error) {
	if checkRepository(repo) != nil {
		return false, nil
	}
	for _, err := range s.blobs.List(ctx, repositoryPrefix(repo)+"manifests/", "") {
		return err == nil, err
	}
	return false, nil
}

package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/token"
)

// auditLog is what the registry needs of audit.Log.
type auditLog interface {
	// Allow records what is about to be done. Errors: Unavailable, and it is not done.
	Allow(ctx context.Context, e regcred.AuditEntry) error
	// Refuse records what somebody may not do.
	Refuse(ctx context.Context, e regcred.AuditEntry)
	// Count counts what changes nothing.
	Count(ctx context.Context, e regcred.AuditEntry)
}

// noLog is the audit log of a Server that has none.
type noLog struct{}

func (noLog) Allow(context.Context, regcred.AuditEntry) error { return nil }
func (noLog) Refuse(context.Context, regcred.AuditEntry)      {}
func (noLog) Count(context.Context, regcred.AuditEntry)       {}

// caller returns who somebody is who wants something of a repository, as the audit log
// has it: an API token as it has it everywhere, a login by the credential that it was
// minted from, and without any a network from which anybody may push.
func (a access) caller(repo string) string {
	switch {
	case a.name != "":
		return token.CallerName(a.subject, a.name)
	case a.credential() != "":
		return "credential " + a.subject
	}
	for _, network := range a.policy.For(repo).PushFrom {
		if network.Contains(a.from) {
			return "network " + network.String()
		}
	}
	return regcred.Nobody
}

// credential returns the guid of the credential whose login it is, "" where it is none.
func (a access) credential() string {
	if a.name != "" || a.subject == nobody {
		return ""
	}
	return a.subject
}

// entry returns what the audit log says of somebody and a repository, "" for none.
func (s *Server) entry(r *http.Request, who access, operation, repo, detail string) regcred.AuditEntry {
	e := regcred.AuditEntry{
		Caller: who.caller(repo), From: s.Address(r), Operation: operation,
		GUID: who.credential(), Repository: repo, Detail: detail,
	}
	if repo != "" {
		e.Scope = who.policy.For(repo).Scope
	}
	return e
}

// allowed records a change before it is made. Errors: Unavailable where that cannot be
// done; nor may the change be then.
func (s *Server) allowed(r *http.Request, q request, detail string) error {
	return s.audit.Allow(r.Context(), s.entry(r, q.access, operationOf(r, q), q.repo, detail))
}

// refused records that somebody may not do what a request wants, and returns why. A
// request without a login is no refusal: clients send one to learn where to get a token.
func (s *Server) refused(r *http.Request, who access, q request, why error) error {
	if errors.Is(why, errAnonymous) {
		return why
	}
	operation, detail := operationOf(r, q), regcred.MessageOf(why)
	if operation == opPull || operation == opCatalog {
		s.audit.Count(r.Context(), s.entry(r, who, operation, q.repo, detail))
	} else {
		s.audit.Refuse(r.Context(), s.entry(r, who, operation, q.repo, nameOf(q)+": "+detail))
	}
	return why
}

// denied records an error that shows only once a request is looked into, such as that a
// tag is immutable, where it is a refusal, and returns it.
func (s *Server) denied(r *http.Request, q request, err error) error {
	if err != nil && regcred.CodeOf(err) == regcred.Denied {
		return s.refused(r, q.access, q, err)
	}
	return err
}

// badLogin records that the login of a request is not good, where err says so, and
// returns err.
func (s *Server) badLogin(r *http.Request, err error) error {
	if e, ok := regcred.AuditBadToken(s.Address(r), err); ok {
		s.audit.Count(r.Context(), e)
	}
	return err
}

// What requests to the registry do, as the audit log has it.
const (
	opPull    = "pull"
	opCatalog = "list repositories"
	opToken   = "issue registry token"
)

// operationOf returns what a request of the registry protocol does, for the audit log.
func operationOf(r *http.Request, q request) string {
	switch {
	case q.resource == resCatalog:
		return opCatalog
	case q.resource == resUploads && r.URL.Query().Get("mount") != "" && r.URL.Query().Get("url") != "":
		return "link blob"
	case q.resource == resUploads, q.resource == resUpload:
		return "push blob"
	case r.Method == http.MethodPut:
		return "push manifest"
	case r.Method != http.MethodDelete:
		return opPull
	case q.resource == resBlob:
		return "delete blob"
	case q.tag != "":
		return "delete tag"
	}
	return "delete manifest"
}

// nameOf writes what a request is about.
func nameOf(q request) string {
	switch {
	case q.tag != "":
		return q.repo + ":" + q.tag
	case q.digest != "":
		return q.repo + "@" + q.digest.String()
	}
	return q.repo
}

// pushedAs writes what a manifest is pushed as.
func pushedAs(repo string, d digest.Digest, tags []string) string {
	if len(tags) == 0 {
		return repo + "@" + d.String()
	}
	return repo + ":" + strings.Join(tags, ",") + "@" + d.String()
}

// tokenIssued counts a Bearer token that was asked for, as far as it was granted: each
// pull asks for one. None of what was asked for is a refusal.
func (s *Server) tokenIssued(r *http.Request, who access, asked []token.Grant, granted string) {
	wanted := scopesText(asked)
	detail := granted
	switch {
	case granted == "" && wanted != "":
		detail = "nothing of " + wanted
	case granted != wanted:
		detail = granted + " of " + wanted
	}
	e := s.entry(r, who, opToken, onlyRepository(asked), detail)
	e.Allowed = granted != "" || wanted == "" || s.anyElsewhere(r, asked)
	s.audit.Count(r.Context(), e)
}

// refuseToken counts that somebody got no Bearer token, and returns why.
func (s *Server) refuseToken(r *http.Request, who access, asked []token.Grant, why error) error {
	s.audit.Count(r.Context(), s.entry(r, who, opToken, onlyRepository(asked), regcred.MessageOf(why)))
	return why
}

// scopesText writes what was asked for of repositories as scopes, separated by spaces.
func scopesText(asked []token.Grant) string {
	var scopes []string
	for _, g := range asked {
		if g.Repository != "*" {
			scopes = append(scopes, scopeText(g))
		}
	}
	return strings.Join(scopes, " ")
}

// onlyRepository returns the repository that was asked for, "" where that is none or
// more than one.
func onlyRepository(asked []token.Grant) string {
	if len(asked) != 1 || asked[0].Repository == "*" {
		return ""
	}
	return asked[0].Repository
}

package service

import (
	"context"
	"time"

	"regcred.dev"
)

// act is what a caller wants to do, for the audit log.
type act struct {
	operation string
	scope     regcred.Scope
	location  string
	guid      string
	// repository is the one of the registry that it is about.
	repository string
	detail     string
	// read says that nothing is changed and no secret released: it is in the log within
	// a second, together with its like.
	read bool
}

// on returns the act with the credential that it is about.
func (a act) on(c regcred.Credential) act {
	a.guid, a.scope, a.location = c.GUID, c.Scope, c.Location.String()
	return a
}

func (a act) entry(caller regcred.Caller, detail string) regcred.AuditEntry {
	return regcred.AuditEntry{
		Caller: caller.Name, Role: caller.Role, From: caller.From, Operation: a.operation, Scope: a.scope,
		Location: a.location, GUID: a.guid, Repository: a.repository, Detail: detail,
	}
}

// allow records that a caller may do something, before it is done: what is not in the
// log does not happen. Errors: Unavailable.
func (s *Service) allow(ctx context.Context, caller regcred.Caller, a act) error {
	e := a.entry(caller, a.detail)
	if a.read {
		e.Allowed = true
		s.o.Audit.Count(ctx, e)
		return nil
	}
	return s.o.Audit.Allow(ctx, e)
}

// refuse records that a caller may not do something, and returns the error that says so.
func (s *Service) refuse(ctx context.Context, caller regcred.Caller, a act, why error) error {
	s.o.Audit.Refuse(ctx, a.entry(caller, regcred.MessageOf(why)))
	return why
}

// denied records an error that shows only once it is known what was asked for, where it
// is a refusal, and returns it.
func (s *Service) denied(ctx context.Context, caller regcred.Caller, a act, err error) error {
	if regcred.CodeOf(err) == regcred.Denied {
		return s.refuse(ctx, caller, a, err)
	}
	return err
}

// RefuseToken records a request from an address whose token is not good, as err says; what
// else err may say is not recorded.
func (s *Service) RefuseToken(ctx context.Context, from string, err error) {
	if e, ok := regcred.AuditBadToken(from, err); ok {
		s.o.Audit.Count(ctx, e)
	}
}

// RunAudit writes reads to the audit log, and removes entries that are older than keep,
// until ctx ends; 0 keeps all. It returns once the last reads are written.
func (s *Service) RunAudit(ctx context.Context, keep time.Duration) error {
	return s.o.Audit.Run(ctx, keep)
}

// AuditLog returns the page of a query of the audit log, and how many entries it
// selects: for admins, and auditors. Errors: Denied, Corrupt.
func (s *Service) AuditLog(ctx context.Context, caller regcred.Caller, q regcred.AuditQuery) ([]regcred.AuditEntry, int, error) {
	if err := s.requireRead(ctx, caller, act{operation: "read audit log", read: true}); err != nil {
		return nil, 0, err
	}
	if err := s.o.Audit.Flush(ctx); err != nil {
		return nil, 0, err
	}
	return s.o.Store.AuditLog(ctx, q)
}

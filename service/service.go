// Package service has regcred's operations: each is handed its caller, checks
// what that one may do, and says it in the log.
//
// An operation that the caller may not read about answers NotFound; one that it
// may read but not carry out answers Denied.
package service

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
)

// Options are what a Service works with; all but Log are required.
type Options struct {
	Store     regcred.Store
	Books     *keyring.Books
	Refresher Refresher
	Providers map[string]regcred.Provider
	Tokens    Tokens
	Targets   Targets
	Prober    Prober
	// LoginLifetime is the longest lifetime of a login that provider regcred
	// mints: so long a revocation is remembered.
	LoginLifetime time.Duration
	// Version is the program's.
	Version string
	// Log is where changes and refusals are said; nil discards them.
	Log *slog.Logger
}

// Refresher is what a Service needs of package refresh.
type Refresher interface {
	Ensure(ctx context.Context, guid string) (regcred.Login, error)
	Mint(ctx context.Context, guid string) (regcred.Login, error)
	Status(guid string) (refresh.Status, bool)
	Issuers() iter.Seq[refresh.IssuerStatus]
}

// Tokens is what a Service needs of package token.
type Tokens interface {
	CreateAPIToken(ctx context.Context, name string, role regcred.Role, scope regcred.Scope, expires time.Time) (regcred.APIToken, regcred.Secret, error)
	DeleteAPIToken(ctx context.Context, id string) error
	Revoke(ctx context.Context, subject string, before, until time.Time) error
}

// Targets is what a Service needs of a deliver.Runner.
type Targets interface {
	Status() []deliver.Status
	Confirm(name string) error
}

// Service carries out operations. It is safe for concurrent use.
type Service struct {
	o Options
}

// New returns a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o}
}

// readers are the roles that may know which credentials there are.
var readers = []regcred.Role{regcred.RoleReader, regcred.RoleTarget}

// mayRead reports whether the caller may know of a credential at scope s: an
// admin of all, readers of what serves their scope, and what lies within it.
func mayRead(caller regcred.Caller, s regcred.Scope) bool {
	return caller.IsAdmin() ||
		slices.Contains(readers, caller.Role) && (s.Contains(caller.Scope) || caller.Scope.Contains(s))
}

// requireAdmin returns a Denied error for anyone but an admin.
func (s *Service) requireAdmin(ctx context.Context, caller regcred.Caller, operation string) error {
	if caller.IsAdmin() {
		return nil
	}
	s.o.Log.WarnContext(ctx, "denied", "operation", operation, "caller", caller)
	if caller.Role == "" {
		return regcred.Errorf(regcred.Unauthenticated, "authentication is required")
	}
	return regcred.Errorf(regcred.Denied, "you are not authorized to perform the requested action: %s has the role %q at scope %s", caller.Name, caller.Role, caller.Scope)
}

// bookTimeout bounds the wait for the book to show a change just made. It follows
// within milliseconds; a book that does not is no reason to fail the change.
const bookTimeout = 5 * time.Second

// settle waits until the book shows the revision, so that who made a change sees
// it in what it asks next.
func (s *Service) settle(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, bookTimeout)
	defer cancel()
	_, _ = s.o.Books.Wait(ctx, revision-1)
}

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
	"time"

	"regcred.dev"
	"regcred.dev/audit"
	"regcred.dev/catalog"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
)

// Options are what a Service works with; all but Audit and Log are required.
type Options struct {
	Store regcred.Store
	Books *keyring.Books
	// Catalog is what lists are made of: it gets what Books gets, first.
	Catalog   *catalog.Catalog
	Refresher Refresher
	Providers map[string]regcred.Provider
	Tokens    Tokens
	Targets   Targets
	Images    Images
	Prober    Prober
	// PublicProber asks in Prober's place for callers who are no admins: it must ask
	// nobody in a network that they have no access to themselves. nil: they are denied.
	PublicProber Prober
	// LoginLifetime is the longest lifetime of a login that provider regcred
	// mints: so long a revocation is remembered.
	LoginLifetime time.Duration
	// Version is the program's.
	Version string
	// Audit writes the audit log of Store; nil makes one.
	Audit *audit.Log
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
	CreateAPIToken(ctx context.Context, t regcred.APIToken) (regcred.APIToken, regcred.Secret, error)
	RecordUses(ctx context.Context) error
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
	o          Options
	operations operations
}

// New returns a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Audit == nil {
		o.Audit = audit.New(o.Store, o.Log)
	}
	return &Service{o: o}
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

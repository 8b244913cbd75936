package service

import (
	"context"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/imageref"
)

// Status is the server's state.
type Status struct {
	Version     string
	StoreID     string
	Revision    uint64
	Current     bool
	Credentials int
	// Problems are the credentials without a good login, and those whose last mint
	// failed.
	Problems []LoginProblem
	// NextRenewal is when the next login is due, zero where none is.
	NextRenewal time.Time
	Targets     []deliver.Status
}

// LoginProblem is a credential whose login needs attention.
type LoginProblem struct {
	GUID      string
	Location  imageref.Location
	Scope     regcred.Scope
	Provider  string
	Error     string
	Failures  int
	ExpiresAt time.Time // of the login that still serves; zero where there is none
}

// Status returns the server's state. Errors: Denied.
func (s *Service) Status(ctx context.Context, caller regcred.Caller) (Status, error) {
	if err := s.requireAdmin(ctx, caller, "status"); err != nil {
		return Status{}, err
	}
	book := s.o.Books.Now()
	st := Status{
		Version: s.o.Version, StoreID: s.o.Store.ID(), Revision: book.Revision(), Current: book.Current(),
		Credentials: book.Len(), Targets: s.o.Targets.Status(),
	}
	now := time.Now()
	for e := range book.Entries() {
		rs, _ := s.o.Refresher.Status(e.GUID)
		if !rs.Due.IsZero() && (st.NextRenewal.IsZero() || rs.Due.Before(st.NextRenewal)) {
			st.NextRenewal = rs.Due
		}
		p := LoginProblem{GUID: e.GUID, Location: e.Location, Scope: e.Scope, Provider: e.Provider, Error: rs.Problem, Failures: rs.Failures}
		if e.Login != nil {
			p.ExpiresAt = e.Login.ExpiresAt
		}
		switch {
		case e.Err != nil:
			p.Error = regcred.MessageOf(e.Err)
		case e.Login == nil && p.Error == "":
			p.Error = "no login was minted yet"
		case e.Login != nil && e.Login.Expired(now) && p.Error == "":
			p.Error = "the login has expired"
		}
		if p.Error != "" {
			st.Problems = append(st.Problems, p)
		}
	}
	return st, nil
}

// ConfirmTarget lets a target carry out the removals that it holds back.
// Errors: Denied, NotFound.
func (s *Service) ConfirmTarget(ctx context.Context, caller regcred.Caller, name string) error {
	if err := s.requireAdmin(ctx, caller, "confirm target"); err != nil {
		return err
	}
	if err := s.o.Targets.Confirm(name); err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "removals confirmed", "target", name, "caller", caller)
	return nil
}

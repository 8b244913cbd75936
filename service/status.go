package service

import (
	"context"
	"slices"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
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
	// Rotations are the credentials whose stored secret is to be replaced within
	// rotationNotice, or should have been.
	Rotations []Rotation
	// Issuers are those that are asked less often than they might be: they throttle,
	// or do not answer.
	Issuers []refresh.IssuerStatus
	// NextRenewal is when the next login is due, zero where none is.
	NextRenewal time.Time
	Targets     []deliver.Status
	Images      ImagesStatus
}

// rotationNotice is how long before its day a rotation is in the status.
const rotationNotice = 30 * 24 * time.Hour

// Rotation is a credential whose stored secret is to be replaced.
type Rotation struct {
	GUID     string
	Location imageref.Location
	Scope    regcred.Scope
	By       time.Time
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
	// GapAt is when pulls will begin to fail, or began to, unless a new login comes;
	// zero: no such time is in sight.
	GapAt time.Time
}

// Status returns the server's state. Errors: Denied.
func (s *Service) Status(ctx context.Context, caller regcred.Caller) (Status, error) {
	if err := s.requireAdmin(ctx, caller, act{operation: "status", read: true}); err != nil {
		return Status{}, err
	}
	book := s.o.Books.Now()
	st := Status{
		Version: s.o.Version, StoreID: s.o.Store.ID(), Revision: book.Revision(), Current: book.Current(),
		Credentials: book.Len(), Targets: s.o.Targets.Status(),
		Images: s.o.Images.status(),
	}
	now := time.Now()
	for e := range book.Entries() {
		rs, _ := s.o.Refresher.Status(e.GUID)
		if !rs.Due.IsZero() && (st.NextRenewal.IsZero() || rs.Due.Before(st.NextRenewal)) {
			st.NextRenewal = rs.Due
		}
		if p := problemOf(e, rs, now); p.Error != "" {
			st.Problems = append(st.Problems, p)
		}
		if !e.RotateBy.IsZero() && e.RotateBy.Before(now.Add(rotationNotice)) {
			st.Rotations = append(st.Rotations, Rotation{GUID: e.GUID, Location: e.Location, Scope: e.Scope, By: e.RotateBy})
		}
	}
	for is := range s.o.Refresher.Issuers() {
		if is.Down || !is.ThrottledUntil.IsZero() {
			st.Issuers = append(st.Issuers, is)
		}
	}
	slices.SortFunc(st.Rotations, func(a, b Rotation) int { return a.By.Compare(b.By) })
	return st, nil
}

// ReadMetrics returns an error where the caller may not read all metrics: they name whose
// credentials there are, for where, and whom they are asked from. Errors: Denied.
func (s *Service) ReadMetrics(ctx context.Context, caller regcred.Caller) error {
	return s.requireRead(ctx, caller, act{operation: "status", detail: "metrics", read: true})
}

// problemOf says what is wrong with a credential's login; Error is "" where nothing
// is.
func problemOf(e *keyring.Entry, rs refresh.Status, now time.Time) LoginProblem {
	p := LoginProblem{
		GUID: e.GUID, Location: e.Location, Scope: e.Scope, Provider: e.Provider,
		Error: rs.Problem, Failures: rs.Failures, GapAt: rs.GapAt,
	}
	if e.Login != nil {
		p.ExpiresAt = e.Login.ExpiresAt
	}
	switch {
	case e.Err != nil:
		p.Error = regcred.MessageOf(e.Err)
	case p.Error != "":
	case e.Login == nil && e.DropRevision != 0:
		p.Error = "its login was revoked, and no new one was minted yet"
	case e.Login == nil:
		p.Error = "no login was minted yet"
	case e.Login.Expired(now):
		p.Error = "the login has expired"
	}
	return p
}

// ConfirmTarget lets a target carry out the removals that it holds back.
// Errors: Denied, NotFound.
func (s *Service) ConfirmTarget(ctx context.Context, caller regcred.Caller, name string) error {
	if err := s.requireAdmin(ctx, caller, act{operation: "confirm removals", detail: "target " + name}); err != nil {
		return err
	}
	if err := s.o.Targets.Confirm(name); err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "removals confirmed", "target", name, "caller", caller)
	return nil
}

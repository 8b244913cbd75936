package service

import (
	"context"
	"errors"
	"slices"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/probe"
)

// Prober is what a Service needs of package probe.
type Prober interface {
	Probe(ctx context.Context, host string, login regcred.Login, repository string) (probe.Report, error)
}

// proberFor returns who asks registries for a caller. One who is no admin learns
// nothing about networks that only the server is in.
func (s *Service) proberFor(caller regcred.Caller) Prober {
	switch {
	case caller.IsAdmin():
		return s.o.Prober
	case s.o.PublicProber == nil:
		return noProber{}
	}
	return s.o.PublicProber
}

// noProber asks nobody.
type noProber struct{}

// Probe implements Prober.
func (noProber) Probe(context.Context, string, regcred.Login, string) (probe.Report, error) {
	return probe.Report{}, regcred.Errorf(regcred.Unavailable, "this server asks registries for admins alone")
}

// CheckReport is what became of the check of a credential.
type CheckReport struct {
	// Steps say what was asked, in order, and what came back.
	Steps []string
	// Accepted says that a login was minted and its registry takes it.
	Accepted bool
	// Problem says what failed and what to do, "" where nothing did.
	Problem string
}

// Check mints a login now, and asks its registry whether it takes it. Where image is
// not "" it is asked whether that may be pulled too: a repository of the
// credential's host, or an image that the credential covers.
//
// What the check finds wrong is in the report. Errors: NotFound, Denied, those of
// regcred.Members; Invalid where image is none that the credential is for.
func (s *Service) Check(ctx context.Context, caller regcred.Caller, guid, image string) (CheckReport, error) {
	c, err := s.mayUse(ctx, caller, act{operation: "check credential", guid: guid})
	if err != nil {
		return CheckReport{}, err
	}
	login, err := s.mintNow(ctx, caller, c)
	if err != nil {
		return CheckReport{Steps: []string{"minting a login -> failed"}, Problem: regcred.MessageOf(err)}, nil
	}
	found, err := s.Get(ctx, caller, guid) // its location may just have been found
	if err != nil {
		return CheckReport{}, err
	}
	host, repository, err := subject(found.Location, image)
	if err != nil {
		return CheckReport{}, err
	}
	report, err := s.proberFor(caller).Probe(ctx, host, login, repository)
	out := CheckReport{Steps: []string{"minting a login -> " + minted(login)}, Accepted: err == nil}
	if s.lent(caller, c) {
		return s.lentReport(out, c, err), nil
	}
	for _, step := range report.Steps {
		out.Steps = append(out.Steps, step.String())
	}
	if report.Anonymous && err == nil {
		out.Steps = append(out.Steps, "the registry asks nobody for a login: this says nothing about ours")
	}
	if err != nil {
		out.Problem = regcred.MessageOf(err)
	}
	return out, nil
}

// mintNow mints a login, which is kept, within what a caller waits for.
func (s *Service) mintNow(ctx context.Context, caller regcred.Caller, c regcred.Credential) (regcred.Login, error) {
	limited, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	login, err := s.mint(limited, caller, c)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = regcred.Errorf(regcred.Unavailable, "no login was minted within %s; it is tried further", mintTimeout)
	}
	return login, err
}

func minted(l regcred.Login) string {
	if l.ExpiresAt.IsZero() {
		return "done, it never expires"
	}
	return "done, it expires at " + l.ExpiresAt.UTC().Format("2006-01-02 15:04:05 UTC")
}

// subject returns whom to ask about a credential's login, and about which
// repository.
func subject(location imageref.Location, image string) (host, repository string, err error) {
	if image == "" {
		return location.Host(), "", nil
	}
	for _, name := range []string{image, location.Host() + "/" + image} {
		if img, err := imageref.ParseImage(name); err == nil && slices.Contains(img.Candidates(), location) {
			return img.Host(), tagged(img), nil
		}
	}
	return "", "", regcred.Errorf(regcred.Invalid, "the credential is for %s, which is not for %q", location, image)
}

// tagged returns an image's repository with its tag or digest.
func tagged(img imageref.Image) string {
	switch {
	case img.Digest() != "":
		return img.Path() + "@" + img.Digest()
	case img.Tag() != "":
		return img.Path() + ":" + img.Tag()
	}
	return img.Path()
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
)

const (
	// tries is how often one content or manifest is sent.
	tries = 3
	// firstWait is the longest wait before the second try; it doubles after.
	firstWait = time.Second
)

// sourceError marks a failure of the archive, which no retry can mend.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// retry calls try until it succeeds, fails for good, or has failed three times.
func (p *publisher) retry(ctx context.Context, what string, try func() error) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := try()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case n == tries || !mayPass(err):
			return describe(what, err)
		}
		p.o.Log.Warn("sending again", "what", what, "try", n, "error", printable(err))
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		wait *= 2
	}
}

// isUnknown reports whether a registry says that it does not have something.
func isUnknown(err error) bool {
	return errors.Is(err, ociregistry.ErrBlobUnknown) || errors.Is(err, ociregistry.ErrNameUnknown) ||
		statusOf(err) == http.StatusNotFound
}

// statusOf returns the HTTP status of an error, zero where it has none.
func statusOf(err error) int {
	if e, ok := errors.AsType[ociregistry.HTTPError](err); ok {
		return e.StatusCode()
	}
	return 0
}

// mayPass reports whether a failure may not come again: of the network, of the
// server, or of an upload that the server has lost.
func mayPass(err error) bool {
	if _, ok := errors.AsType[*sourceError](err); ok || regcred.CodeOf(err) != regcred.Internal {
		return false
	}
	for _, lost := range []error{ociregistry.ErrBlobUploadUnknown, ociregistry.ErrBlobUploadInvalid, ociregistry.ErrRangeInvalid} {
		if errors.Is(err, lost) {
			return true
		}
	}
	if status := statusOf(err); status != 0 {
		return status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
	}
	_, refused := errors.AsType[ociregistry.Error](err)
	return !refused
}

// describe turns a failure into one that a user can act upon.
func describe(what string, err error) error {
	if se, ok := errors.AsType[*sourceError](err); ok {
		return se.error
	}
	if e, ok := errors.AsType[*regcred.Error](err); ok { // without the client's words around it
		return fmt.Errorf("sending %s: %w", what, e)
	}
	status := statusOf(err)
	is := func(known error, s int) bool { return errors.Is(err, known) || status == s }
	switch {
	case is(ociregistry.ErrUnauthorized, http.StatusUnauthorized):
		return regcred.Errorf(regcred.Unauthenticated, "the registry does not accept the token: check that it is right and has not expired (%s)", printable(err))
	case is(ociregistry.ErrDenied, http.StatusForbidden):
		return regcred.Errorf(regcred.Denied, "the registry refuses %s: %s; where that is for want of a right, use a token that may push there", what, printable(err))
	case status == http.StatusRequestEntityTooLarge:
		return regcred.Errorf(regcred.TooLarge, "the registry refuses %s as too large: %s", what, printable(err))
	case mayPass(err):
		return regcred.Errorf(regcred.Unavailable, "sending %s failed %d times; nothing was tagged, so publish again: %s", what, tries, printable(err))
	}
	return regcred.Errorf(regcred.Invalid, "the registry refuses %s: %s", what, printable(err))
}

// maxCause bounds what is shown of a registry's words, in bytes.
const maxCause = 400

// printable returns the text of an error that holds a registry's own words:
// without URLs, which may hold the secret state of an upload, and without
// characters that could steer a terminal.
func printable(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	text := err.Error()
	if len(text) > maxCause {
		text = text[:maxCause] + "..."
	}
	runes := []rune(strings.ToValidUTF8(text, "?"))
	runes = slices.DeleteFunc(runes, func(r rune) bool { return !unicode.IsPrint(r) })
	return string(runes)
}

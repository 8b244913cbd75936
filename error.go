package regcred

import (
	"errors"
	"fmt"
	"time"
)

// A Code says what kind of failure an Error is, so that the API, the CLI and
// callers need not read its text.
type Code uint8

// The codes.
const (
	Internal        Code = iota // a fault of regcred itself; its text is logged, never shown
	Invalid                     // the request is malformed or makes no sense
	Unauthenticated             // the caller is unknown
	Denied                      // the caller is known and may not
	NotFound                    // no such thing, or none that the caller may know of
	Exists                      // another one has that place already
	ReadOnly                    // declared in the configuration, not to be changed here
	Stale                       // a newer version, fence or writer was there first
	Corrupt                     // stored data does not pass its integrity check
	TooLarge                    // over a limit
	Held                        // not carried out until an operator confirms
	Unavailable                 // something that it needs cannot be reached now: try again
	Throttled                   // whoever was asked wants to be asked less often
)

var codeNames = [...]string{
	"internal", "invalid", "unauthenticated", "denied", "not-found", "exists", "read-only",
	"stale", "corrupt", "too-large", "held", "unavailable", "throttled",
}

// String returns the code's name, such as "not-found".
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return codeNames[Internal]
}

// Error is a failure with a message that its user may read: what is wrong,
// where, and what to do. It never holds a secret.
type Error struct {
	Code    Code
	Message string
	// RetryAfter is how long whoever throttles asked to be left alone; 0 where it
	// did not say.
	RetryAfter time.Duration
	err        error
}

// Errorf returns an *Error. The format is fmt.Errorf's; with %w the cause stays
// reachable for errors.Is and errors.As.
func Errorf(code Code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), err: errors.Unwrap(err)}
}

// ThrottledFor returns a Throttled *Error with its RetryAfter; else it is as Errorf.
func ThrottledFor(wait time.Duration, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: Throttled, Message: err.Error(), RetryAfter: wait, err: errors.Unwrap(err)}
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, if any.
func (e *Error) Unwrap() error { return e.err }

// CodeOf returns the code of the first *Error in err's chain, else Internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// MessageOf returns what may be shown of err: the text of an *Error that is not
// Internal, with the context that wraps it, and "internal error" for all else.
func MessageOf(err error) string {
	if CodeOf(err) == Internal {
		return "internal error"
	}
	return err.Error()
}

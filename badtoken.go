package regcred

import "errors"

// A TokenFault says in a few words what is wrong with a token, for the audit log: a
// fixed word, since what strangers make up has no place there.
type TokenFault string

// The faults of tokens.
const (
	TokenMalformed TokenFault = "malformed"
	TokenUnknown   TokenFault = "unknown or wrong" // made by nobody known, deleted, or with another secret
	TokenExpired   TokenFault = "expired"
	TokenRevoked   TokenFault = "revoked"
	TokenMisused   TokenFault = "not for this server or use"
	TokenRefused   TokenFault = "refused" // by its issuer, or for another reason
	TokenPowerless TokenFault = "without any role"
)

// BadToken is an Unauthenticated error that says more of the token.
type BadToken struct {
	// Fault says what is wrong with it.
	Fault TokenFault
	// ID is that of the API token, as it was sent, or the subject of a token that our own
	// key signed; "" where there is none. It has a fixed form, and is no secret.
	ID  string
	err error
}

// NewBadToken returns a *BadToken whose message is that of Errorf.
func NewBadToken(fault TokenFault, id, format string, args ...any) error {
	return &BadToken{Fault: fault, ID: id, err: Errorf(Unauthenticated, format, args...)}
}

// Error returns the message.
func (e *BadToken) Error() string { return e.err.Error() }

// Unwrap returns the Unauthenticated *Error.
func (e *BadToken) Unwrap() error { return e.err }

// AuditBadToken returns the entry of the audit log for a request from an address whose
// token is not good, as err says. It is false where err says something else, such as that
// an issuer cannot be asked.
func AuditBadToken(from string, err error) (AuditEntry, bool) {
	e := AuditEntry{Caller: Nobody, From: from, Operation: "authenticate"}
	bad, ok := errors.AsType[*BadToken](err)
	switch {
	case ok && bad.ID != "":
		e.Detail = string(bad.Fault) + ", of " + bad.ID
	case ok:
		e.Detail = string(bad.Fault)
	case CodeOf(err) == Unauthenticated:
		e.Detail = string(TokenRefused)
	case CodeOf(err) == Denied:
		e.Detail = string(TokenPowerless)
	default:
		return AuditEntry{}, false
	}
	return e, true
}

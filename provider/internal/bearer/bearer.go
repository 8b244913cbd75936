// Package bearer checks the tokens that issuers hand out, and that become passwords.
package bearer

import (
	"errors"
	"strings"
	"time"
)

// MaxLength is the length in bytes beyond which a token cannot be used: servers take
// some KB of headers.
const MaxLength = 64 << 10

// IsToken reports whether text can be a token: printable ASCII without spaces, which
// any header, file and line of a terminal carries as it is.
func IsToken(text string) bool {
	return text != "" && len(text) <= MaxLength && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// maxLifetime bounds how long a token may live whose issuer documents hours.
const maxLifetime = 7 * 24 * time.Hour

// CheckExpiry returns an error where a token whose issuer documents some hours would
// live for more than a week after now. Its expiry is a mistake then, such as
// milliseconds in place of seconds, and by it the token would be renewed too late or
// never. The error fits behind "no token that can be used:".
func CheckExpiry(expires, now time.Time) error {
	if expires.Sub(now) > maxLifetime {
		return errors.New("it would live for more than a week")
	}
	return nil
}

package regcred

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what stands in place of a secret wherever one would be shown. It
// is Cloud Foundry's own mark for redacted credentials.
const Redacted = "***"

// Secret holds a password, token or key. It prints as Redacted under every
// verb, in JSON and in slog, so that it cannot reach a log or an answer by
// accident; Reveal is the one way to its content, and easy to search for.
//
// The content is behind a pointer, because fmt prints unexported fields of other
// structs without asking their methods: it then shows an address.
// The zero Secret is empty.
type Secret struct {
	p *string
}

// NewSecret returns a Secret that holds s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{p: &s}
}

// Reveal returns the content.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether the Secret is empty.
func (s Secret) IsZero() bool { return s.p == nil }

// Equal reports whether both hold the same content, in a time that depends on
// the lengths alone.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Format writes Redacted, whatever the verb and flags.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// String returns Redacted.
func (s Secret) String() string { return Redacted }

// GoString returns Redacted.
func (s Secret) GoString() string { return Redacted }

// LogValue returns Redacted.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns Redacted: encoding/json, XML and YAML encoders use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

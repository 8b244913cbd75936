package amazon

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/provider/internal/bearer"
)

// Username is that of every login to Amazon's registries.
const Username = "AWS"

// maxLifetime bounds a token's: AWS gives 12 hours. A time beyond it is a mistake,
// such as one in milliseconds, and the token would never be renewed.
const maxLifetime = 7 * 24 * time.Hour

// Token is one of the objects that GetAuthorizationToken answers with. A field that
// the answer lacks is nil.
type Token struct {
	Value     *string // authorizationToken
	ExpiresAt *time.Time
}

// Login makes a login of a token, when the issuer's clock is ahead by skew. It has
// no hosts.
//
// Errors: Unavailable where AWS's answer makes no sense.
func (t Token) Login(now time.Time, skew time.Duration) (regcred.Login, error) {
	if t.Value == nil {
		return regcred.Login{}, nonsense("has no token")
	}
	password, err := ParseToken(*t.Value)
	if err != nil {
		return regcred.Login{}, err
	}
	if t.ExpiresAt == nil {
		return regcred.Login{}, nonsense("does not say when the token expires")
	}
	expires := t.ExpiresAt.Add(-skew).UTC()
	if expires.Unix() <= 0 || expires.Sub(now) > maxLifetime {
		return regcred.Login{}, nonsense("has a token with an expiry that makes no sense, %s", t.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return regcred.Login{Username: Username, Password: password, ExpiresAt: expires}, nil
}

// ParseToken reads an authorizationToken: base64 (RFC 4648, section 4) of
// "AWS:PASSWORD". Errors: Unavailable, without any of its content.
func ParseToken(text string) (regcred.Secret, error) {
	// The decoder would skip line breaks.
	plain, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return regcred.Secret{}, nonsense("has a token that is not in base64")
	}
	password, ok := strings.CutPrefix(string(plain), Username+":")
	if !ok || !bearer.IsToken(password) {
		return regcred.Secret{}, nonsense("has a token that does not hold a password for the user " + Username)
	}
	return regcred.NewSecret(password), nil
}

func nonsense(format string, args ...any) error {
	return regcred.Errorf(regcred.Unavailable, "AWS's answer to GetAuthorizationToken "+format, args...)
}

// UniqueHosts returns the hosts of all lists in order, each once.
func UniqueHosts(lists ...[]string) []string {
	var hosts []string
	for _, host := range slices.Concat(lists...) {
		if host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

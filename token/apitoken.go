package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"regcred.dev"
)

// An API token reads rcat_ID_SECRET: "rcat" for regcred API token, the ID in 12
// and the secret in 64 lower-case hexadecimal digits (48 and 256 random bits).
// The fixed form lets secret scanners find it: rcat_[0-9a-f]{12}_[0-9a-f]{64}.
// Stored is the ID with the SHA-256 of the secret's digits: a secret this long
// needs no slower hash.
const (
	apiTokenPrefix = "rcat_"
	idDigits       = 12
	secretDigits   = 64
)

// maxName bounds the name of an API token, in bytes.
const maxName = 100

// maxRepositories bounds the repositories that one API token names. All of them fit
// into a Bearer token.
const maxRepositories = 32

// IsAPIToken reports whether a password or Bearer token claims to be an API
// token, by its prefix.
func IsAPIToken(raw string) bool { return strings.HasPrefix(raw, apiTokenPrefix) }

// APITokenID returns the ID of an API token, false where raw does not have the
// form of one. It says nothing about whether the token is valid.
func APITokenID(raw string) (id string, ok bool) {
	id, _, ok = splitAPIToken(raw)
	return id, ok
}

// splitAPIToken takes an API token apart.
func splitAPIToken(raw string) (id, secret string, ok bool) {
	if len(raw) != len(apiTokenPrefix)+idDigits+1+secretDigits {
		return "", "", false
	}
	id, secret, _ = strings.Cut(strings.TrimPrefix(raw, apiTokenPrefix), "_")
	if !IsAPIToken(raw) || !isHex(id, idDigits) || !isHex(secret, secretDigits) {
		return "", "", false
	}
	return id, secret, true
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}

func randomHex(digits int) string {
	b := make([]byte, digits/2)
	_, _ = rand.Read(b) // never fails, says its document
	return hex.EncodeToString(b)
}

// CreateAPIToken makes an API token of that Name, Role, Scope, Repositories and
// ExpiresAt, and stores its hash. The Secret is the token's text, to be shown this
// once.
//
// Errors: Invalid, naming what; those of the store.
func (s *Service) CreateAPIToken(ctx context.Context, t regcred.APIToken) (regcred.APIToken, regcred.Secret, error) {
	now := time.Now().UTC()
	if err := checkAPIToken(now, t); err != nil {
		return regcred.APIToken{}, regcred.Secret{}, err
	}
	secret := randomHex(secretDigits)
	t.ID, t.Hash, t.CreatedAt, t.LastUsedAt = randomHex(idDigits), hash(secret), now, time.Time{}
	if err := s.store.CreateToken(ctx, t); err != nil {
		return regcred.APIToken{}, regcred.Secret{}, err
	}
	return t, regcred.NewSecret(apiTokenPrefix + t.ID + "_" + secret), nil
}

func checkAPIToken(now time.Time, t regcred.APIToken) error {
	switch {
	case t.Name == "" || len(t.Name) > maxName:
		return regcred.Errorf(regcred.Invalid, "an API token needs a name of 1 to %d bytes that says whose it is", maxName)
	case !utf8.ValidString(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return regcred.Errorf(regcred.Invalid, "the name %q holds characters that cannot be printed", t.Name)
	case !slices.Contains(regcred.Roles, t.Role):
		return regcred.Errorf(regcred.Invalid, "there is no role %q: use one of %s", t.Role, strings.ReplaceAll(strings.Trim(fmt.Sprint(regcred.Roles), "[]"), " ", ", "))
	case t.Role == regcred.RoleAdmin && t.Scope != regcred.Foundation:
		return regcred.Errorf(regcred.Invalid, "an admin's API token is for the whole foundation: leave out the scope %s", t.Scope)
	case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(now):
		return regcred.Errorf(regcred.Invalid, "the API token would expire at %s, which is past", t.ExpiresAt.Format(time.RFC3339))
	}
	if err := checkRepositories(t); err != nil {
		return err
	}
	return regcred.Membership{Role: t.Role, Scope: t.Scope}.Validate()
}

// checkRepositories refuses repositories that would bound nothing: an admin's token
// that names some would still be an admin's.
func checkRepositories(t regcred.APIToken) error {
	switch {
	case len(t.Repositories) > 0 && t.Role != regcred.RolePuller && t.Role != regcred.RolePusher:
		return regcred.Errorf(regcred.Invalid, "an API token of the role %s is not for some repositories: use the role %s or %s", t.Role, regcred.RolePuller, regcred.RolePusher)
	case len(t.Repositories) > maxRepositories:
		return regcred.Errorf(regcred.Invalid, "an API token may name %d repositories, not %d: name a common path such as acme/*", maxRepositories, len(t.Repositories))
	}
	for _, pattern := range t.Repositories {
		if err := (Grant{Repository: pattern, Actions: Actions}).Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Authenticate returns the caller that an API token stands for. The name is
// "token ID (NAME)"; From is left for the server to set. Errors: as APIToken.
func (s *Service) Authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	t, err := s.APIToken(ctx, now, raw)
	if err != nil {
		return regcred.Caller{}, err
	}
	return regcred.Caller{Name: CallerName(t.ID, t.Name), Role: t.Role, Scope: t.Scope}, nil
}

// CallerName returns the name of the caller whom the API token of an ID and name stands
// for, as the audit log has it.
func CallerName(id, name string) string { return fmt.Sprintf("token %s (%s)", id, name) }

// APIToken returns what is stored of an API token that is valid at now.
//
// An unknown token costs what a known one with a wrong secret does, and gets the
// same answer. Errors: a *regcred.BadToken; those of the store.
func (s *Service) APIToken(ctx context.Context, now time.Time, raw string) (regcred.APIToken, error) {
	id, secret, ok := splitAPIToken(raw)
	if !ok {
		return regcred.APIToken{}, regcred.NewBadToken(regcred.TokenMalformed, "", "this is no API token: one reads %sID_SECRET", apiTokenPrefix)
	}
	t, err := s.genuine(ctx, now, id, secret)
	if err != nil {
		return regcred.APIToken{}, err
	}
	if s.revoked.covers(id, t.CreatedAt) { // and its row is still remembered
		return regcred.APIToken{}, regcred.NewBadToken(regcred.TokenRevoked, id, "the API token %s was deleted", id)
	}
	if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return regcred.APIToken{}, regcred.NewBadToken(regcred.TokenExpired, id, "the API token %s expired at %s: ask an admin for a new one", id, t.ExpiresAt.Format(time.RFC3339))
	}
	s.used.note(id, now)
	return t, nil
}

// rowLifetime is for how long what is stored of an API token is not read again once it
// was shown with its secret, and rowBound how many bytes that may take. Its end and its
// deletion here are checked each time; after a deletion by another process that shares
// the store, it is good for as long.
const (
	rowLifetime = 2 * time.Second
	rowBound    = 4 << 20
)

// genuine returns what is stored of an API token of that secret, perhaps as it was
// shortly before. It is remembered by the secret's hash too: whoever has only an ID that
// is in use is told so by no quicker answer. Errors: as APIToken.
func (s *Service) genuine(ctx context.Context, now time.Time, id, secret string) (regcred.APIToken, error) {
	given := hash(secret)
	key := id + string(given)
	if t, ok := s.rows.get(now, key); ok {
		return t, nil
	}
	t, err := s.store.Token(ctx, id)
	known := err == nil
	if err != nil {
		if regcred.CodeOf(err) != regcred.NotFound {
			return regcred.APIToken{}, err
		}
		t.Hash = make([]byte, len(given))
	}
	if equal := subtle.ConstantTimeCompare(given, t.Hash) == 1; !equal || !known {
		return regcred.APIToken{}, regcred.NewBadToken(regcred.TokenUnknown, id, "the API token %s is unknown or wrong", id)
	}
	s.rows.add(now, key, t, rowSize(t))
	return t, nil
}

// rowSize is about what it takes to remember an API token.
func rowSize(t regcred.APIToken) int64 {
	size := int64(512 + len(t.Name))
	for _, pattern := range t.Repositories {
		size += int64(16 + len(pattern))
	}
	return size
}

// DeleteAPIToken removes an API token and revokes the Bearer tokens made from
// it: those whose subject is its ID.
//
// Errors: NotFound; those of the store: call it again then.
func (s *Service) DeleteAPIToken(ctx context.Context, id string) error {
	if !isHex(id, idDigits) {
		return regcred.Errorf(regcred.NotFound, "there is no API token %s", quote(id))
	}
	deleted := s.store.DeleteToken(ctx, id)
	if deleted != nil && regcred.CodeOf(deleted) != regcred.NotFound {
		return deleted
	}
	// Also of one that is gone already: a former call may have got no further. IDs are
	// never used again, so what is being made from it at this very moment, or by a
	// process whose clock is ahead, is revoked too.
	before := time.Now().Add(leeway)
	if err := s.Revoke(ctx, id, before, before.Add(s.maxLifetime)); err != nil {
		return err
	}
	return deleted
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

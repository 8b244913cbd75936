package token

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
)

// keyName is the signing key's name in the store. Its content is the 32 bytes of
// an Ed25519 seed (RFC 8032) in standard base64.
const keyName = "token-signing"

// DefaultMaxLifetime is the longest life of a login or Bearer token unless the
// options say otherwise.
const DefaultMaxLifetime = 24 * time.Hour

// Options configure a Service. The zero Options are usable.
type Options struct {
	// Issuer is the server's public name: the issuer and the audience of its
	// tokens. Another name makes all earlier tokens invalid. Default "regcred".
	Issuer string
	// MaxLifetime is the longest that a login or Bearer token may live. Default
	// DefaultMaxLifetime.
	MaxLifetime time.Duration
}

// Service issues, checks and revokes tokens. It may be used concurrently.
type Service struct {
	store       regcred.TokenStore
	issuer      string
	maxLifetime time.Duration

	keyID  string // the key's thumbprint (RFC 7638)
	public ed25519.PublicKey
	signer jose.Signer

	revoked revocations
	used    uses
	opened  recent[[sha256.Size]byte, payload] // by the token's hash
	rows    recent[string, regcred.APIToken]   // by their ID and the hash of their secret
}

// New returns a Service that keeps its signing key, revocations and API tokens
// in the store. At the first call for a store it makes the key.
//
// Errors: those of the store; Corrupt where the stored key cannot be one.
func New(ctx context.Context, store regcred.TokenStore, o Options) (*Service, error) {
	s := &Service{
		store: store, issuer: o.Issuer, maxLifetime: o.MaxLifetime,
		opened: recent[[sha256.Size]byte, payload]{lifetime: openedLifetime, bound: openedBound},
		rows:   recent[string, regcred.APIToken]{lifetime: rowLifetime, bound: rowBound},
	}
	if s.issuer == "" {
		s.issuer = "regcred"
	}
	if s.maxLifetime <= 0 {
		s.maxLifetime = DefaultMaxLifetime
	}
	encoded, err := store.Key(ctx, keyName, newSeed)
	if err != nil {
		return nil, err
	}
	if err := s.useSeed(encoded); err != nil {
		return nil, err
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func newSeed() (regcred.Secret, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails, says its document
	return regcred.NewSecret(base64.StdEncoding.EncodeToString(seed)), nil
}

func (s *Service) useSeed(encoded regcred.Secret) error {
	seed, err := base64.StdEncoding.DecodeString(encoded.Reveal())
	if err != nil || len(seed) != ed25519.SeedSize {
		return regcred.Errorf(regcred.Corrupt, "the stored key %q is not an Ed25519 key: restore the store from a backup", keyName)
	}
	private := ed25519.NewKeyFromSeed(seed)
	s.public = private.Public().(ed25519.PublicKey)
	thumbprint, err := (&jose.JSONWebKey{Key: s.public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	s.keyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	s.signer, err = jose.NewSigner(jose.SigningKey{
		Algorithm: jose.EdDSA,
		Key:       jose.JSONWebKey{Key: private, KeyID: s.keyID},
	}, (&jose.SignerOptions{}).WithType("JWT"))
	return err
}

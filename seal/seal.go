// Package seal encrypts what a store writes: bytes in, bytes out. What is sealed
// can neither be read nor changed without its root key, nor be opened in another
// place than the one it was sealed for.
//
// A store seals each row with associated data that names the row. It opens with
// that same data alone, so a row that was moved, swapped or edited is noticed.
// Not noticed is a whole older copy of a row that is put back in its own place.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"regcred.dev"
)

// The format of sealed data. All of it but the ciphertext is public.
//
//	offset  bytes  content
//	0       1      format version, 1
//	1       8      id of the key
//	9       12     random nonce
//	21      n      ciphertext, as long as the plaintext
//	21+n    16     tag
//
// Version 1 is AES-256-GCM. Its additional data are the bytes 0 to 8, then the
// caller's associated data. Its key is derived from the root key, and so is the
// id: HKDF-SHA256 with an empty salt, and "regcred seal v1 key" or "regcred seal
// v1 key id" as info.
const (
	formatVersion = 1
	idSize        = 8
	headerSize    = 1 + idSize
	nonceSize     = 12
	tagSize       = 16

	// Overhead is how many bytes longer than its plaintext sealed data is.
	Overhead = headerSize + nonceSize + tagSize
)

// RootSize is the length of a root key in bytes.
const RootSize = 32

// A Key is a root key, ready for use. It prints as its id, which is no secret.
//
// With random nonces of 96 bits a key should seal no more than 2^32 times (NIST
// SP 800-38D, section 8.3): eleven years of a million logins a day.
type Key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// NewKey returns the key of RootSize random bytes. It does not keep root.
// Errors: Invalid where root has another size.
func NewKey(root []byte) (*Key, error) {
	if len(root) != RootSize {
		return nil, regcred.Errorf(regcred.Invalid, "a seal key has %d bytes, not %d", RootSize, len(root))
	}
	data, err := hkdf.Key(sha256.New, root, nil, "regcred seal v1 key", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the data key: %w", err)
	}
	id, err := hkdf.Key(sha256.New, root, nil, "regcred seal v1 key id", idSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key id: %w", err)
	}
	block, err := aes.NewCipher(data)
	if err != nil {
		return nil, fmt.Errorf("preparing the data key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing the data key: %w", err)
	}
	return &Key{id: [idSize]byte(id), aead: aead}, nil
}

// ID returns the id by which sealed data names its key.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Format writes the key's id, whatever the verb and flags.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "seal key "+k.ID()) }

// LogValue returns the key's id.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.ID()) }

// Keys are the root keys of a store: the first one seals, each one opens what it
// sealed. That is how a key is changed: put the new one in front.
type Keys []*Key

// Seal returns plaintext sealed with the first key, of which there must be one.
// Only who passes the same associated data can open it.
func (ks Keys) Seal(plaintext, associated []byte) []byte {
	sealed := make([]byte, headerSize, Overhead+len(plaintext))
	sealed[0] = formatVersion
	copy(sealed[1:], ks[0].id[:])
	return ks[0].aead.Seal(sealed, nil, plaintext, additional(sealed, associated)) //nolint:gosec // it makes the nonce itself
}

// Open returns the plaintext. It may be called with any bytes.
// Errors: Corrupt, with a message that says no more than what kind of fault it
// is: an unknown format, a key that is not among ks, or content that is not what
// was sealed with this associated data.
func (ks Keys) Open(sealed, associated []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != formatVersion {
		return nil, regcred.Errorf(regcred.Corrupt, "the sealed data has no known format")
	}
	header, body := sealed[:headerSize], sealed[headerSize:]
	i := slices.IndexFunc(ks, func(k *Key) bool { return string(k.id[:]) == string(header[1:]) })
	if i < 0 {
		return nil, regcred.Errorf(regcred.Corrupt, "it was sealed with key %x, but what is here is %s", header[1:], ks.ids())
	}
	plaintext, err := ks[i].aead.Open(nil, nil, body, additional(header, associated))
	if err != nil {
		return nil, regcred.Errorf(regcred.Corrupt, "the sealed data does not pass its integrity check")
	}
	return plaintext, nil
}

// ids names the keys in an error.
func (ks Keys) ids() string {
	if len(ks) == 0 {
		return "no key"
	}
	ids := make([]string, len(ks))
	for i, k := range ks {
		ids[i] = k.ID()
	}
	return "key " + strings.Join(ids, ", ")
}

// additional returns GCM's additional data. The header has a fixed length, so
// the two cannot run into each other.
func additional(header, associated []byte) []byte {
	return slices.Concat(header, associated)
}

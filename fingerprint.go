package regcred

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// Fingerprint returns the HMAC-SHA256, by a key, of what logins are minted from: the
// provider, location, username, password, settings and secrets of a credential. It is
// equal where all of them are, and tells nothing of the secrets without the key.
func (c Credential) Fingerprint(key []byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, key)
	text := func(parts ...string) {
		for _, part := range parts {
			h.Write(binary.AppendUvarint(nil, uint64(len(part))))
			h.Write([]byte(part))
		}
	}
	text(c.Provider, c.Location.String(), c.Username, c.Password.Reveal())
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		text("setting", name, c.Settings[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		text("secret", name, c.Secrets[name].Reveal())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

package dockerv1

import (
	"encoding/json"
	"slices"

	"regcred.dev"
)

// Limits of what an image may be.
const (
	// MaxDepth is how many layers an image may have. Docker itself stopped at 127.
	MaxDepth = 1024
	// MaxDocument is how large an image's JSON document or ancestry may be, in bytes.
	// Those that Docker wrote have a few thousand.
	MaxDocument = 1 << 20
)

// CheckID accepts the id of an image: 64 lower-case hexadecimal digits. Errors:
// Invalid.
func CheckID(id string) error {
	ok := len(id) == 64
	for i := 0; ok && i < len(id); i++ {
		ok = '0' <= id[i] && id[i] <= '9' || 'a' <= id[i] && id[i] <= 'f'
	}
	if !ok {
		return regcred.Errorf(regcred.Invalid, "%.80q is no id of an image: those are 64 lower-case hexadecimal digits", id)
	}
	return nil
}

// ParseAncestry reads the ancestry of an image: a JSON list of ids, its own first,
// then its parent's and so on. Errors: Invalid where it is none, begins with another
// id or has one twice; TooLarge beyond MaxDepth or MaxDocument.
func ParseAncestry(id string, data []byte) ([]string, error) {
	if len(data) > MaxDocument {
		return nil, regcred.Errorf(regcred.TooLarge, "the ancestry of %.64s has more than %d bytes", id, MaxDocument)
	}
	var ids []string
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the ancestry of %.64s is malformed: %w", id, err)
	}
	switch {
	case len(ids) > MaxDepth:
		return nil, regcred.Errorf(regcred.TooLarge, "the ancestry of %.64s has %d layers; at most %d are supported", id, len(ids), MaxDepth)
	case len(ids) == 0 || ids[0] != id:
		return nil, regcred.Errorf(regcred.Invalid, "the ancestry of %.64s does not begin with its own id", id)
	}
	return ids, checkChain(ids)
}

// checkChain checks ids, each of which may be there once.
func checkChain(ids []string) error {
	for i, id := range ids {
		if err := CheckID(id); err != nil {
			return err
		}
		if slices.Contains(ids[:i], id) {
			return regcred.Errorf(regcred.Invalid, "the ancestry of %.64s has %s twice", ids[0], id)
		}
	}
	return nil
}

package dockerconfig

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"regcred.dev"
)

// record says which entries of a docker config file regcred delivered. It cannot
// stand in the file itself: docker drops what it does not know whenever it writes.
//
// For DIR/config.json it is DIR/.config.json.regcred, of mode 0600, a JSON object:
//
//	{
//	  "format": 1,
//	  "salt": "<hex>",
//	  "entries": {
//	    "<key in auths>": {
//	      "guid": "<the credential's>",
//	      "store": "<id of the store that delivered it>",
//	      "revision": <the credential's when it was delivered>,
//	      "blocks": <true for an entry without a login, else absent>,
//	      "expires": "<RFC 3339, absent for a login that never expires>",
//	      "digests": ["<hex>"]
//	    }
//	  }
//	}
//
// A digest is the HMAC-SHA256, keyed by the salt, of an entry's canonical JSON; the
// salt is random for each record. While an entry is being replaced there are two:
// the record is written before the file, so that a crash between them leaves
// nothing in the file that the record does not know.
type record struct {
	Format  int                  `json:"format"`
	Salt    string               `json:"salt"`
	Entries map[string]delivered `json:"entries"`
}

// recordFormat is the newest format that is understood.
const recordFormat = 1

// delivered is one entry of a record.
type delivered struct {
	GUID     string    `json:"guid"`
	Store    string    `json:"store"`
	Revision uint64    `json:"revision"`
	Blocks   bool      `json:"blocks,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	Digests  []string  `json:"digests"`
}

func newRecord() record {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	return record{Format: recordFormat, Salt: hex.EncodeToString(salt), Entries: map[string]delivered{}}
}

// parseRecord reads a record. One that cannot be understood is as good as none: ok
// is then false. Errors: Invalid where it is of a newer format.
func parseRecord(data []byte) (r record, ok bool, err error) {
	if understood := json.Unmarshal(data, &r) == nil; !understood || r.Format < 1 || r.Salt == "" {
		return newRecord(), false, nil
	}
	if r.Format > recordFormat {
		return record{}, false, regcred.Errorf(regcred.Invalid,
			"the record of what was delivered is of format %d, and this regcred knows formats up to %d: use the newer one", r.Format, recordFormat)
	}
	if r.Entries == nil {
		r.Entries = map[string]delivered{}
	}
	return r, true, nil
}

// clone returns a copy whose entries can be changed.
func (r record) clone() record {
	r.Entries = maps.Clone(r.Entries)
	return r
}

// text returns the record's file. It fails where a login expires after the year 9999.
func (r record) text() ([]byte, error) {
	out, err := json.MarshalIndent(r, "", "  ")
	return append(out, '\n'), err
}

// digest returns that of an entry's value.
func (r record) digest(value []byte) string {
	mac := hmac.New(sha256.New, []byte(r.Salt))
	mac.Write(canonical(value))
	return hex.EncodeToString(mac.Sum(nil))
}

// has reports whether a value is one that was delivered under the key.
func (r record) has(key string, value []byte) bool {
	return slices.Contains(r.Entries[key].Digests, r.digest(value))
}

// keys returns the recorded keys in order.
func (r record) keys() []string { return slices.Sorted(maps.Keys(r.Entries)) }

// same reports whether e and d record the same content, from the same credential.
func (e delivered) same(d delivered) bool {
	return e.GUID == d.GUID && e.Store == d.Store && e.Blocks == d.Blocks &&
		e.Expires.Equal(d.Expires) && slices.Equal(e.Digests, d.Digests)
}

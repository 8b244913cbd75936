package kubernetes

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"
	"unique"
)

// Labels and annotations of what is regcred's. A Secret is a target's own where it
// has both labels.
const (
	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "regcred"
	targetLabel    = "regcred.dev/target"

	// storeAnnotation and revisionAnnotation name the store whose book the Secret
	// was last written from, and the book's revision.
	storeAnnotation    = "regcred.dev/store"
	revisionAnnotation = "regcred.dev/revision"
	// recordAnnotation has the record.
	recordAnnotation = "regcred.dev/record"
	// expiryAnnotation is when the first of the logins expires, in RFC 3339; it is
	// missing where none ever does.
	expiryAnnotation = "regcred.dev/expires-at"
	// adoptedAnnotation is "true" on a Secret that was somebody else's before.
	adoptedAnnotation = "regcred.dev/adopted"
	// accountsAnnotation has the names of the ServiceAccounts that were to have the
	// Secret's name, or AllServiceAccounts, separated by commas.
	accountsAnnotation = "regcred.dev/service-accounts"
)

// annotations are all of regcred's.
var annotations = []string{
	storeAnnotation, revisionAnnotation, recordAnnotation, expiryAnnotation, adoptedAnnotation, accountsAnnotation,
}

// recordFormat is the newest format of a record that is understood.
const recordFormat = 1

// record says which entries of a Secret regcred delivered. It holds no secret. In
// recordAnnotation it is a JSON object:
//
//	{
//	  "format": 1,
//	  "entries": {
//	    "<key in auths>": {
//	      "guid": "<the credential's>",
//	      "store": "<id of the store that delivered it>",
//	      "revision": <the credential's when it was delivered>,
//	      "blocks": <true for an entry without a login, else absent>,
//	      "expires": "<RFC 3339, absent for a login that never expires>",
//	      "digest": "<hex>"
//	    }
//	  }
//	}
type record struct {
	Format  int                  `json:"format"`
	Entries map[string]delivered `json:"entries"`
}

// delivered is one entry of a record.
type delivered struct {
	GUID     string    `json:"guid"`
	Store    string    `json:"store"`
	Revision uint64    `json:"revision"`
	Blocks   bool      `json:"blocks,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	Digest   digest    `json:"digest"`
}

// digest stands for the value of an entry where the value itself is not to be kept:
// the first half of the HMAC-SHA256 of its canonical JSON, keyed by NAMESPACE/NAME
// of the Secret. So a copy in another namespace does not pass for what was delivered
// there.
type digest [16]byte

// newDigest returns that of an entry's value in the Secret at a place.
func newDigest(place string, value []byte) digest {
	mac := hmac.New(sha256.New, []byte(place))
	mac.Write(canonical(value))
	return digest(mac.Sum(nil)[:16])
}

// MarshalText implements encoding.TextMarshaler.
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler. What is no digest equals none.
func (d *digest) UnmarshalText(text []byte) error {
	*d = digest{}
	if value, err := hex.DecodeString(string(text)); err == nil && len(value) == len(d) {
		*d = digest(value)
	}
	return nil
}

// parseRecord reads a record. One that is missing, or cannot be understood, is
// empty: entries that are just as they are to be are then taken up again. known is
// false for one of a newer format.
func parseRecord(text string) (r record, known bool) {
	if json.Unmarshal([]byte(text), &r) != nil || r.Format < 1 {
		return record{}, true
	}
	if r.Format > recordFormat {
		return record{}, false
	}
	entries := make(map[string]delivered, len(r.Entries))
	for key, e := range r.Entries {
		// Thousands of records have the same few strings.
		e.GUID, e.Store, e.Expires = shared(e.GUID), shared(e.Store), e.Expires.UTC()
		entries[shared(key)] = e
	}
	return record{recordFormat, entries}, true
}

// shared returns a string that equal ones share their memory with.
func shared(s string) string { return unique.Make(s).Value() }

// text returns the record as JSON. It fails where a login expires after the year
// 9999.
func (r record) text() (string, error) {
	r.Format = recordFormat
	out, err := json.Marshal(r)
	return string(out), err
}

// keys returns the recorded keys in order.
func (r record) keys() []string { return slices.Sorted(maps.Keys(r.Entries)) }

// expires returns when the first of the logins expires; zero: never.
func (r record) expires() time.Time {
	var first time.Time
	for _, e := range r.Entries {
		if !e.Expires.IsZero() && (first.IsZero() || e.Expires.Before(first)) {
			first = e.Expires
		}
	}
	return first
}

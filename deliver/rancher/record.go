package rancher

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"regcred.dev"
)

// record says what regcred delivered into a credential. Rancher shows no password
// again, so the record stands in the credential's own description, behind what its
// users wrote there:
//
//	TEXT [regcred store=ID guid=GUID revision=N expires=RFC3339 made]
//
// "expires" is left out for a login that never expires, "made" for a credential that
// was there before regcred. It has nothing of the login itself, since everybody in the
// environment can read it.
type record struct {
	Store    string
	GUID     string
	Revision uint64
	Expires  time.Time
	// Made says that regcred created the credential.
	Made bool
}

// maxDescription is how long a description may be, in characters (the column of
// Cattle's database).
const maxDescription = 1024

var recordPattern = regexp.MustCompile(`(?s)^(.*?) ?\[regcred store=(\S+) guid=(\S+) revision=(\d+)(?: expires=(\S+))?( made)?\]\s*$`)

// parseRecord splits a description into its users' text and the record, ok false
// where it has none.
func parseRecord(description string) (text string, r record, ok bool) {
	m := recordPattern.FindStringSubmatch(description)
	if m == nil {
		return description, record{}, false
	}
	revision, err := strconv.ParseUint(m[4], 10, 64)
	if err != nil {
		return description, record{}, false
	}
	r = record{Store: m[2], GUID: m[3], Revision: revision, Made: m[6] != ""}
	if m[5] != "" {
		if r.Expires, err = time.Parse(time.RFC3339, m[5]); err != nil {
			return description, record{}, false
		}
	}
	return m[1], r, true
}

// describe returns the description with a record behind its users' text. Errors:
// TooLarge where the text leaves no room.
func (r record) describe(text string) (string, error) {
	var b strings.Builder
	b.WriteString(text)
	if text != "" {
		b.WriteByte(' ')
	}
	b.WriteString("[regcred store=" + r.Store + " guid=" + r.GUID + " revision=" + strconv.FormatUint(r.Revision, 10))
	if !r.Expires.IsZero() {
		b.WriteString(" expires=" + r.Expires.UTC().Format(time.RFC3339))
	}
	if r.Made {
		b.WriteString(" made")
	}
	b.WriteByte(']')
	if over := utf8.RuneCountInString(b.String()) - maxDescription; over > 0 {
		return "", regcred.Errorf(regcred.TooLarge, "its description leaves no room for regcred's record: shorten it by %d characters", over)
	}
	return b.String(), nil
}

// same reports whether both record the same delivery.
func (r record) same(o record) bool {
	return r.Store == o.Store && r.GUID == o.GUID && r.Revision == o.Revision && r.Expires.Equal(o.Expires)
}

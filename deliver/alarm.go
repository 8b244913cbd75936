package deliver

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An alarm names so many reasons, and so many entries for each.
const (
	alarmReasons = 10
	alarmEntries = 5
)

// maxPrintable bounds what Printable returns, in bytes.
const maxPrintable = 1000

// Printable returns text that others may have written as it can be shown: characters
// that are not printable are replaced, and what is longer than 1,000 bytes is cut.
func Printable(text string) string {
	if len(text) > maxPrintable {
		cut := maxPrintable
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "..."
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, text)
}

// Alarm returns a sentence on what is held and why, "" where nothing is. The reasons
// that hold in most places come first.
func (s Status) Alarm() string {
	if len(s.Held) == 0 {
		return ""
	}
	reasons := byReason(s.Held)
	var texts []string
	for _, r := range reasons[:min(len(reasons), alarmReasons)] {
		texts = append(texts, r.String())
	}
	if more := len(reasons) - alarmReasons; more > 0 {
		texts = append(texts, fmt.Sprintf("and more for %d other reasons", more))
	}
	count := "1 entry is held"
	if n := len(s.Held); n > 1 {
		count = fmt.Sprintf("%d entries are held", n)
	}
	return count + ": " + strings.Join(texts, "; ")
}

// heldFor is what is held for one reason.
type heldFor struct {
	reason  string
	entries []string // "KEY in WHERE"
	places  map[string]bool
}

// byReason groups what is held.
func byReason(all []Hold) []*heldFor {
	groups := map[string]*heldFor{}
	var reasons []*heldFor
	for _, h := range all {
		r := groups[h.Reason]
		if r == nil {
			r = &heldFor{reason: h.Reason, places: map[string]bool{}}
			groups[h.Reason] = r
			reasons = append(reasons, r)
		}
		r.entries = append(r.entries, h.entry())
		r.places[h.Where] = true
	}
	slices.SortStableFunc(reasons, func(a, b *heldFor) int { return cmp.Compare(len(b.places), len(a.places)) })
	return reasons
}

func (r *heldFor) String() string {
	names := strings.Join(r.entries[:min(len(r.entries), alarmEntries)], ", ")
	if more := len(r.entries) - alarmEntries; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return names + ": " + Printable(r.reason)
}

package deliver_test

import (
	"fmt"
	"strings"
	"testing"

	"regcred.dev/deliver"
)

func hold(where, key, reason string) deliver.Hold {
	return deliver.Hold{Delivered: deliver.Delivered{Where: where, Key: key}, Reason: reason}
}

// TestAlarm: all reasons are told, those of most places first, whatever one place holds.
func TestAlarm(t *testing.T) {
	var s deliver.Status
	if got := s.Alarm(); got != "" {
		t.Errorf("of nothing it says %q", got)
	}
	for i := range 30 { // what somebody recorded in a namespace of its own
		s.Held = append(s.Held, hold("a", fmt.Sprint("k", i), fmt.Sprint("it was delivered from another store, ", i)))
	}
	for i := range 7 {
		s.Held = append(s.Held, hold(fmt.Sprint("n", i), "k", "bulk"))
	}
	got := s.Alarm()
	if !strings.HasPrefix(got, "37 entries are held: k in n0, k in n1, k in n2, k in n3, k in n4 and 2 more: bulk; k0 in a: it was") ||
		!strings.HasSuffix(got, "; and more for 21 other reasons") {
		t.Errorf("it says %q", got)
	}
}

// TestPrintable: what others wrote does not reach a terminal as it is.
func TestPrintable(t *testing.T) {
	s := deliver.Status{Report: deliver.Report{Held: []deliver.Hold{
		hold("ns/regcred", "\x1b[2Jevil\n.example.com", "delivered from \x07"),
		hold("ns/regcred", strings.Repeat("é", 5000), "r"),
	}}}
	for _, text := range []string{s.Alarm(), s.Held[0].String(), s.Held[1].String()} {
		if strings.ContainsAny(text, "\x1b\n\x07") || len(text) > 3000 || !strings.Contains(text, "in ns/regcred") {
			t.Errorf("it is shown as %d bytes: %q", len(text), text)
		}
	}
	if got := deliver.Printable("Grüße, \x7f ñ"); got != "Grüße, \ufffd ñ" {
		t.Errorf("got %q", got)
	}
}

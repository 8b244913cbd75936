package kubernetes

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// TestReportBounded: whoever may edit the Secret of one namespace cannot hide what there
// is to say of others, nor write to the operator's terminal.
func TestReportBounded(t *testing.T) {
	o := &Options{}
	o.setDefaults()
	s := &session{o: o, table: newTable(func(string) {})}
	hostile := &object{target: o.Name}
	for i := range 2 * maxSaid {
		hostile.recorded = append(hostile.recorded, recorded{
			fmt.Sprintf("\x1b[2J\n%d", i), delivered{Store: "s1", GUID: fmt.Sprint(i), Expires: time.Unix(1, 0)},
		})
	}
	s.table.setSecret("a", "1", hostile)
	s.table.setSecret("z", "1", &object{target: o.Name})
	s.table.settle(place{name: "z"}, nil, outcome{problem: "the last thing to say\x1b[2J"})
	r, err := s.report(keyring.New("s1").Now())
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(r.Warnings, " ")
	if !strings.Contains(all, "z/regcred: the last thing to say") || !strings.Contains(all, "a/regcred: the login for") {
		t.Errorf("%d warnings: %q", len(r.Warnings), all)
	}
	if strings.ContainsAny(all, "\x1b\n") {
		t.Errorf("control characters: %q", all)
	}
	if r.Delivered != len(hostile.recorded) {
		t.Errorf("%d are delivered", r.Delivered)
	}
}

// TestReportHeld: so does nobody fill the list of what is held.
func TestReportHeld(t *testing.T) {
	o := &Options{}
	o.setDefaults()
	s := &session{o: o, table: newTable(func(string) {})}
	for ns, n := range map[string]int{"evil": 3 * maxHeld, "good": 2} {
		out := outcome{}
		for i := range n {
			out.held = append(out.held, deliver.Hold{Delivered: deliver.Delivered{Where: ns + "/regcred", Key: fmt.Sprint(i)}, Reason: "r"})
		}
		s.table.setSecret(ns, "1", &object{target: o.Name})
		s.table.settle(place{name: ns}, nil, out)
	}
	r, err := s.report(keyring.New("s1").Now())
	if err != nil || len(r.Held) != maxHeld+2 || r.Held[maxHeld].Where != "good/regcred" {
		t.Errorf("%d are held, %v", len(r.Held), err)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "evil/regcred: 200 more entries are held") {
		t.Errorf("it warns %q", r.Warnings)
	}
}

// TestReportPartial: a namespace that fails is a part; all that are served are not.
func TestReportPartial(t *testing.T) {
	o := &Options{}
	o.setDefaults()
	s := &session{o: o, table: newTable(func(string) {})}
	report := func(name string, served bool, failed error) bool {
		s.table.setNamespace(name, &namespace{served: served})
		s.table.settle(place{name: name}, nil, outcome{err: failed})
		r, _ := s.report(keyring.New("s1").Now())
		return r.Partial
	}
	down := errors.New("down")
	if report("a", true, down) || report("other", false, nil) || !report("b", true, nil) || report("b", true, down) || report("c", true, down) {
		t.Error("it says of a part that it is all, or of all that it is a part")
	}
	if _, err := s.report(keyring.New("s1").Now()); err == nil || !strings.Contains(err.Error(), "3 of 3 namespaces could") {
		t.Errorf("%v: other is none of its namespaces", err)
	}
}

package cli

import (
	"strings"
	"testing"
)

// TestReadSetting: the line break that editors and echo add, on any system, is no part
// of a secret.
func TestReadSetting(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"secret", "secret"}, {"secret\n", "secret"}, {"secret\r\n", "secret"}, {"two\nlines\n\n", "two\nlines\n"}, {" secret \n", " secret "},
	} {
		if got, err := readSetting("-", strings.NewReader(test.text)); err != nil || got != test.want {
			t.Errorf("%q is read as %q, %v", test.text, got, err)
		}
	}
	if _, err := readSetting("-", strings.NewReader("")); err == nil {
		t.Error("an empty secret is read")
	}
	if _, err := readSetting("-", strings.NewReader(strings.Repeat("x", maxSetting+1))); err == nil {
		t.Error("a secret without an end is read")
	}
}

package cli

import (
	"bytes"
	"io"
	"testing"
)

// TestOutputForPeople: what others wrote directs no terminal, and fakes no line.
func TestOutputForPeople(t *testing.T) {
	for text, want := range map[string]string{
		"audience=registry":             "setting:   audience=registry\n",
		"\x1b[31mred\x1b]0;title\a":     "setting:   \uFFFD[31mred\uFFFD]0;title\uFFFD\n",
		"x\norigin:\tconfig\r\nca\vb\f": "setting:   x origin: config ca b \n",
		"a\u202eb\u009bc\x00":           "setting:   a\uFFFDb\uFFFDc\uFFFD\n",
		"Zürich, Ærø":                   "setting:   Zürich, Ærø\n",
	} {
		var out bytes.Buffer
		var flag outputFlag
		if err := flag.write(&out, nil, func(w io.Writer) { columns(w, [][]string{{"setting:", text}}) }); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%q is shown as %q, want %q", text, &out, want)
		}
	}
}

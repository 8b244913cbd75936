package cli

import (
	"bytes"
	"io"
	"testing"
	"time"

	"regcred.dev/client"
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

func TestIssuerName(t *testing.T) {
	for _, test := range []struct{ provider, issuer, want string }{
		{"ecr", "ecr for the server in us-east-1", "ecr for the server in us-east-1"},
		{"exec", "docker-credential-gcr https://gcr.io", "exec docker-credential-gcr https://gcr.io"},
	} {
		if got := issuerName(client.Issuer{Provider: test.provider, Issuer: test.issuer}); got != test.want {
			t.Errorf("%s, %s: %s", test.provider, test.issuer, got)
		}
	}
}

func TestNextRenewal(t *testing.T) {
	past, soon := time.Now().Add(-time.Second), time.Now().Add(time.Hour+time.Minute)
	for want, at := range map[string]*time.Time{"never": nil, "now": &past, "in 1h0m": &soon} {
		if got := nextRenewal(at); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
}

package said_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"regcred.dev/provider/internal/said"
)

const secret = "canary-4711-canary"

func TestText(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain", "Bad credentials", "Bad credentials"},
		{"empty", "", ""},
		{"lines and controls", "one\ntwo\t three\x1b[31m\x00four\u2028five", "one two three [31m four five"},
		{"no text", "caf\xff\xfe!", "caf\uFFFD!"},
		{"quoted secret", `token "` + secret + `" is bad`, "token *** is bad"},
		{"part of a secret", "token ...ry-4711-ca... is bad", "token *** is bad"},
		{"glued secret", "x" + secret + "y", "***"},
		{"a secret's letters in another order", "4711-canary-4711", "***"},
		{"too little of a secret", "canary- 4711-c", "canary- 4711-c"},
		{"other secret", "a second-secret here", "a *** here"},
	}
	for _, test := range tests {
		if got := said.Text(test.text, secret, "second-secret", ""); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestTextLong shows that a secret is found though the text is cut within it.
func TestTextLong(t *testing.T) {
	for before := 270; before <= 300; before++ {
		got := said.Text(strings.Repeat("y", before-1)+" "+secret+strings.Repeat(" z", 1<<20), secret)
		if len(got) > 310 || strings.Contains(got, "canary-4") {
			t.Errorf("the secret behind %d bytes: %q", before, got)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add(secret + "ä" + secret)
	f.Add(strings.Repeat("ä", 200) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := said.Text(text, secret)
		if len(got) > 1000 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Fatalf("%q becomes %q", text, got)
		}
		for i := range len(secret) - 8 {
			if strings.Contains(got, secret[i:i+8]) {
				t.Fatalf("%q becomes %q", text, got)
			}
		}
	})
}

// TestTextEncoded: some quote the Authorization header or the form that they were sent.
func TestTextEncoded(t *testing.T) {
	const odd = "sëcret/with+more?&= than~letters"
	var shown []string
	for _, user := range []string{"", "u", "us", "use:"} {
		pair := []byte(user + odd)
		shown = append(shown,
			base64.StdEncoding.EncodeToString(pair), base64.RawURLEncoding.EncodeToString(pair),
			hex.EncodeToString(pair), strings.ToUpper(hex.EncodeToString(pair)),
			url.QueryEscape(string(pair)), "secret="+strings.ToLower(url.QueryEscape(string(pair)))+"&more=x%",
		)
	}
	for _, word := range shown {
		if got := said.Text("Basic "+word+" is bad", "another", odd); got != "Basic *** is bad" {
			t.Errorf("%q becomes %q", word, got)
		}
	}
	const plain = "aHR0cHM6Ly9leGFtcGxlLmNvbQ== 68747470733a2f2f https%3A%2F%2Fexample.com 100% a+b"
	if got := said.Text(plain, odd); got != plain {
		t.Errorf("what is no secret becomes %q", got)
	}
}

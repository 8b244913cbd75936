package regcredtest_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"regcred.dev/regcredtest"
)

func TestLeaks(t *testing.T) {
	const secret = `canary/4711+"ü"?`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ encoding, data string }{
		{"raw", "x" + secret + "y"},
		{"hex", hex.EncodeToString([]byte("xx" + secret))},
		{"hex", strings.ToUpper(hex.EncodeToString([]byte(secret)))},
		{"url", url.Values{"p": {secret}}.Encode()},
		{"json", string(quoted)},
	}
	for _, around := range []string{"", "u", "us", "use", "user"} {
		text := []byte(around + secret + around)
		tests = append(tests,
			struct{ encoding, data string }{"base64", base64.StdEncoding.EncodeToString(text)},
			struct{ encoding, data string }{"base64url", base64.URLEncoding.EncodeToString(text)})
	}
	for _, test := range tests {
		if got := regcredtest.Leaks([]byte(test.data), secret); !slices.Contains(got, test.encoding) {
			t.Errorf("%s is not found in %q, only %q", test.encoding, test.data, got)
		}
	}
	if got := regcredtest.Leaks([]byte("canary/4711 is not the secret"), secret); len(got) > 0 {
		t.Errorf("found %q where nothing is", got)
	}
}

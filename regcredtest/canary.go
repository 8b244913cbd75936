package regcredtest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// Leaks returns the encodings in which data holds the secret: "raw", "hex",
// "base64" and "base64url" at any alignment, "url" and "json" where escaping
// changes it. The secret should be unique and have at least 8 bytes.
func Leaks(data []byte, secret string) []string {
	var found []string
	seen := func(encoding string, forms ...string) {
		for _, form := range forms {
			if bytes.Contains(data, []byte(form)) {
				found = append(found, encoding)
				return
			}
		}
	}
	seen("raw", secret)
	digits := hex.EncodeToString([]byte(secret))
	seen("hex", digits, strings.ToUpper(digits))
	seen("base64", aligned(base64.RawStdEncoding, secret)...)
	seen("base64url", aligned(base64.RawURLEncoding, secret)...)
	if escaped := url.QueryEscape(secret); escaped != secret {
		seen("url", escaped, url.PathEscape(secret))
	}
	if quoted, err := json.Marshal(secret); err == nil && string(quoted) != `"`+secret+`"` {
		seen("json", string(quoted[1:len(quoted)-1]))
	}
	return found
}

// aligned returns how the secret reads in base64 behind 0, 1 and 2 other bytes,
// without the characters at both ends that depend on its neighbours.
func aligned(encoding *base64.Encoding, secret string) []string {
	forms := make([]string, 3)
	for before := range forms {
		text := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
		first := (before*8 + 5) / 6 // the first character of the secret's bits alone
		last := (before + len(secret)) * 8 / 6
		forms[before] = text[first:last]
	}
	return forms
}

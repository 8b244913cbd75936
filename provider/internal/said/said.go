// Package said makes fit to be shown what a server said of why it refuses.
package said

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"
)

// maxLength bounds what is shown, in bytes.
const maxLength = 300

// leastSecret is how many bytes of a secret in a row give something of it away:
// fewer are found in any text.
const leastSecret = 8

// Text returns what a server said, on one line, cut to 300 bytes, and with
// "***" in place of each word that holds one of the secrets that it was sent, or
// is a part of one: some quote what they refuse, as it is or as it was encoded for
// them in base64, hexadecimal or a URL.
func Text(text string, secrets ...string) string {
	if len(text) > maxLength {
		text = text[:maxLength] + "..."
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	for i, word := range words {
		for _, secret := range secrets {
			if reveals(word, secret) {
				words[i] = "***"
			}
		}
	}
	return strings.Join(words, " ")
}

// reveals reports whether a word holds a part of a secret in any form.
func reveals(word, secret string) bool {
	if overlap(word, secret) || overlap(unescaped(word), secret) || overlap(strings.ToLower(word), hex.EncodeToString([]byte(secret))) {
		return true
	}
	// In base64 it depends on what stands in front, and its last character on what
	// follows.
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(word)
	for _, front := range []string{"", "x", "xx"} {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(front + secret))
		if front != "" {
			encoded = encoded[min(base64Group, len(encoded)):]
		}
		if overlap(standard, encoded[:max(len(encoded)-1, 0)]) {
			return true
		}
	}
	return false
}

// base64Group is how many characters stand for three bytes.
const base64Group = 4

// overlap reports whether two texts share at least leastSecret bytes in a row.
func overlap(word, secret string) bool {
	for end := leastSecret; end <= len(word); end++ {
		if strings.Contains(secret, word[end-leastSecret:end]) {
			return true
		}
	}
	return false
}

// unescaped undoes the encoding of URLs as far as there is one.
func unescaped(word string) string {
	var b strings.Builder
	for rest := word; rest != ""; {
		before, after, found := strings.Cut(rest, "%")
		b.WriteString(strings.ReplaceAll(before, "+", " "))
		if rest = after; !found {
			break
		}
		if len(rest) >= 2 {
			if c, err := hex.DecodeString(rest[:2]); err == nil {
				b.Write(c)
				rest = rest[2:]
				continue
			}
		}
		b.WriteByte('%')
	}
	return b.String()
}

// Package said makes fit to be shown what a server said of why it refuses.
package said

import (
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
// is a part of one: some quote what they refuse.
func Text(text string, secrets ...string) string {
	if len(text) > maxLength {
		text = text[:maxLength] + "..."
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	for i, word := range words {
		if reveals(word, secrets) {
			words[i] = "***"
		}
	}
	return strings.Join(words, " ")
}

// reveals reports whether a word shares at least leastSecret bytes in a row with
// a secret.
func reveals(word string, secrets []string) bool {
	for end := leastSecret; end <= len(word); end++ {
		for _, secret := range secrets {
			if strings.Contains(secret, word[end-leastSecret:end]) {
				return true
			}
		}
	}
	return false
}

package registry

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// The grammar of what a path names, read by hand: every request is checked by it, and
// the regular expressions of the specification take longer than all else that the
// registry does for one. The tests hold that it is the same grammar.

// isRepository reports whether name is one of a repository, of any length:
//
//	[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*
func isRepository(name string) bool {
	for component := range strings.SplitSeq(name, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent reports whether s is one part of a repository's name: letters and
// digits, and single separators between them.
func isComponent(s string) bool {
	for {
		n := span(s, isLowerOrDigit)
		if n == 0 {
			return false
		}
		if s = s[n:]; s == "" {
			return true
		}
		n = separator(s)
		if n == 0 {
			return false
		}
		s = s[n:]
	}
}

// separator returns the length of the separator that s begins with: a dot, one or two
// underscores, or hyphens.
func separator(s string) int {
	switch {
	case s[0] == '-':
		return span(s, func(c byte) bool { return c == '-' })
	case strings.HasPrefix(s, "__"):
		return 2
	case s[0] == '.', s[0] == '_':
		return 1
	}
	return 0
}

// isTag reports whether s is a tag:
//
//	[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
func isTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && span(s, isTagByte) == len(s)
}

// isDigest reports whether d is a digest that the registry can verify.
func isDigest(d digest.Digest) bool {
	algorithm, encoded, _ := strings.Cut(string(d), ":")
	switch digest.Algorithm(algorithm) {
	case digest.SHA256:
		return len(encoded) == 64 && span(encoded, isHex) == len(encoded)
	case digest.SHA512:
		return len(encoded) == 128 && span(encoded, isHex) == len(encoded)
	}
	return false
}

// span returns how many bytes at the beginning of s are of a kind.
func span(s string, is func(byte) bool) int {
	for i := range len(s) {
		if !is(s[i]) {
			return i
		}
	}
	return len(s)
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func isHex(c byte) bool { return 'a' <= c && c <= 'f' || '0' <= c && c <= '9' }

func isTagByte(c byte) bool {
	return isLowerOrDigit(c) || 'A' <= c && c <= 'Z' || c == '.' || c == '_' || c == '-'
}

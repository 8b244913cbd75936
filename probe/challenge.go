package probe

import "strings"

// Limits of what a registry may say in WWW-Authenticate.
const (
	maxHeader     = 16 << 10 // bytes of one header field; what is longer is not read
	maxChallenges = 16
	maxParams     = 32 // in one challenge
)

// A challenge is one of those in WWW-Authenticate headers.
type challenge struct {
	scheme string            // in lower case
	params map[string]string // by name in lower case; a token68 is left out
}

// parseChallenges reads WWW-Authenticate header fields (RFC 9110, section 11.6.1).
// What is malformed ends the reading of its field: challenges in front of it are
// returned, the one that it is in is not. So is one that has a parameter twice,
// since clients would differ on which one counts.
func parseChallenges(fields []string) []challenge {
	var all []challenge
	for _, field := range fields {
		if len(field) > maxHeader {
			continue
		}
		s := scanner{rest: field}
		for len(all) < maxChallenges {
			s.separators()
			c, ok := s.challenge()
			if !ok {
				break
			}
			all = append(all, c)
		}
	}
	return all
}

// scanner reads a header field from its front.
type scanner struct{ rest string }

// challenge reads a scheme and its parameters, up to the next scheme.
func (s *scanner) challenge() (challenge, bool) {
	scheme := s.token()
	if scheme == "" {
		return challenge{}, false
	}
	c := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
	if s.spaces() == 0 || s.token68() {
		return c, s.atEnd()
	}
	for {
		s.separators()
		name, value, ok := s.param()
		if !ok {
			return challenge{}, false
		}
		if name == "" { // the next scheme, or the end
			return c, true
		}
		if _, twice := c.params[name]; twice || len(c.params) == maxParams {
			return challenge{}, false
		}
		c.params[name] = value
		if !s.atEnd() {
			return challenge{}, false
		}
	}
}

// param reads NAME=VALUE. name is "" where something else stands there, which is
// left in place.
func (s *scanner) param() (name, value string, ok bool) {
	before := *s
	name = strings.ToLower(s.token())
	s.spaces()
	if name == "" || !s.byte('=') {
		*s = before
		return "", "", true
	}
	s.spaces()
	if s.byte('"') {
		value, ok = s.quoted()
		return name, value, ok
	}
	value = s.token()
	return name, value, value != ""
}

// quoted reads a quoted string behind its first quote (RFC 9110, section 5.6.4).
func (s *scanner) quoted() (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case '\\':
			i++
			if i == len(s.rest) {
				return "", false
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// token68 reads what stands in place of parameters in some schemes, such as
// Negotiate; false where parameters follow.
func (s *scanner) token68() bool {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/", r) })
	if end < 0 {
		end = len(s.rest)
	}
	after := scanner{rest: strings.TrimLeft(s.rest[end:], "=")}
	if end == 0 || !after.atEnd() {
		return false
	}
	*s = after
	return true
}

// atEnd skips spaces and reports whether an element of the list ends there.
func (s *scanner) atEnd() bool {
	s.spaces()
	return s.rest == "" || s.rest[0] == ','
}

func (s *scanner) token() string {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) })
	if end < 0 {
		end = len(s.rest)
	}
	token := s.rest[:end]
	s.rest = s.rest[end:]
	return token
}

func (s *scanner) byte(b byte) bool {
	if s.rest == "" || s.rest[0] != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) spaces() int { return s.skip(" \t") }

// separators skips what may stand between two elements of a list, empty elements
// included.
func (s *scanner) separators() { s.skip(" \t,") }

func (s *scanner) skip(cutset string) int {
	before := len(s.rest)
	s.rest = strings.TrimLeft(s.rest, cutset)
	return before - len(s.rest)
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

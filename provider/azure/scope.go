package azure

import (
	"regexp"
	"strings"

	"regcred.dev"
)

// Limits of the setting "scope": what it lists is in the token, and the token in a
// header, for which common servers have 8 KiB.
const (
	maxScopes    = 32
	maxScopeText = 4 << 10
)

// validScope is the part of the registries' scope grammar that Azure documents
// (distribution's "Docker Registry Token Scope and Access"): TYPE:NAME:ACTIONS,
// without patterns in names.
var validScope = regexp.MustCompile(`^(?:repository|artifact-repository|registry):[a-z0-9]+(?:[._/-]+[a-z0-9]+)*:(?:\*|[a-z_]+(?:,[a-z_]+)*)$`)

// readScopes reads the setting "scope". A comma may separate scopes as well as
// actions: what has no colon is one more action of the scope before it.
func readScopes(c regcred.Credential, s *settings) error {
	text, ok := c.Settings[settingScope]
	if !ok {
		return nil
	}
	if len(text) > maxScopeText {
		return regcred.Errorf(regcred.Invalid, "the setting %q has %d bytes, at most %d are allowed", settingScope, len(text), maxScopeText)
	}
	s.scopes = splitScopes(text)
	if len(s.scopes) == 0 || len(s.scopes) > maxScopes {
		return regcred.Errorf(regcred.Invalid, "the setting %q has %d scopes: write 1 to %d", settingScope, len(s.scopes), maxScopes)
	}
	for _, scope := range s.scopes {
		if !validScope.MatchString(scope) {
			return regcred.Errorf(regcred.Invalid, "the setting %q: %.100q is no scope: write repository:NAME:pull, without patterns", settingScope, scope)
		}
	}
	return nil
}

func splitScopes(text string) []string {
	var scopes []string
	for field := range strings.FieldsSeq(text) {
		first := len(scopes)
		for part := range strings.SplitSeq(field, ",") {
			switch {
			case part == "":
			case strings.Contains(part, ":") || len(scopes) == first:
				scopes = append(scopes, part)
			default:
				scopes[len(scopes)-1] += "," + part
			}
		}
	}
	return scopes
}

package plugin

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"regcred.dev"
	"regcred.dev/internal/prompt"
)

// whoMay says who alters the credentials of a level.
var whoMay = map[regcred.Level]string{
	regcred.LevelFoundation:   "Registry credentials of the foundation are altered by admins.",
	regcred.LevelOrganization: "Registry credentials of an org are altered by its managers and by admins.",
	regcred.LevelSpace:        "Registry credentials of a space are altered by its developers and by admins.",
	regcred.LevelApp:          "Registry credentials of an app are altered by its space's developers and by admins.",
}

// explain returns an error of a command in the words of its user: with the names of the
// targets in place of their guids, and with what to do.
func (s *session) explain(c command, err error) error {
	if err == nil || errors.Is(err, prompt.ErrInterrupted) {
		return err
	}
	text := err.Error()
	for _, target := range []place{s.org, s.space} {
		if target.Guid != "" {
			text = strings.ReplaceAll(text, target.Guid, target.Name)
		}
	}
	code := regcred.CodeOf(err)
	switch {
	case code == regcred.Denied && c.changes():
		text = sentence(text) + " " + whoMay[c.level]
	case code == regcred.Unauthenticated:
		text = sentence(text) + " Use 'cf login' or 'cf login --sso' to log in."
	}
	return regcred.Errorf(code, "%s", capital(text))
}

// sentence ends a text with a full stop.
func sentence(text string) string { return strings.TrimSuffix(text, ".") + "." }

// capital begins a text with a capital letter, as the CLI does.
func capital(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[size:]
}

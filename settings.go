package regcred

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SetAll gives a credential its settings in place of those that it has, each where its
// field says: among those that may be shown or among the secrets. One without a field
// counts as none that is secret; Provider.Check refuses it.
//
// Errors: Invalid where a value holds control characters, which could end a header or a
// line where it is sent or shown. Keys and certificates in PEM have line breaks: fields
// that are secret or an admin's may.
func (info ProviderInfo) SetAll(c *Credential, settings map[string]Secret) error {
	fields := map[string]Field{}
	for _, f := range info.AllFields() {
		fields[f.Name] = f
	}
	c.Settings, c.Secrets = nil, nil
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value, field := settings[name], fields[name]
		if err := checkSetting(name, field, value.Reveal()); err != nil {
			return err
		}
		if field.Secret {
			c.Secrets = put(c.Secrets, name, value)
		} else {
			c.Settings = put(c.Settings, name, value.Reveal())
		}
	}
	return nil
}

func checkSetting(name string, field Field, value string) error {
	breaks := ""
	if field.Secret || field.Admin {
		breaks = "\r\n\t"
	}
	control := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(breaks, r) }
	if !utf8.ValidString(value) || strings.ContainsFunc(value, control) {
		return Errorf(Invalid, "the setting %q holds control characters, or is not UTF-8", name)
	}
	return nil
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}

package rules

import (
	"slices"
	"unicode/utf8"

	"regcred.dev"
)

// AuditEntry returns e as a store keeps it. Errors: Invalid.
func AuditEntry(e regcred.AuditEntry) (regcred.AuditEntry, error) {
	if e.Operation == "" || e.At.IsZero() {
		return e, regcred.Errorf(regcred.Invalid, "an audit entry needs an operation and a time")
	}
	for _, text := range []*string{&e.Caller, &e.From, &e.Operation, &e.Location, &e.GUID, &e.Repository, &e.Detail, &e.Scope.Org, &e.Scope.Space, &e.Scope.App} {
		*text = cut(*text)
	}
	e.At, e.Count = Time(e.At), max(e.Count, 1)
	return e, nil
}

// cut returns the text as valid UTF-8 of at most regcred.MaxAuditText bytes.
func cut(text string) string {
	if len(text) <= regcred.MaxAuditText && utf8.ValidString(text) {
		return text
	}
	out := []byte{}
	for _, r := range text {
		next := utf8.AppendRune(out, r)
		if len(next) > regcred.MaxAuditText {
			break
		}
		out = next
	}
	return string(out)
}

// Selects reports whether a query selects an entry.
func Selects(q regcred.AuditQuery, e regcred.AuditEntry) bool {
	in := func(values []string, value string) bool { return values == nil || slices.Contains(values, value) }
	return in(q.Callers, e.Caller) && in(q.Operations, e.Operation) && in(q.GUIDs, e.GUID) &&
		in(q.Repositories, e.Repository) &&
		(q.Allowed == nil || *q.Allowed == e.Allowed) &&
		!e.At.Before(q.Since) && (q.Before.IsZero() || e.At.Before(q.Before))
}

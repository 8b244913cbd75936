package api

import (
	"fmt"
	"reflect"
	"strings"

	"regcred.dev/client"
)

// What a body must be like is read from the types of package client: an object for a
// struct or map, a string for a string, and so on. null is for values of maps alone, where
// it removes one. How it is said is Cloud Foundry's: API v3 names all that is wrong, each
// by its field.

var (
	relationshipsType  = reflect.TypeFor[client.Relationships]()
	metadataType       = reflect.TypeFor[client.Metadata]()
	metadataChangeType = reflect.TypeFor[client.MetadataChange]()
)

// fieldsOf returns the types of a struct's fields, by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = deref(f.Type)
	}
	return fields
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// split returns what an object has of some fields, and the names of what it has besides.
func split(fields map[string]reflect.Type, object jsonValue) (known []member, unknown []string) {
	for _, m := range object.members {
		if fields[m.name] != nil {
			known = append(known, m)
		} else {
			unknown = append(unknown, cut(m.name))
		}
	}
	return known, unknown
}

// fieldProblems says what keeps an object from being of a type, nil where nothing does.
func fieldProblems(t reflect.Type, object jsonValue) (problems []string) {
	fields := fieldsOf(t)
	known, unknown := split(fields, object)
	if unknown != nil {
		problems = append(problems, unknownFields(unknown))
	}
	for _, m := range known {
		switch t := fields[m.name]; t {
		case relationshipsType:
			problems = append(problems, relationshipProblems(m.value)...)
		case metadataType, metadataChangeType:
			problems = append(problems, metadataProblems(t, m.value)...)
		default:
			problems = append(problems, valueProblems(t, m)...)
		}
	}
	return problems
}

func unknownFields(names []string) string {
	return "Unknown field(s): '" + strings.Join(names, "', '") + "'"
}

// kinds are what values of Go types are in JSON, and what Cloud Foundry calls them.
var kinds = map[reflect.Kind]struct {
	json byte
	word string
}{
	reflect.String: {'"', "a string"}, reflect.Bool: {'t', "a boolean"}, reflect.Slice: {'[', "an array"}, reflect.Map: {'{', "an object"},
}

// valueProblems says what keeps a field from being of a type.
func valueProblems(t reflect.Type, field member) (problems []string) {
	kind, name := kinds[t.Kind()], human(field.name)
	if field.value.kind != kind.json {
		return []string{name + " must be " + kind.word}
	}
	for _, item := range field.value.items {
		if item.kind != kinds[t.Elem().Kind()].json {
			return []string{name + " must be an array of strings"}
		}
	}
	for _, m := range field.value.members {
		if !mayHold(t, m.value) {
			problems = append(problems, fmt.Sprintf("%s '%s' must be a string", name, cut(m.name)))
		}
	}
	return problems
}

// mayHold reports whether a map of strings may have a value.
func mayHold(t reflect.Type, v jsonValue) bool {
	return v.kind == '"' || v.kind == 'n' && t.Elem().Kind() == reflect.Pointer
}

// relationshipProblems says what is wrong with relationships. That one names nothing is
// left to client.Relationships.Validate.
func relationshipProblems(v jsonValue) (problems []string) {
	if v.kind != '{' {
		return []string{"Relationships 'relationships' is not an object"}
	}
	known, unknown := split(fieldsOf(relationshipsType), v)
	if unknown != nil {
		problems = append(problems, "Relationships "+unknownFields(unknown))
	}
	for _, m := range known {
		data, one := m.value.get("data")
		guid, named := data.get("guid")
		switch {
		case !one || len(m.value.members) > 1, data.kind != 'n' && (!named || len(data.members) > 1):
			problems = append(problems, fmt.Sprintf(`Relationships %s must be structured like this: "%s: {"data": {"guid": "valid-guid"}}"`, human(m.name), m.name))
		case named && guid.kind != '"':
			problems = append(problems, fmt.Sprintf("Relationships %s guid must be a string", human(m.name)))
		}
	}
	return problems
}

// metadataProblems says what is wrong with metadata, as far as its shape goes:
// checkMetadata looks at the rest.
func metadataProblems(t reflect.Type, v jsonValue) (problems []string) {
	if v.kind != '{' {
		return []string{"Metadata must be an object"}
	}
	fields := fieldsOf(t)
	known, unknown := split(fields, v)
	if unknown != nil {
		problems = append(problems, "Metadata has unexpected field(s): '"+strings.Join(unknown, "' '")+"'")
	}
	for _, m := range known {
		if m.value.kind != '{' && m.value.kind != 'n' {
			problems = append(problems, fmt.Sprintf("Metadata '%s' is not an object", m.name))
		}
		for _, entry := range m.value.members {
			if !mayHold(fields[m.name], entry.value) {
				problems = append(problems, fmt.Sprintf("Metadata %s value error: '%s' must be a string", strings.TrimSuffix(m.name, "s"), cut(entry.name)))
			}
		}
	}
	return problems
}

// human returns the name of a field or parameter as Cloud Foundry's errors begin with it:
// "Per page" for "per_page".
func human(name string) string {
	name = strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(name[:1]) + name[1:]
}

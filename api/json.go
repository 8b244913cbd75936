package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"regcred.dev"
)

// Bounds of a body: how deep its values are nested (a relationship is at 4), and how many
// there are. A value of two bytes takes a hundred times that in memory while it is read.
const (
	maxDepth      = 10
	maxBodyValues = 5000
)

// decode reads a JSON object from the body into v, a pointer to a type of package client.
// What encoding/json would pass over is an error here: names that are unknown, written in
// another case or there twice, null in place of a value, text that is no Unicode.
//
// Errors: a requestError where it is no such JSON, TooLarge, and Invalid in the words of
// Cloud Foundry's API v3 where it is not of v's shape.
func decode(r call, v any) error {
	body, err := io.ReadAll(r.Body)
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return regcred.Errorf(regcred.TooLarge, "the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return badBody("it ends before its end")
	}
	value, err := parseBody(body)
	if err != nil {
		return err
	}
	if problems := fieldProblems(reflect.TypeOf(v).Elem(), value); len(problems) > 0 {
		return regcred.Errorf(regcred.Invalid, "%s", strings.Join(problems, ", "))
	}
	return json.Unmarshal(body, v)
}

// parseBody reads the shape of a JSON object. Errors say what is wrong without quoting it:
// it may hold a password.
func parseBody(body []byte) (jsonValue, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return jsonValue{}, badBody("the body is empty")
	}
	if !utf8.Valid(body) {
		return jsonValue{}, badBody("it is not UTF-8")
	}
	if syntax, bad := errors.AsType[*json.SyntaxError](json.Unmarshal(body, new(json.RawMessage))); bad {
		return jsonValue{}, badBody(fmt.Sprintf("malformed JSON at byte %d", syntax.Offset))
	}
	p := bodyParser{Decoder: json.NewDecoder(bytes.NewReader(body))}
	p.UseNumber() // a number may be too large for any type
	value, err := p.value(maxDepth)
	if err == nil && value.kind != '{' {
		err = badBody("it must be a JSON object")
	}
	return value, err
}

// jsonValue is the shape of a value in JSON.
type jsonValue struct {
	// kind is one of '{', '[', '"', '0' for numbers, 't' for true and false, and 'n' for
	// null.
	kind    byte
	members []member    // of an object, in order
	items   []jsonValue // of an array
}

// member is one of an object.
type member struct {
	name  string
	value jsonValue
}

// get returns the member of a name.
func (v jsonValue) get(name string) (jsonValue, bool) {
	for _, m := range v.members {
		if m.name == name {
			return m.value, true
		}
	}
	return jsonValue{}, false
}

// bodyParser reads what is known to be JSON.
type bodyParser struct {
	*json.Decoder
	values int // so far
}

// value reads the next value.
func (p *bodyParser) value(depth int) (jsonValue, error) {
	if depth == 0 {
		return jsonValue{}, badBody(fmt.Sprintf("it is nested deeper than %d levels", maxDepth))
	}
	if p.values++; p.values > maxBodyValues {
		return jsonValue{}, badBody(fmt.Sprintf("it has more than %d values", maxBodyValues))
	}
	token, err := p.Token()
	if err != nil {
		return jsonValue{}, badBody("malformed JSON")
	}
	switch token := token.(type) {
	case json.Delim:
		return p.composite(token, depth)
	case string:
		return jsonValue{kind: '"'}, checkText(token)
	case json.Number:
		return jsonValue{kind: '0'}, nil
	case bool:
		return jsonValue{kind: 't'}, nil
	}
	return jsonValue{kind: 'n'}, nil
}

// composite reads an object or array of which the first delimiter is read.
func (p *bodyParser) composite(open json.Delim, depth int) (jsonValue, error) {
	v := jsonValue{kind: byte(open)}
	seen := map[string]bool{}
	for p.More() {
		var name string
		if open == '{' {
			token, err := p.Token()
			if err != nil {
				return v, badBody("malformed JSON")
			}
			name, _ = token.(string)
			if err := checkText(name); err != nil {
				return v, err
			}
			if seen[name] {
				return v, badBody(fmt.Sprintf("'%s' is there twice", cut(name)))
			}
			seen[name] = true
		}
		value, err := p.value(depth - 1)
		if err != nil {
			return v, err
		}
		if open == '{' {
			v.members = append(v.members, member{name, value})
		} else {
			v.items = append(v.items, value)
		}
	}
	_, err := p.Token() // the delimiter at its end
	return v, err
}

// checkText refuses what is in the place of half a surrogate pair: encoding/json reads
// "\ud800" as U+FFFD, and a password would silently be another one.
func checkText(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return badBody("a string holds what is no character of Unicode")
	}
	return nil
}

// maxQuoted bounds what an error repeats of a name, in bytes.
const maxQuoted = 100

// cut returns a name as errors have it.
func cut(name string) string {
	if len(name) <= maxQuoted {
		return name
	}
	return strings.ToValidUTF8(name[:maxQuoted], "") + "..."
}

package dockerconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"regcred.dev"
)

// maxSize bounds a docker config file, and the record beside it, in bytes.
const maxSize = 4 << 20

const authsName = "auths"

// document is a docker config file whose entries can be changed; all else is kept
// byte for byte.
//
// The format is that of docker's own config library: an object whose member
// "auths" maps a registry to an object with the login, as base64 of
// "username:password" in "auth".
// https://docs.docker.com/reference/cli/docker/login/ names the other members.
type document struct {
	before, after []byte // white space around the object
	root          object
	auths         object
	layout        layout // of the root's members
	changed       bool
}

// parseDocument reads a file. One that is empty, or has white space alone, is an
// empty document, as docker takes it for one.
//
// Errors: Invalid, with the position, where it is not JSON, not an object, or its
// "auths" is neither an object nor null, or has a key twice.
func parseDocument(src []byte) (document, error) {
	d := document{layout: dockerLayout}
	text := bytes.Trim(src, " \t\r\n")
	if len(text) == 0 {
		d.after = []byte("\n")
		return d, nil
	}
	begin := countSpace(src)
	d.before, d.after = src[:begin], src[begin+len(text):]
	var valid json.RawMessage
	if err := json.Unmarshal(src, &valid); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return d, malformed(src, int(syntax.Offset)-1, "it is not valid JSON")
		}
		return d, malformed(src, begin, "it is not valid JSON")
	}
	var err error
	if d.root, err = parseObject(text, begin); err != nil {
		return d, malformed(src, begin, "it "+err.Error())
	}
	if len(d.root.members) > 0 {
		d.layout = d.root.layout(layout{})
	}
	return d, d.parseAuths(src)
}

func (d *document) parseAuths(src []byte) error {
	i := d.root.find(authsName)
	if i < 0 {
		return nil
	}
	m := d.root.members[i]
	if again := slices.IndexFunc(d.root.members[i+1:], func(m member) bool { return m.name == authsName }); again >= 0 {
		return malformed(src, d.root.members[i+1+again].at, `"auths" stands twice`)
	}
	if string(m.value) == "null" {
		return nil
	}
	var err error
	if d.auths, err = parseObject(m.value, m.at); err != nil {
		return malformed(src, m.at, `"auths" `+err.Error())
	}
	if name, twice := d.auths.duplicate(); twice {
		return malformed(src, m.at, fmt.Sprintf(`"auths" has the key %q twice`, name))
	}
	return nil
}

// malformed returns an error with the line and the column, in bytes, of an offset.
// It says nothing of what stands there: that may be a secret.
func malformed(src []byte, offset int, what string) error {
	before := src[:min(max(offset, 0), len(src))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return regcred.Errorf(regcred.Invalid, "line %d, column %d: %s", line, column, what)
}

// entry returns the value under a key of "auths".
func (d *document) entry(key string) (value []byte, ok bool) {
	i := d.auths.find(key)
	if i < 0 {
		return nil, false
	}
	return d.auths.members[i].value, true
}

// setEntry puts a value, which is JSON, under a key of "auths".
func (d *document) setEntry(key string, value []byte) {
	l := d.auths.layout(d.layout)
	d.auths.set(key, l.format(value), l)
	d.changed = true
}

// deleteEntry removes a key from "auths".
func (d *document) deleteEntry(key string) {
	d.auths.delete(key)
	d.changed = true
}

// text returns the file.
func (d *document) text() []byte {
	if d.root.find(authsName) >= 0 || len(d.auths.members) > 0 {
		d.root.set(authsName, d.auths.text(), d.layout)
	}
	return append(append(bytes.Clone(d.before), d.root.text()...), d.after...)
}

// member reads a member of the root into v, if there is one of v's type.
func (d *document) member(name string, v any) {
	if i := d.root.find(name); i >= 0 {
		_ = json.Unmarshal(d.root.members[i].value, v) // clients do not read it either
	}
}

// canonical returns a JSON value in a form that is equal for equal values: without
// white space, the members of objects sorted. Numbers stay as they were written.
func canonical(value []byte) []byte {
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return value
	}
	out, err := json.Marshal(v)
	if err != nil {
		return value
	}
	return out
}

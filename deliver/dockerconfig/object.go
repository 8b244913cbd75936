package dockerconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// object is a JSON object, split into the pieces of its source text, so that
// members can be set and deleted while every other byte stays as it was.
type object struct {
	members []member
	closing []byte // white space before the closing brace
}

// member is one member of an object. Its text is lead, head, value, tail.
type member struct {
	name  string
	lead  []byte // white space before the name
	head  []byte // the name as it was written, the colon, the white space around it
	value []byte
	tail  []byte // white space before the comma
	at    int    // where the value begins in the source
}

// parseObject splits src, which is valid JSON, trimmed, and begins at an offset of
// the whole source. It fails where src is no object.
func parseObject(src []byte, offset int) (object, error) {
	if len(src) == 0 || src[0] != '{' {
		return object{}, errors.New("is not an object")
	}
	var o object
	dec := json.NewDecoder(bytes.NewReader(src))
	if _, err := dec.Token(); err != nil {
		return object{}, err
	}
	end := 1 // of what is read so far, behind a comma
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return object{}, err
		}
		m := member{name: name.(string)}
		begin := end + countSpace(src[end:])
		m.lead = src[end:begin]
		colon := int(dec.InputOffset())
		colon += countSpace(src[colon:]) + 1
		value := colon + countSpace(src[colon:])
		m.head, m.at = src[begin:value], offset+value
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return object{}, err
		}
		end = int(dec.InputOffset())
		m.value = src[value:end]
		space := countSpace(src[end:])
		m.tail = src[end : end+space]
		end += space + 1 // the comma, or the closing brace
		o.members = append(o.members, m)
	}
	if n := len(o.members); n > 0 {
		o.closing, o.members[n-1].tail = o.members[n-1].tail, nil
	} else {
		o.closing = src[1 : len(src)-1]
	}
	return o, nil
}

// countSpace returns the length of the white space that b begins with.
func countSpace(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " \t\r\n")) }

// text returns the object's text.
func (o *object) text() []byte {
	out := []byte{'{'}
	for i, m := range o.members {
		if i > 0 {
			out = append(out, ',')
		}
		for _, piece := range [][]byte{m.lead, m.head, m.value, m.tail} {
			out = append(out, piece...)
		}
	}
	out = append(out, o.closing...)
	return append(out, '}')
}

// find returns the index of the member of that name, -1 where there is none.
func (o *object) find(name string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.name == name })
}

// duplicate returns a name that stands twice.
func (o *object) duplicate() (string, bool) {
	seen := make(map[string]bool, len(o.members))
	for _, m := range o.members {
		if seen[m.name] {
			return m.name, true
		}
		seen[m.name] = true
	}
	return "", false
}

// layout is how an object's members are laid out. The zero layout is all on one
// line.
type layout struct {
	lines  bool   // each member on a line of its own
	outer  string // the indentation of the object's braces
	inner  string // that of its members
	indent string // what a level adds
}

// dockerLayout is how docker lays out a file.
var dockerLayout = layout{lines: true, inner: "\t", indent: "\t"}

// layout returns the layout of an object's members; of an object that has none, the
// one that it gets as a member of an object with the layout outer.
func (o *object) layout(outer layout) layout {
	if len(o.members) == 0 {
		return layout{outer.lines, outer.inner, outer.inner + outer.indent, outer.indent}
	}
	lead := o.members[0].lead
	i := bytes.LastIndexByte(lead, '\n')
	if i < 0 {
		return layout{}
	}
	l := layout{lines: true, outer: outer.inner, inner: string(lead[i+1:]), indent: outer.indent}
	if l.indent == "" {
		l.indent = l.inner
	}
	return l
}

// set gives the member of that name a value, which is JSON in the layout already. A
// new member is added at the end.
func (o *object) set(name string, value []byte, l layout) {
	if i := o.find(name); i >= 0 {
		o.members[i].value = value
		return
	}
	m := member{name: name, head: append(quote(name), ':'), value: value}
	if l.lines {
		m.lead, m.head = []byte("\n"+l.inner), append(m.head, ' ')
		if len(o.members) == 0 {
			o.closing = []byte("\n" + l.outer)
		}
	}
	o.members = append(o.members, m)
}

// quote returns a string as JSON.
func quote(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // no string fails
	}
	return text
}

// delete removes the member of that name, if there is one.
func (o *object) delete(name string) {
	i := o.find(name)
	if i < 0 {
		return
	}
	o.members = slices.Delete(o.members, i, i+1)
	if len(o.members) == 0 {
		o.closing = nil
	}
}

// format lays out a value, which is JSON, as a member's.
func (l layout) format(value []byte) []byte {
	var b bytes.Buffer
	if l.lines {
		_ = json.Indent(&b, value, l.inner, l.indent)
	} else {
		_ = json.Compact(&b, value)
	}
	return b.Bytes()
}

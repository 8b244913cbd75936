package dockerconfig_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver/dockerconfig"
)

// ours are the entries that the tests set.
var ours = map[string]string{
	"r.example.com":               `{"auth":"b3Vycw=="}`,
	"https://index.docker.io/v1/": `{"auth":"b3Vycw==","email":"a@example.com"}`,
}

func TestEdit(t *testing.T) {
	tests := []struct {
		name string
		src  string
		keys string // set where ours has it, else deleted
		want string
	}{
		{"new file", "", "r.example.com",
			"{\n\t\"auths\": {\n\t\t\"r.example.com\": {\n\t\t\t\"auth\": \"b3Vycw==\"\n\t\t}\n\t}\n}\n"},
		{"no members", "{}", "r.example.com",
			"{\n\t\"auths\": {\n\t\t\"r.example.com\": {\n\t\t\t\"auth\": \"b3Vycw==\"\n\t\t}\n\t}\n}"},
		{"nothing to delete", `{ "a" :1 }`, "x", `{ "a" :1 }`},
		{"one line", `{"z":1.0,"auths":{"x":{}},"b":[ 1 ]}`, "r.example.com",
			`{"z":1.0,"auths":{"x":{},"r.example.com":{"auth":"b3Vycw=="}},"b":[ 1 ]}`},
		{"one line, no auths", ` {"b": 2} `, "r.example.com", ` {"b": 2,"auths":{"r.example.com":{"auth":"b3Vycw=="}}} `},
		{"null", `{"auths":null}`, "r.example.com", `{"auths":{"r.example.com":{"auth":"b3Vycw=="}}}`},
		{"null, nothing to set", `{"auths":null}`, "x", `{"auths":{}}`},
		{"two spaces", "{\n  \"auths\": {},\n  \"n\": 12345678901234567890.10\n}\n", "r.example.com",
			"{\n  \"auths\": {\n    \"r.example.com\": {\n      \"auth\": \"b3Vycw==\"\n    }\n  },\n  \"n\": 12345678901234567890.10\n}\n"},
		{"replace in place", "{\"auths\":{\n\"a\":{},\n\"r.example.com\" : {\"old\":1} ,\n\"b\":{}\n}}", "r.example.com",
			"{\"auths\":{\n\"a\":{},\n\"r.example.com\" : {\n\"auth\": \"b3Vycw==\"\n} ,\n\"b\":{}\n}}"},
		{"delete first", `{"auths":{"x":{}, "b":{}}}`, "x", `{"auths":{ "b":{}}}`},
		{"delete middle", `{"auths":{"a":{}, "x":{"y":[{}]}, "b":{}}}`, "x", `{"auths":{"a":{}, "b":{}}}`},
		{"delete last", "{\"auths\":{\n\t\"a\":{},\n\t\"x\":{}\n}}", "x", "{\"auths\":{\n\t\"a\":{}\n}}"},
		{"delete only", "{\"auths\":{\n\t\"x\":{}\n}}", "x", `{"auths":{}}`},
		{"escaped key", `{"auths":{"\u0072.example.com":{}}}`, "r.example.com", `{"auths":{"\u0072.example.com":{"auth":"b3Vycw=="}}}`},
		{"several", `{"auths":{"x":1}}`, "x https://index.docker.io/v1/ r.example.com",
			`{"auths":{"https://index.docker.io/v1/":{"auth":"b3Vycw==","email":"a@example.com"},"r.example.com":{"auth":"b3Vycw=="}}}`},
		{"bytes that are no UTF-8", "{\"\xff\":\"\xfe\",\"auths\":{}}", "r.example.com",
			"{\"\xff\":\"\xfe\",\"auths\":{\"r.example.com\":{\"auth\":\"b3Vycw==\"}}}"},
		{"other spellings", `{"Auths":{"x":1},"a":{"auths":{"x":1}}}`, "x", `{"Auths":{"x":1},"a":{"auths":{"x":1}}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := dockerconfig.Edit([]byte(test.src), ours, strings.Fields(test.keys))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

var malformed = []struct{ name, src, want string }{
	{"text", "hunter2hunter2", "line 1, column 1: it is not valid JSON"},
	{"truncated", "{\n\t\"auths\": {\"hunter2hunter2\": ", "line 2, column 29: it is not valid JSON"},
	{"trailing comma", "{\n  \"auths\": {},\n}", "line 3, column 1: it is not valid JSON"},
	{"two values", "{}\n{}", "line 2, column 1: it is not valid JSON"},
	{"byte order mark", "\xef\xbb\xbf{}", "line 1, column 1: it is not valid JSON"},
	{"an array", " [1]", "line 1, column 2: it is not an object"},
	{"a string", `"hunter2hunter2"`, "line 1, column 1: it is not an object"},
	{"auths an array", "{\n\"auths\": []}", `line 2, column 10: "auths" is not an object`},
	{"auths a string", `{"auths": "hunter2hunter2"}`, `line 1, column 11: "auths" is not an object`},
	{"auths twice", `{"x": 1, "x": 2, "auths": {}, "auths": {}}`, `line 1, column 40: "auths" stands twice`},
	{"a key twice", `{"auths": {"x": 1, "\u0078": 2}}`, `"auths" has the key "x" twice`},
	{"too deep", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "it is not valid JSON"},
}

func TestEditMalformed(t *testing.T) {
	for _, test := range malformed {
		t.Run(test.name, func(t *testing.T) {
			_, err := dockerconfig.Edit([]byte(test.src), ours, []string{"r.example.com"})
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2hunter2") {
				t.Errorf("the error shows what is in the file: %v", err)
			}
		})
	}
}

// FuzzEdit: whatever the file, an edit refuses it, or keeps all that it was not told
// to change, and changes what it was told to.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(`{"auths":{"x":{"auth":"eDp5"}},"credsStore":"desktop"}`), "r.example.com x")
	f.Add([]byte("{\n\t\"auths\": {\n\t\t\"r.example.com\": {}\n\t}\n}"), "r.example.com")
	f.Fuzz(func(t *testing.T, src []byte, keys string) {
		edited := strings.Fields(keys)
		out, err := dockerconfig.Edit(src, ours, edited)
		if err != nil {
			if regcred.CodeOf(err) != regcred.Invalid {
				t.Fatalf("error %v has the code %s", err, regcred.CodeOf(err))
			}
			return
		}
		before, after := members(t, src), members(t, out)
		authsBefore, authsAfter := members(t, before["auths"]), members(t, after["auths"])
		delete(before, "auths")
		delete(after, "auths")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("other members (-before +after):\n%s", diff)
		}
		for _, key := range edited {
			delete(authsBefore, key)
			value, want := authsAfter[key], ours[key]
			delete(authsAfter, key)
			if want == "" && value != nil || want != "" && !equalJSON(value, []byte(want)) {
				t.Errorf("the entry %q is %s, want %s", key, value, want)
			}
		}
		if diff := cmp.Diff(authsBefore, authsAfter); diff != "" {
			t.Errorf("other entries (-before +after):\n%s", diff)
		}
		again, err := dockerconfig.Edit(out, ours, strings.Fields(keys))
		if err != nil || !bytes.Equal(out, again) {
			t.Errorf("the same edit again: %v\n%s\n%s", err, out, again)
		}
	})
}

// members returns the members of an object as they are written. Nothing and null are
// empty objects.
func members(t *testing.T, src []byte) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(src)) == 0 {
		return m
	}
	if err := json.Unmarshal(src, &m); err != nil {
		t.Fatalf("not an object: %v\n%s", err, src)
	}
	if m == nil {
		m = map[string]json.RawMessage{}
	}
	return m
}

func equalJSON(a, b []byte) bool {
	var x, y any
	return errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)) == nil && cmp.Equal(x, y)
}

package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev"
	"regcred.dev/client"
)

// decodeText is decode for a body.
func decodeText(body string, v any) error {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, maxBody)
	return decode(call{Request: r}, v)
}

// requests are all types of bodies.
var requests = []any{client.CreateRequest{}, client.UpdateRequest{}, client.TokenRequest{}, client.KubeletRequest{}}

// TestDecode reads what there is to read, in each type of body.
func TestDecode(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, test := range []struct {
		body string
		want any
	}{
		{`{}`, &client.CreateRequest{}},
		{" \r\n{ } \t", &client.CreateRequest{}},
		{`{"location": "a", "password": "\u00e9\ud83d\ude00\u0000", "settings": {"Region": "", "region": "x"}}`,
			&client.CreateRequest{Location: "a", Password: "é😀\x00", Settings: map[string]string{"Region": "", "region": "x"}}},
		{`{"relationships": {}, "metadata": {}}`, &client.CreateRequest{Metadata: &client.Metadata{}}},
		{`{"metadata": {"labels": {"a": "1"}, "annotations": null}}`, &client.CreateRequest{Metadata: &client.Metadata{Labels: map[string]string{"a": "1"}}}},
		{`{"relationships": {"organization": {"data": {"guid": "o"}}, "space": {"data": null}}}`,
			&client.CreateRequest{Relationships: client.Relationships{Organization: client.Related("o"), Space: &client.ToOne{}}}},
		{`{"username": "u", "settings": {"a": null}, "metadata": {"labels": {"b": null}}}`,
			&client.UpdateRequest{Username: text("u"), Settings: map[string]*string{"a": nil}, Metadata: &client.MetadataChange{Labels: map[string]*string{"b": nil}}}},
		{`{"name": "n", "repositories": ["a", "b"]}`, &client.TokenRequest{Name: "n", Repositories: []string{"a", "b"}}},
		{`{"image": "a"}`, &client.KubeletRequest{Image: "a"}},
	} {
		got := reflect.New(reflect.TypeOf(test.want).Elem()).Interface()
		err := decodeText(test.body, got)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", test.body, err, diff)
		}
	}
}

// TestDecodeMalformed refuses what is no JSON object, by Cloud Foundry's code for it.
func TestDecodeMalformed(t *testing.T) {
	for body, want := range map[string]string{
		"":                                   "the body is empty",
		" \n":                                "the body is empty",
		"{":                                  "malformed JSON at byte 1",
		`{"username": "u",}`:                 "malformed JSON at byte 18",
		`{} {}`:                              "malformed JSON at byte 4",
		`{}]`:                                "malformed JSON at byte 3",
		`{'a': 1}`:                           "malformed JSON at byte 2",
		"{\"username\": \"\xff\"}":           "it is not UTF-8",
		`[]`:                                 "it must be a JSON object",
		`"x"`:                                "it must be a JSON object",
		`null`:                               "it must be a JSON object",
		`{"username": "a", "username": "b"}`: "'username' is there twice",
		`{"username": "a", "user\u006eame": "b"}`:                                  "'username' is there twice",
		`{"settings": {"a": "1", "a": null}}`:                                      "'a' is there twice",
		`{"password": "\ud800"}`:                                                   "a string holds what is no character of Unicode",
		`{"settings": {"\udfff": "x"}}`:                                            "a string holds what is no character of Unicode",
		`{"a": ` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`:         "it is nested deeper than 10 levels",
		`{"a": [` + strings.Repeat("1,", 5000) + `1]}`:                             "it has more than 5000 values",
		`{"a": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`: "malformed JSON at byte 10006",
	} {
		err := decodeText(body, new(client.UpdateRequest))
		bad, ok := errors.AsType[*requestError](err)
		if !ok || bad.status != http.StatusBadRequest || bad.code != 1001 || bad.detail != "Request invalid due to parse error: "+want {
			t.Errorf("%.60s: %v", body, err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), brokenBody{}))
	if err := decode(call{Request: r}, new(client.CreateRequest)); err == nil || !strings.Contains(err.Error(), "ends before its end") {
		t.Errorf("a connection that breaks: %v", err)
	}
	if err := decodeText(strings.Repeat(" ", maxBody+1), new(client.CreateRequest)); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("a long body: %v", err)
	}
}

// TestDecodeMemory: what reading a body takes is in proportion to its bytes, whatever small
// values it is made of.
func TestDecodeMemory(t *testing.T) {
	const most = 16 * maxBody
	for _, unit := range []string{"1,", `"",`, "[],", "{},", "[[[[]]]],", `{"a":1},`} {
		body := `{"x": [` + strings.Repeat(unit, (maxBody-10)/len(unit)) + `1]}`
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decodeText(body, new(client.CreateRequest))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > most {
			t.Errorf("%s: %d bytes for a body of %d, %v", unit, took, len(body), err)
		}
	}
}

// brokenBody is a body whose connection is lost.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestDecodeShape refuses, in Cloud Foundry's words, what is not of the type's shape.
func TestDecodeShape(t *testing.T) {
	structure := func(name, field string) string {
		return "Relationships " + name + ` must be structured like this: "` + field + `: {"data": {"guid": "valid-guid"}}"`
	}
	for _, test := range []struct{ body, want string }{
		{`{"colour": "red"}`, "Unknown field(s): 'colour'"},
		{`{"b": 1, "username": "u", "a": {}, "": null}`, "Unknown field(s): 'b', 'a', ''"},
		{`{"Username": "u"}`, "Unknown field(s): 'Username'"},
		{`{"` + strings.Repeat("é", 100) + `": 1}`, "Unknown field(s): '" + strings.Repeat("é", 50) + "...'"},
		{`{"username": 7}`, "Username must be a string"},
		{`{"username": null, "password": ["x"], "a": 1}`, "Unknown field(s): 'a', Username must be a string, Password must be a string"},
		{`{"settings": []}`, "Settings must be an object"},
		{`{"settings": null}`, "Settings must be an object"},
		{`{"settings": {"a": 1, "b": {}, "c": "x"}}`, "Settings 'a' must be a string, Settings 'b' must be a string"},
		{`{"settings": {"a": null}}`, "Settings 'a' must be a string"},
		{`{"relationships": null}`, "Relationships 'relationships' is not an object"},
		{`{"relationships": []}`, "Relationships 'relationships' is not an object"},
		{`{"relationships": {"team": {}, "user": 1}}`, "Relationships Unknown field(s): 'team', 'user'"},
		{`{"relationships": {"space": {"guid": "x"}}}`, structure("Space", "space")},
		{`{"relationships": {"space": "x", "organization": null}}`, structure("Space", "space") + ", " + structure("Organization", "organization")},
		{`{"relationships": {"space": {"data": "x"}}}`, structure("Space", "space")},
		{`{"relationships": {"space": {"data": []}}}`, structure("Space", "space")},
		{`{"relationships": {"space": {"data": [{"guid": "x"}]}}}`, structure("Space", "space")},
		{`{"relationships": {"space": {"data": {"guid": "x", "name": "y"}}}}`, structure("Space", "space")},
		{`{"relationships": {"space": {"data": {"guid": "x"}, "links": {}}}}`, structure("Space", "space")},
		{`{"relationships": {"space": {"data": {"guid": 7}}}}`, "Relationships Space guid must be a string"},
		{`{"metadata": null}`, "Metadata must be an object"},
		{`{"metadata": {"a": 1, "b": 2}}`, "Metadata has unexpected field(s): 'a' 'b'"},
		{`{"metadata": {"labels": [], "annotations": "x"}}`, "Metadata 'labels' is not an object, Metadata 'annotations' is not an object"},
		{`{"metadata": {"labels": {"a": null, "b": 1}}}`, "Metadata label value error: 'a' must be a string, Metadata label value error: 'b' must be a string"},
	} {
		err := decodeText(test.body, new(client.CreateRequest))
		if regcred.CodeOf(err) != regcred.Invalid || err.Error() != test.want {
			t.Errorf("%.80s: %v\nwant %s", test.body, err, test.want)
		}
	}
	for body, want := range map[string]string{
		`{"repositories": "a"}`:      "Repositories must be an array",
		`{"repositories": null}`:     "Repositories must be an array",
		`{"repositories": ["a", 1]}`: "Repositories must be an array of strings",
		`{"lifetime": 3600}`:         "Lifetime must be a string",
	} {
		if err := decodeText(body, new(client.TokenRequest)); regcred.CodeOf(err) != regcred.Invalid || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// FuzzDecode: what is taken is what encoding/json takes when it is strict, and says all that
// the body says; what is not is refused in words for users.
func FuzzDecode(f *testing.F) {
	f.Add(0, []byte(`{"location": "a", "password": "p", "settings": {"a": "b"}, "relationships": {"space": {"data": {"guid": "s"}}}}`))
	f.Add(1, []byte(`{"username": null, "metadata": {"labels": {"a": null}, "annotations": {"b": "c"}}, "x": 1}`))
	f.Add(2, []byte(`{"name": "n", "repositories": ["a", 1], "lifetime": "7d", "lifetime": ""}`))
	f.Add(3, []byte(`{"image": "\ud800"}`))
	f.Add(0, []byte(`[[[[[[[[[[[[1e999]]]]]]]]]]]]`))
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		of := reflect.TypeOf(requests[uint(kind)%uint(len(requests))])
		got := reflect.New(of).Interface()
		if err := decodeText(string(body), got); err != nil {
			checkRefusal(t, err)
			return
		}
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.DisallowUnknownFields()
		want := reflect.New(of).Interface()
		if err := dec.Decode(want); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%q: %v %s", body, err, cmp.Diff(want, got))
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		twice := reflect.New(of).Interface()
		if err := decodeText(string(again), twice); err != nil || !cmp.Equal(got, twice, cmpopts.EquateEmpty()) {
			t.Errorf("%q is written as %s: %v", body, again, err)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	bad, malformed := errors.AsType[*requestError](err)
	if code := regcred.CodeOf(err); !malformed && code != regcred.Invalid && code != regcred.TooLarge || malformed && bad.status != http.StatusBadRequest {
		t.Errorf("the error is %v", err)
	}
	if !utf8.ValidString(err.Error()) || strings.Contains(err.Error(), "json: ") {
		t.Errorf("the words are %q", err)
	}
}

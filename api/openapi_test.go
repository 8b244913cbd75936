package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"regcred.dev/api"
	"regcred.dev/client"
)

// errorBody is the answer to what fails.
var errorBody client.ErrorBody

var update = flag.Bool("update", false, "write openapi.json anew")

// TestOpenAPI makes the contract of the routes, the types of package client and their
// comments, and compares it with openapi.json.
func TestOpenAPI(t *testing.T) {
	if diff := routesWithout(operations); len(diff) > 0 {
		t.Fatalf("contract_test.go and the routes differ: %v", diff)
	}
	b := builder{docs: comments(t), schemas: map[string]any{}}
	made, err := json.MarshalIndent(b.document(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(made, api.OpenAPI()) {
		t.Error("openapi.json is not what the API is: go test ./api -run TestOpenAPI -update")
	}
}

func routesWithout(described map[string]operation) (diff []string) {
	for _, route := range api.Routes() {
		if _, ok := described[route]; !ok {
			diff = append(diff, "no "+route)
		}
	}
	for route := range described {
		if !slices.Contains(api.Routes(), route) {
			diff = append(diff, route+" is no route")
		}
	}
	return diff
}

// TestContractPage looks for every operation and body on the page for people.
func TestContractPage(t *testing.T) {
	h := api.New(api.Options{})
	page := get(t, h, "/openapi")
	for route := range operations {
		if !strings.Contains(page, "<h3>"+route+"</h3>") {
			t.Errorf("%s is not on the page", route)
		}
	}
	if !strings.Contains(page, `<h3 id="Credential">`) || strings.Contains(page, "ZgotmplZ") {
		t.Errorf("the page is\n%s", page)
	}
	if doc := get(t, h, "/openapi.json"); doc != string(api.OpenAPI()) {
		t.Errorf("/openapi.json answers %.100q", doc)
	}
}

func get(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d", path, w.Code)
	}
	return w.Body.String()
}

// builder makes an OpenAPI document.
type builder struct {
	docs    map[string]string // comments, by "Type" and "Type.Field"
	schemas map[string]any
}

type object = map[string]any

func (b *builder) document() object {
	paths := map[string]object{}
	for pattern, op := range operations {
		method, path, _ := strings.Cut(pattern, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(method)] = b.operation(path, op)
	}
	b.schema(reflect.TypeOf(errorBody))
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "regcred", "version": "1",
			"description": "Registry credentials by scope, and what is minted from them. The registry itself is served below /v2/ by the OCI distribution specification.",
			"license":     object{"name": "see the project"},
		},
		"security":   []any{object{"bearer": []any{}}},
		"paths":      paths,
		"components": object{"schemas": b.schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "description": "An API token, or a token of an issuer that the server is configured to trust, such as Cloud Foundry's UAA."}}},
	}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (b *builder) operation(path string, op operation) object {
	out := object{"summary": op.summary}
	if op.description != "" {
		out["description"] = op.description
	}
	var parameters []any
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range op.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.description, "schema": object{"type": "string"}})
	}
	if parameters != nil {
		out["parameters"] = parameters
	}
	if op.body != nil {
		out["requestBody"] = object{"required": true, "content": b.content(op.body)}
	}
	good := object{"description": cmp.Or(http.StatusText(op.status), "done")}
	if op.answer != nil {
		good["content"] = b.content(op.answer)
	}
	out["responses"] = object{
		strconv.Itoa(op.status): good,
		"default":               object{"description": "What is wrong, where, and what to do.", "content": b.content(errorBody)},
	}
	return out
}

func (b *builder) content(v any) object {
	return object{"application/json": object{"schema": b.schema(reflect.TypeOf(v))}}
}

// schema returns the schema of a type; those of structs are named, and referred to.
func (b *builder) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		of := b.schema(t.Elem())
		if kind, ok := of["type"].(string); ok && of["$ref"] == nil {
			of["type"] = []any{kind, "null"}
			return of
		}
		return object{"anyOf": []any{of, object{"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": b.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": b.schema(t.Elem())}
	case reflect.Struct:
		return b.reference(t)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.String:
		return object{"type": "string"}
	}
	panic(fmt.Sprintf("a field of the API has the type %s", t))
}

// generic finds the argument in the name of a page's type.
var generic = regexp.MustCompile(`^Page\[.*\.(\w+)\]$`)

func (b *builder) reference(t reflect.Type) object {
	name := t.Name()
	if m := generic.FindStringSubmatch(name); m != nil {
		name = m[1] + "List"
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if b.schemas[name] != nil {
		return ref
	}
	properties, required := object{}, []any{}
	out := object{"type": "object", "properties": properties}
	b.schemas[name] = out // before its fields, which may refer to it
	base, _, _ := strings.Cut(t.Name(), "[")
	if doc := b.docs[base]; doc != "" {
		out["description"] = doc
	}
	for field := range t.Fields() {
		key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		of := b.schema(field.Type)
		if doc := b.docs[base+"."+field.Name]; doc != "" {
			of = maps.Clone(of)
			of["description"] = doc
		}
		properties[key] = of
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if !optional && !strings.HasSuffix(base, "Request") {
			required = append(required, key)
		}
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return ref
}

// comments returns the comments on the types of package client and on their fields.
func comments(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	files := token.NewFileSet()
	for _, name := range []string{"../client/types.go", "../client/kubelet.go", "../client/registry.go", "../client/operation.go"} {
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				continue
			}
			for _, s := range decl.Specs {
				if spec, ok := s.(*ast.TypeSpec); ok {
					comment(docs, spec, decl.Doc.Text())
				}
			}
		}
	}
	return docs
}

func comment(docs map[string]string, spec *ast.TypeSpec, doc string) {
	docs[spec.Name.Name] = oneLine(doc)
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			docs[spec.Name.Name+"."+name.Name] = oneLine(cmp.Or(f.Doc.Text(), f.Comment.Text()))
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

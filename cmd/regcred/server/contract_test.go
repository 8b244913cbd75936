package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"regcred.dev/api"
)

// contract is the API's OpenAPI document, with schemas that allow nothing which it does
// not name.
type contract struct {
	compiler *jsonschema.Compiler
	doc      map[string]any

	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
}

const contractURL = "https://regcred.dev/openapi.json"

var theContract = sync.OnceValues(func() (*contract, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.OpenAPI()))
	if err != nil {
		return nil, err
	}
	c := &contract{compiler: jsonschema.NewCompiler(), doc: parsed.(map[string]any), compiled: map[string]*jsonschema.Schema{}}
	for _, s := range c.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		s.(map[string]any)["additionalProperties"] = false
	}
	c.compiler.AssertFormat()
	return c, c.compiler.AddResource(contractURL, c.doc)
})

// checkContract reports where an answer of the API is not as its contract says.
func checkContract(t *testing.T, method, path string, status int, body string) {
	t.Helper()
	pattern := patternOf(method, path)
	_, route, ok := strings.Cut(pattern, " ")
	if !ok {
		return // not of the API
	}
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	if problem := c.check(method, route, status, body); problem != nil {
		t.Errorf("%s %s: the answer %d is not as the contract says: %v\n%s", method, path, status, problem, body)
	}
}

func (c *contract) check(method, route string, status int, body string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	responses := c.doc["paths"].(map[string]any)[route].(map[string]any)[strings.ToLower(method)].(map[string]any)["responses"].(map[string]any)
	key := fmt.Sprint(status)
	if status >= http.StatusBadRequest {
		key = "default"
	}
	response, ok := responses[key].(map[string]any)
	if !ok {
		return fmt.Errorf("there is no such status")
	}
	if response["content"] == nil {
		if body != "" {
			return fmt.Errorf("there is a body")
		}
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return err
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace
	at := contractURL + "#/paths/" + escape(route) + "/" + strings.ToLower(method) + "/responses/" + key + "/content/application~1json/schema"
	if c.compiled[at] == nil {
		if c.compiled[at], err = c.compiler.Compile(at); err != nil {
			return err
		}
	}
	return c.compiled[at].Validate(value)
}

// TestContractTells shows that checkContract finds what it is there for.
func TestContractTells(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]any{"guid": "g", "accepted": true, "steps": []string{}}
	for name, test := range map[string]struct {
		status int
		change func(map[string]any)
		ok     bool
	}{
		"good":         {200, func(map[string]any) {}, true},
		"another one":  {201, func(map[string]any) {}, false},
		"missing":      {200, func(m map[string]any) { delete(m, "steps") }, false},
		"unknown":      {200, func(m map[string]any) { m["colour"] = "red" }, false},
		"null list":    {200, func(m map[string]any) { m["steps"] = nil }, false},
		"another type": {200, func(m map[string]any) { m["accepted"] = "yes" }, false},
		"no error":     {400, func(map[string]any) {}, false},
	} {
		body := maps.Clone(good)
		test.change(body)
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		err = c.check("POST", "/regcred/v1/registry_credentials/{guid}/actions/check", test.status, string(data))
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

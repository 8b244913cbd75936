package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// openAPI is the contract of the API, as an OpenAPI 3.1 document: tests make it, from
// the routes and the types of package client, and hold the handlers to it.
//
//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the contract of the API, as an OpenAPI 3.1 document.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

//go:embed openapi.html
var openAPIPage string

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
}

// contractPage is the contract for people, made at the first request.
var contractPage = sync.OnceValues(func() ([]byte, error) {
	page, err := template.New("openapi").Parse(openAPIPage)
	if err != nil {
		return nil, err
	}
	var doc contract
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, doc)
	return b.Bytes(), err
})

func (h *handler) serveContractPage(w http.ResponseWriter, r *http.Request) {
	page, err := contractPage()
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(page)
}

// contract is what the page shows of the document.
type contract struct {
	Info struct {
		Title       string `json:"title"`
		Description string `json:"description"`
	} `json:"info"`
	Paths      map[string]map[string]contractOperation `json:"paths"`
	Components struct {
		Schemas map[string]contractSchema `json:"schemas"`
	} `json:"components"`
}

type contractOperation struct {
	Summary     string                     `json:"summary"`
	Description string                     `json:"description"`
	Parameters  []contractParameter        `json:"parameters"`
	RequestBody *contractContent           `json:"requestBody"`
	Responses   map[string]contractContent `json:"responses"`
}

type contractParameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
}

type contractContent struct {
	Description string                   `json:"description"`
	Content     map[string]contractMedia `json:"content"`
}

type contractMedia struct {
	Schema contractSchema `json:"schema"`
}

type contractSchema struct {
	Ref         string                    `json:"$ref"`
	Type        any                       `json:"type"`
	Format      string                    `json:"format"`
	Description string                    `json:"description"`
	Properties  map[string]contractSchema `json:"properties"`
	Items       *contractSchema           `json:"items"`
	AnyOf       []contractSchema          `json:"anyOf"`
	Values      *contractSchema           `json:"additionalProperties"`
}

// contractRow is one operation of the page.
type contractRow struct {
	Method, Path string
	contractOperation
}

// Operations returns all operations, by path.
func (c contract) Operations() []contractRow {
	var rows []contractRow
	for _, path := range slices.Sorted(maps.Keys(c.Paths)) {
		for _, method := range []string{"get", "post", "patch", "delete"} {
			if op, ok := c.Paths[path][method]; ok {
				rows = append(rows, contractRow{strings.ToUpper(method), path, op})
			}
		}
	}
	return rows
}

// Schema returns the name of the schema of a JSON body, "" where there is none.
func (c contractContent) Schema() string { return c.Content["application/json"].Schema.Name() }

// Name says what a schema is, for people.
func (s contractSchema) Name() string {
	switch {
	case s.Ref != "":
		return strings.TrimPrefix(s.Ref, "#/components/schemas/")
	case s.Items != nil:
		return "list of " + s.Items.Name()
	case s.Values != nil:
		return "map of " + s.Values.Name()
	case len(s.AnyOf) > 0:
		return s.AnyOf[0].Name() + " or null"
	}
	switch t := s.Type.(type) {
	case string:
		return strings.TrimSpace(t + " " + s.Format)
	case []any:
		if first, ok := t[0].(string); ok {
			return strings.TrimSpace(first+" "+s.Format) + " or null"
		}
	}
	return "anything"
}

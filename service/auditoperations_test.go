package service_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"regcred.dev"
)

// TestAuditOperations: filters of the audit log know all operations that the service
// records, and they are sorted. Those of the registry are tried there.
func TestAuditOperations(t *testing.T) {
	if !slices.IsSorted(regcred.AuditOperations) {
		t.Error("AuditOperations are not sorted")
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			operation, ok := operationIn(n)
			if !ok {
				return true
			}
			found++
			if !slices.Contains(regcred.AuditOperations, operation) {
				t.Errorf("%s: regcred.AuditOperations lacks %q", name, operation)
			}
			return true
		})
	}
	if found < 25 {
		t.Errorf("only %d operations were found in the code", found)
	}
}

// operationIn returns the operation of an act that a node of the code writes down.
func operationIn(n ast.Node) (string, bool) {
	pair, ok := n.(*ast.KeyValueExpr)
	if !ok {
		return "", false
	}
	key, isName := pair.Key.(*ast.Ident)
	value, isText := pair.Value.(*ast.BasicLit)
	if !isName || !isText || key.Name != "operation" {
		return "", false
	}
	text, err := strconv.Unquote(value.Value)
	return text, err == nil
}

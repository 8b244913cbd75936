package importtest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestImports checks the module, files of integration tests included.
func TestImports(t *testing.T) {
	packages := list(t)
	if len(packages) < 100 {
		t.Fatalf("go list named %d packages, which cannot be all", len(packages))
	}
	for _, failure := range check(packages, rules, homes, distances) {
		t.Error(failure)
	}
}

// list returns the packages of the module and all that they depend on.
func list(t *testing.T) []pkg {
	t.Helper()
	watch(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=integration",
		"-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// watch looks at every file of the module, so that go test runs the test again
// where one has changed: what go list reads it does not see.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && (filepath.Ext(path) == ".go" || d.Name() == "go.mod") {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCheck has what the check has to find.
func TestCheck(t *testing.T) {
	rules := []rule{
		{packages: "regcred", imports: "imageref"},
		{packages: "imageref", libraries: "example.com/grammar"},
		{packages: "store/*", imports: "regcred", libraries: "any", tests: "refresh"},
		{packages: "cmd/...", imports: "regcred/...", libraries: "any"},
	}
	homes := []home{{library: "example.com/sql", packages: "store/a"}}
	distances := []distance{{packages: "cmd/small/...", from: "example.com/huge"}}
	fine := []pkg{
		{ImportPath: module, Imports: []string{"fmt", module + "/imageref"}},
		{ImportPath: module + "/imageref", Imports: []string{"example.com/grammar/v2"},
			XTestImports: []string{"testing", "example.com/any", module, module + "/imageref/data"}},
		{ImportPath: module + "/store/a", Imports: []string{module, "example.com/sql/driver"},
			XTestImports: []string{module + "/refresh"}},
		{ImportPath: module + "/cmd/small", Imports: []string{"example.com/hugely", module + "/store/a"}},
		{ImportPath: "example.com/grammar/v2", Imports: []string{"example.com/sql"}},
	}
	for _, test := range []struct {
		name string
		more pkg
		want string
	}{
		{"fine", pkg{ImportPath: "example.com/other"}, ""},
		{"no rule", pkg{ImportPath: module + "/new"},
			"new has no rule: add one to the table, with what it may import"},
		{"a pattern is whole segments", pkg{ImportPath: module + "/store/a/b"},
			"store/a/b has no rule: add one to the table, with what it may import"},
		{"sideways", pkg{ImportPath: module + "/store/b", Imports: []string{module + "/store/a"}},
			"store/b imports regcred.dev/store/a, which its rule (store/*) does not allow"},
		{"library", pkg{ImportPath: module + "/imageref", Imports: []string{"example.com/grammarian"}},
			"imageref imports example.com/grammarian, which its rule (imageref) does not allow"},
		{"test", pkg{ImportPath: module + "/store/b", TestImports: []string{module + "/cmd/small"}},
			"a test of store/b imports regcred.dev/cmd/small, which its rule (store/*) does not allow"},
		{"home", pkg{ImportPath: module + "/store/b", Imports: []string{"example.com/sql"}},
			"store/b imports example.com/sql, which only store/a may"},
		{"distance", pkg{ImportPath: "example.com/hugely", Imports: []string{"example.com/huge/part"}},
			"cmd/small is linked with example.com/huge/part, which it has to stay away from"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(check(slices.Concat(fine, []pkg{test.more}), rules, homes, distances), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("stale", func(t *testing.T) {
		stale := slices.Concat(rules, []rule{{packages: "keyring"}, {packages: "provider/*"}})
		want := []string{"the rule for keyring is stale: there is no such package"}
		if diff := cmp.Diff(want, check(fine, stale, homes, distances)); diff != "" {
			t.Error(diff)
		}
	})
}

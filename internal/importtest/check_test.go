package importtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const module = "regcred.dev"

// A pkg is a package as `go list -json` describes it.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// name returns the name of an import path of this module, and whether it is one.
func name(path string) (string, bool) {
	if path == module {
		return "regcred", true
	}
	return strings.CutPrefix(path, module+"/")
}

// check returns, sorted and in words, where packages do not keep to the table.
// The packages are those of the module and all that they depend on.
func check(packages []pkg, rules []rule, homes []home, distances []distance) []string {
	c := &checker{packages: map[string]pkg{}, rules: rules, used: make([]bool, len(rules))}
	for _, p := range packages {
		c.packages[p.ImportPath] = p
	}
	for _, p := range packages {
		if name, ours := name(p.ImportPath); ours {
			c.rule(name, p)
			c.homes(name, p, homes)
			c.distances(name, p, distances)
		}
	}
	for i, r := range rules {
		if !c.used[i] && !strings.Contains(r.packages, "*") && !strings.Contains(r.packages, "...") {
			c.failf("the rule for %s is stale: there is no such package", r.packages)
		}
	}
	slices.Sort(c.failures)
	return slices.Compact(c.failures)
}

type checker struct {
	packages map[string]pkg // by import path
	rules    []rule
	used     []bool // by rule
	failures []string
}

func (c *checker) failf(format string, args ...any) {
	c.failures = append(c.failures, fmt.Sprintf(format, args...))
}

// rule checks the imports of one package.
func (c *checker) rule(name string, p pkg) {
	i := slices.IndexFunc(c.rules, func(r rule) bool { return matches(r.packages, name) })
	if i < 0 {
		c.failf("%s has no rule: add one to the table, with what it may import", name)
		return
	}
	r := c.rules[i]
	c.used[i] = true
	for _, path := range p.Imports {
		if !c.allowed(path, r.imports, r.libraries) {
			c.failf("%s imports %s, which its rule (%s) does not allow", name, path, r.packages)
		}
	}
	tests := strings.Join([]string{name + "/...", r.imports, r.tests, inTests}, " ")
	for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
		if !c.allowed(path, tests, "any") {
			c.failf("a test of %s imports %s, which its rule (%s) does not allow", name, path, r.packages)
		}
	}
}

func (c *checker) allowed(path, imports, libraries string) bool {
	if name, ours := name(path); ours {
		return matches(imports, name)
	}
	return standard(path) || libraries == "any" || within(path, libraries)
}

// homes checks that one package imports no library whose home is elsewhere.
func (c *checker) homes(name string, p pkg, homes []home) {
	for _, h := range homes {
		for _, path := range p.Imports {
			if within(path, h.library) && !matches(h.packages, name) {
				c.failf("%s imports %s, which only %s may", name, path, h.packages)
			}
		}
	}
}

// distances checks that one package does not reach what it has to stay away from.
func (c *checker) distances(name string, p pkg, distances []distance) {
	for _, d := range distances {
		if !matches(d.packages, name) {
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(c.reach(p))) {
			if within(path, d.from) {
				c.failf("%s is linked with %s, which it has to stay away from", name, path)
			}
		}
	}
}

// reach returns the import paths of all that a package is linked with.
func (c *checker) reach(p pkg) map[string]bool {
	reached := map[string]bool{}
	todo := slices.Clone(p.Imports)
	for len(todo) > 0 {
		path := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !reached[path] {
			reached[path] = true
			todo = append(todo, c.packages[path].Imports...)
		}
	}
	return reached
}

// matches reports whether a name is one of a list, or matches a pattern in it.
func matches(list, name string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(pattern string) bool {
		return matchesOne(pattern, name)
	})
}

func matchesOne(pattern, name string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below == "regcred" || within(name, below)
	}
	p, n := strings.Split(pattern, "/"), strings.Split(name, "/")
	return len(p) == len(n) && slices.EqualFunc(p, n, func(a, b string) bool { return a == "*" || a == b })
}

// within reports whether an import path is one of a list, or lies below one.
func within(path, list string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(prefix string) bool {
		return path == prefix || strings.HasPrefix(path, prefix+"/")
	})
}

// standard reports whether an import path is of the standard library: its first
// segment has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

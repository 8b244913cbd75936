package token

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"regcred.dev"
)

// The actions of a Grant, as the registry protocol names them.
const (
	Pull   = "pull"
	Push   = "push"
	Delete = "delete"
)

// Actions are all actions.
var Actions = []string{Pull, Push, Delete}

// Grant allows actions on repositories of our own registry.
type Grant struct {
	// Repository is one repository ("acme/app"), all those below a path
	// ("acme/*": "acme/app" and "acme/team/app", but not "acme"), or all ("*").
	Repository string
	// Actions are some of Pull, Push and Delete. None of them implies another.
	Actions []string
}

// Allows reports whether the grant allows an action on a repository.
func (g Grant) Allows(repository, action string) bool {
	return g.Permits(action) && g.Covers(repository)
}

// Permits reports whether the action is one of the grant's.
func (g Grant) Permits(action string) bool { return slices.Contains(g.Actions, action) }

// Covers reports whether the repository is one of the grant's.
func (g Grant) Covers(repository string) bool {
	if repository == "" {
		return false
	}
	if prefix, ok := strings.CutSuffix(g.Repository, "*"); ok {
		return len(repository) > len(prefix) && strings.HasPrefix(repository, prefix)
	}
	return g.Repository == repository
}

// Validate returns an Invalid error where the repository is neither a repository
// path by the reference grammar, nor one followed by "/*", nor "*"; or where
// there is no action, or one that does not exist.
func (g Grant) Validate() error {
	if len(g.Actions) == 0 {
		return regcred.Errorf(regcred.Invalid, "the grant for %q has no action: use %s", g.Repository, strings.Join(Actions, ", "))
	}
	for _, a := range g.Actions {
		if !slices.Contains(Actions, a) {
			return regcred.Errorf(regcred.Invalid, "there is no action %q: use %s", a, strings.Join(Actions, ", "))
		}
	}
	if g.Repository == "*" {
		return nil
	}
	path, _ := strings.CutSuffix(g.Repository, "/*")
	if !isRepository(path) {
		return regcred.Errorf(regcred.Invalid, "%s is no repository: write one such as acme/app, acme/* for all below acme, or * for all", quote(g.Repository))
	}
	return nil
}

// isRepository asks the reference grammar; the host before the path is a stand-in.
func isRepository(path string) bool {
	if path == "" || len(path) > reference.RepositoryNameTotalLengthMax {
		return false
	}
	_, err := reference.WithName("registry.invalid/" + path)
	return err == nil
}

// quote shows user input in an error: escaped, and cut where it is long.
func quote(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q...", s[:100])
	}
	return fmt.Sprintf("%q", s)
}

package kubernetes

import (
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// system are Kubernetes' own namespaces. They are served where they are asked for.
var system = []string{"kube-system", "kube-public", "kube-node-lease"}

// Namespaces says which namespaces are served: those that Selector matches and
// Include names, where these are set, without those that Exclude names. Where
// neither is set, Kubernetes' own namespaces are left out. Those of Also are served in
// any case.
type Namespaces struct {
	// Selector is a label selector, in the syntax of kubectl's -l.
	Selector string
	// Include and Exclude are names, in which * and ? stand for any characters
	// (path.Match).
	Include, Exclude []string
	// Also are names of namespaces.
	Also []string
}

// selection is Namespaces, parsed.
type selection struct {
	Namespaces

	labels labels.Selector
}

// matches reports whether a namespace is served.
func (s selection) matches(name string, of labels.Set) bool {
	if slices.Contains(s.Also, name) {
		return true
	}
	if s.Selector == "" && len(s.Include) == 0 && slices.Contains(system, name) {
		return false
	}
	return s.labels.Matches(of) && (len(s.Include) == 0 || anyMatches(s.Include, name)) && !anyMatches(s.Exclude, name)
}

func anyMatches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, _ := path.Match(glob, name) // a malformed one is refused at the start
		return ok
	})
}

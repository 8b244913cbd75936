package service

import (
	"testing"

	"regcred.dev/registry"
)

// TestRegistryReport: what is lost is named before what is only garbage, whichever is
// found first, and no more than can be read.
func TestRegistryReport(t *testing.T) {
	var r RegistryReport
	for range MaxProblems - 1 {
		r.add(registry.Problem{Kind: registry.Garbage})
	}
	for _, repo := range []string{"a", "b", "c"} {
		r.add(registry.Problem{Kind: registry.ContentMissing, Repository: repo})
		r.add(registry.Problem{Kind: registry.Unnamed})
	}
	if r.Lost != 3 || r.Harmless != MaxProblems+2 || len(r.Problems) != MaxProblems {
		t.Errorf("%d lost, %d harmless, %d named", r.Lost, r.Harmless, len(r.Problems))
	}
	for i, repo := range []string{"a", "b", "c", ""} {
		if r.Problems[i].Repository != repo {
			t.Errorf("problem %d is %+v", i, r.Problems[i])
		}
	}
	for range MaxProblems {
		r.add(registry.Problem{Kind: registry.ContentMissing})
	}
	if r.Lost != MaxProblems+3 || len(r.Problems) != MaxProblems || r.Problems[MaxProblems-1].Kind != registry.ContentMissing {
		t.Errorf("%d lost, %d named, the last %+v", r.Lost, len(r.Problems), r.Problems[MaxProblems-1])
	}
}

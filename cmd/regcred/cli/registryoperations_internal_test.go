package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev/client"
)

// TestProgress says how far operations are.
func TestProgress(t *testing.T) {
	for want, o := range map[string]client.RegistryOperation{
		"collecting garbage --dry-run --force: begins": {Kind: "collect", DryRun: true, Force: true},
		"checking the registry, step 2 of 5: listing: 1 object": {
			Kind: "check", Progress: client.OperationProgress{Step: "listing", Number: 2, Steps: 5, Objects: 1},
		},
		"checking the registry --deep, step 6 of 6: reading all content: 7 objects, 1.5 MB of 2.0 GB": {
			Kind: "check", Deep: true,
			Progress: client.OperationProgress{Step: "reading all content", Number: 6, Steps: 6, Objects: 7, Bytes: 1.5e6, TotalBytes: 2e9},
		},
	} {
		if got := progress(o); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestListOperations has a line for each state.
func TestListOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no second passes while it is printed
		ended := time.Now().Add(-10 * time.Second)
		began := time.Now().Add(-2 * time.Minute)
		var out bytes.Buffer
		listOperations(&out, []client.RegistryOperation{
			{ID: "a", Kind: "check", StartedBy: "local", StartedAt: began, State: client.Running, Progress: client.OperationProgress{Step: "listing", Number: 1, Steps: 5}},
			{ID: "b", Kind: "check", StartedBy: "ci", StartedAt: began, EndedAt: &ended, State: client.Done, Check: &client.RegistryCheck{Lost: 2}},
			{ID: "c", Kind: "collect", StartedBy: "ci", StartedAt: began, EndedAt: &ended, State: client.Failed, Error: &client.ErrorItem{Detail: "no"}},
			{ID: "d", Kind: "collect", StartedBy: "ci", StartedAt: began, EndedAt: &ended, State: client.Done},
		})
		for _, want := range []string{
			"2m0s ago   -         step 1 of 5: listing\n", "10s ago   2 places where something is lost\n", "10s ago   failed: no\n", "10s ago   done\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	})
}

// TestDescribeCollection says how many tags there are besides those that are named.
func TestDescribeCollection(t *testing.T) {
	var out bytes.Buffer
	describeCollection(&out, client.Collection{DryRun: true, Dropped: 3, Tags: []string{"acme/app:1", "acme/app:2"}})
	want := `stored: 0 contents (0 B), which repositories have by 0 links
tag acme/app:1 would be dropped
tag acme/app:2 would be dropped
... and 1 more tag would be dropped
`
	if out.String() != want {
		t.Error(out.String())
	}
}

package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStartArgs chooses what the container image runs without arguments.
func TestStartArgs(t *testing.T) {
	serve := []string{"serve", "--listen", ":8440", "--public-url", "https://regcred.example.com"}
	for _, test := range []struct {
		name     string
		env      map[string]string
		commands string
		want     []string
		err      string
	}{
		{"server", map[string]string{"REGCRED_PUBLIC_URL": "https://regcred.example.com"}, "serve deis rancher", serve, ""},
		{"nobody reaches it", nil, "serve deis rancher", nil, "set REGCRED_PUBLIC_URL"},
		{"Deis", map[string]string{"DEIS_REGISTRY_LOCATION": "ecr"}, "serve deis rancher", []string{"deis"}, ""},
		{"Deis by empty variables", map[string]string{"DEIS_REGISTRY_LOCATION": "", "REGCRED_PUBLIC_URL": "https://regcred.example.com"}, "serve deis", serve, ""},
		{"Rancher", map[string]string{"CATTLE_URL": "http://rancher/v1", "REGCRED_PUBLIC_URL": "https://regcred.example.com"}, "serve deis rancher", []string{"rancher"}, ""},
		{"a Rancher that this version does not know", map[string]string{"CATTLE_URL": "http://rancher/v1", "REGCRED_PUBLIC_URL": "https://regcred.example.com"}, "serve", serve, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			has := func(name string) bool { return slices.Contains(strings.Fields(test.commands), name) }
			got, err := startArgs(func(name string) string { return test.env[name] }, has)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("it says %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

package kubelet_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFacts holds what dialects kubelet and deis take for granted about the kubelet,
// so that a newer one that differs says where.
func TestFacts(t *testing.T) {
	for _, test := range []struct {
		name  string
		image string
		keys  []string
		want  []string // the keys that are tried, in this order
	}{
		{"a host", "quay.io/org/app:1", []string{"quay.io", "gcr.io"}, []string{"quay.io"}},
		{"a scheme", "quay.io/org/app", []string{"https://quay.io"}, []string{"https://quay.io"}},
		{"a path is a string prefix", "quay.io/organization/app", []string{"quay.io/org"}, []string{"quay.io/org"}},
		{"unless it ends in a slash", "quay.io/organization/app", []string{"quay.io/org/"}, nil},
		{"which the repository itself does not match", "quay.io/org", []string{"quay.io/org/", "quay.io"}, []string{"quay.io"}},
		{"all that match are tried, deeper paths first", "quay.io/org/app",
			[]string{"quay.io", "quay.io/org/", "quay.io/org/app"}, []string{"quay.io/org/app", "quay.io/org/", "quay.io"}},
		{"an API version is no path", "quay.io/other/app", []string{"quay.io/v2/"}, []string{"quay.io/v2/"}},
		{"also where it is one", "quay.io/org/app", []string{"quay.io/v2/org/"}, []string{"quay.io/v2/org/"}},
		{"a port", "quay.io:5000/org/app", []string{"quay.io", "quay.io:5000"}, []string{"quay.io:5000"}},
		{"443 is a port like any other", "quay.io/org/app", []string{"quay.io:443"}, nil},
		{"no parent domain", "registry.example.com/app", []string{"example.com"}, nil},
		{"a glob is one label", "registry.example.com/app", []string{"*.example.com", "*.com"}, []string{"*.example.com"}},
		{"a glob comes after a name", "registry.example.com/app",
			[]string{"*.example.com", "registry.example.com"}, []string{"registry.example.com", "*.example.com"}},
		{"Docker Hub", "nginx", []string{"docker.io"}, []string{"docker.io"}},
		{"Docker Hub by docker's key", "acme/app", []string{"https://index.docker.io/v1/"}, []string{"https://index.docker.io/v1/"}},
		{"which also counts for hosts of one word", "localhost/app", []string{"https://index.docker.io/v1/", "docker.io"}, []string{"https://index.docker.io/v1/"}},
		{"Docker Hub by its servers' name", "nginx", []string{"registry-1.docker.io"}, nil},
		{"no IPv6 address without a port", "[fd00::1]/app", []string{"[fd00::1]"}, nil},
		{"IPv6 with a port", "[fd00::1]:5000/app", []string{"[fd00::1]:5000"}, []string{"[fd00::1]:5000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			type auth struct {
				Username string `json:"username"`
				Password string `json:"password"`
			}
			auths := map[string]auth{}
			for _, key := range test.keys {
				auths[key] = auth{key, "password"}
			}
			file, err := json.Marshal(map[string]any{"auths": auths})
			must(t, err)
			var got []string
			for _, l := range node(t, file)(test.image) {
				got = append(got, l.username)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

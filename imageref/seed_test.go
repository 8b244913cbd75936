package imageref_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCandidates has the examples of Cloud Foundry's document on registry
// credentials ("seed"), and the cases that follow from its rules.
func TestCandidates(t *testing.T) {
	for _, test := range []struct {
		name, image string
		want        []string
	}{
		{"seed: registry.example.com/repo/image:tag", "registry.example.com/repo/image:tag",
			[]string{"registry.example.com/repo/image", "registry.example.com/repo", "registry.example.com", "example.com"}},
		{"seed: REPO/IMAGE:TAG", "acme/app:1",
			[]string{"docker.io/acme/app", "docker.io/acme", "docker.io/library", "docker.io"}},
		{"seed: one name", "nginx", []string{"docker.io/library/nginx", "docker.io/library", "docker.io"}},
		{"Docker Hub written out", "docker.io/acme/app", []string{"docker.io/acme/app", "docker.io/acme", "docker.io"}},
		{"Docker Hub's other name", "index.docker.io/acme/app", []string{"docker.io/acme/app", "docker.io/acme", "docker.io"}},
		{"below Docker Hub's other name", "a.index.docker.io/x", []string{"a.index.docker.io/x", "a.index.docker.io", "docker.io"}},
		{"library in the path", "docker.io/library/nginx", []string{"docker.io/library/nginx", "docker.io/library", "docker.io"}},
		{"port kept by parents", "a.b.example.com:5000/x", []string{"a.b.example.com:5000/x", "a.b.example.com:5000", "b.example.com:5000", "example.com:5000"}},
		{"port 443", "r.example.com:443/x", []string{"r.example.com/x", "r.example.com", "example.com"}},
		{"case", "R.Example.COM/x", []string{"r.example.com/x", "r.example.com", "example.com"}},
		{"IPv4", "10.0.0.1:5000/x", []string{"10.0.0.1:5000/x", "10.0.0.1:5000"}},
		{"IPv6", "[FD00:0::1]:5000/x", []string{"[fd00::1]:5000/x", "[fd00::1]:5000"}},
		{"localhost", "localhost/x", []string{"localhost/x", "localhost"}},
		{"public suffix", "registry.example.co.uk/x", []string{"registry.example.co.uk/x", "registry.example.co.uk", "example.co.uk"}},
		{"private suffix", "acme.github.io/x", []string{"acme.github.io/x", "acme.github.io"}},
		{"ECR", "123456789012.dkr.ecr.us-east-1.amazonaws.com/x", []string{"123456789012.dkr.ecr.us-east-1.amazonaws.com/x", "123456789012.dkr.ecr.us-east-1.amazonaws.com"}},
		{"GCR region", "us.gcr.io/p/x", []string{"us.gcr.io/p/x", "us.gcr.io/p", "us.gcr.io"}},
		{"ACR", "acme.azurecr.io/x", []string{"acme.azurecr.io/x", "acme.azurecr.io"}},
		{"JFrog below its tenant", "docker.acme.jfrog.io/x", []string{"docker.acme.jfrog.io/x", "docker.acme.jfrog.io", "acme.jfrog.io"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, names(image(t, test.image).Candidates())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

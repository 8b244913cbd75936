package kubelet_test

import (
	"flag"
	"os"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// rapid's default of 100 cases finds too little here.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("2000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// login is what a node sends to a registry.
type login struct{ username, password string }

// node returns what a node tries for an image of a pod whose only pull secret holds
// the docker config file: login after login, until the registry takes one. It does
// what the kubelet's image manager does (pkg/kubelet/images/image_manager.go,
// makeLookupPullCredentialsFunc).
func node(t rapid.TB, file []byte) func(image string) []login {
	t.Helper()
	secret := v1.Secret{
		Type: v1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{v1.DockerConfigJsonKey: file},
	}
	ring, err := secrets.MakeDockerKeyring([]v1.Secret{secret}, credentialprovider.UnionDockerKeyring{})
	must(t, err)
	return func(image string) (list []login) {
		found, _ := ring.Lookup(repository(t, image))
		for _, auth := range found {
			list = append(list, login{auth.Username, auth.Password})
		}
		return list
	}
}

// repository returns an image's name as the kubelet looks it up: with its host, and
// without tag and digest.
func repository(t rapid.TB, image string) string {
	t.Helper()
	name, _, _, err := parsers.ParseImageName(image)
	must(t, err)
	return name
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

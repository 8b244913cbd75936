package clients_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	podmanref "go.podman.io/image/v5/docker/reference"
	podman "go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/types"
)

// login is what a client sends; the zero login is none.
type login struct{ username, password string }

// client finds the login for an image in a docker config file.
type client struct {
	name string
	find func(t testing.TB, dir, image string) login
}

// The clients read dir/config.json and nothing else: isolate sees to that.
var (
	dockerClient     = client{"docker/cli", findDocker}
	craneClient      = client{"go-containerregistry", findCrane}
	containersClient = client{"go.podman.io/image", findContainers}
)

// isolate keeps clients from the configuration of the machine and its user, and
// returns the directory that they read config.json from.
func isolate(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	dir := filepath.Join(home, ".docker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", dir)
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, home)
	}
	for _, name := range []string{"DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE"} {
		t.Setenv(name, "")
	}
	return dir
}

func configFile(dir string) string { return filepath.Join(dir, "config.json") }

// findDocker does what docker's CLI does before a pull (cli/command/registry.go,
// RetrieveAuthTokenFromImage): it asks for the login of the image's domain.
func findDocker(t testing.TB, dir, image string) login {
	named, err := reference.ParseNormalizedNamed(image)
	must(t, err)
	file := configfile.New(configFile(dir))
	f, err := os.Open(file.Filename)
	must(t, err)
	defer f.Close()
	must(t, file.LoadFromReader(f))
	auth, err := file.GetAuthConfig(reference.Domain(named))
	must(t, err)
	return login{auth.Username, auth.Password}
}

func findCrane(t testing.TB, _, image string) login {
	ref, err := name.ParseReference(image)
	must(t, err)
	found, err := authn.DefaultKeychain.Resolve(ref.Context())
	must(t, err)
	auth, err := found.Authorization()
	must(t, err)
	return login{auth.Username, auth.Password}
}

func findContainers(t testing.TB, dir, image string) login {
	named, err := podmanref.ParseNormalizedNamed(image)
	must(t, err)
	system := &types.SystemContext{
		AuthFilePath:                configFile(dir),
		SystemRegistriesConfPath:    os.DevNull,
		SystemRegistriesConfDirPath: filepath.Join(dir, "none"),
	}
	auth, err := podman.GetCredentialsForRef(system, podmanref.TrimNamed(named))
	must(t, err)
	return login{auth.Username, auth.Password}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

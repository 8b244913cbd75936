package clients_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	helper "github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-cmp/cmp"
	podman "go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/types"

	"regcred.dev"
	api "regcred.dev/client"
)

// hubKey is docker's name for Docker Hub.
const hubKey = "https://index.docker.io/v1/"

// patience bounds what should take an instant.
const patience = 20 * time.Second

// stored are the credentials of organization acme at the server of these tests. The
// password of each is "password of LOCATION".
var stored = []string{"registry.example.com", "registry.example.com:5000", "docker.io", "paths.example.com/team"}

func passwordOf(location string) string { return "password of " + location }

// programs builds regcred's programs, and has them found in PATH. It comes before
// isolate, which hides the cache of go build.
func programs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	command(t, "go", "build", "-C", "../..", "-o", dir, "./cmd/regcred", "./cmd/docker-credential-regcred")
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return dir
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// serve runs a server with what is stored, and sets the environment in which
// docker-credential-regcred asks it for the logins of acme.
func serve(t *testing.T) {
	t.Helper()
	data := t.TempDir()
	var log strings.Builder
	server := exec.Command("regcred", "serve", "--data-dir", data, "--listen", "127.0.0.1:0")
	server.Stdout, server.Stderr = &log, &log
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		if err := server.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, log.String())
		}
	})
	local := api.NewLocal(filepath.Join(data, "regcred.sock"))
	status := await(t, local)
	acme := api.RelationshipsOf(regcred.OrgScope("acme"))
	for _, location := range stored {
		_, err := local.CreateCredential(t.Context(), api.CreateRequest{
			Location: location, Username: "user", Password: passwordOf(location), Relationships: acme,
		})
		must(t, err)
	}
	token, err := local.CreateToken(t.Context(), api.TokenRequest{Name: "clients", Role: "target", Relationships: acme})
	must(t, err)
	t.Setenv("REGCRED_SERVER", status.LocalURL)
	t.Setenv("REGCRED_TOKEN", token.Secret)
	t.Setenv("REGCRED_ORG", "acme")
}

// await returns the server's status once it answers.
func await(t *testing.T, c *api.Client) api.Status {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		status, err := c.Status(t.Context())
		if err == nil {
			return status
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v", err)
		}
	}
}

// TestHelper has clients ask docker-credential-regcred.
func TestHelper(t *testing.T) {
	programs(t)
	dir := isolate(t)
	serve(t)
	t.Run("docker-credential-helpers", testProtocol)
	for _, test := range []struct {
		client client
		config string // of a docker config file
	}{
		{dockerClient, `"credsStore": "regcred"`},
		{craneClient, `"credsStore": "regcred"`},
		{dockerClient, credHelpers("registry.example.com", "registry.example.com:5000", hubKey, "none.example.com", "paths.example.com")},
		{craneClient, credHelpers("registry.example.com", "registry.example.com:5000", hubKey, "none.example.com", "paths.example.com")},
		{containersClient, credHelpers("registry.example.com", "registry.example.com:5000", "docker.io", "none.example.com", "paths.example.com")},
	} {
		key, _, _ := strings.Cut(test.config, ":")
		t.Run(test.client.name+" with "+key, func(t *testing.T) {
			must(t, os.WriteFile(configFile(dir), []byte("{"+test.config+"}"), 0o600))
			testImages(t, dir, test.client)
		})
	}
	t.Run("all of docker/cli", func(t *testing.T) { testAll(t, dir) })
	t.Run("changes by go.podman.io/image", func(t *testing.T) { testChanges(t, dir) })
}

// credHelpers names docker-credential-regcred for some hosts.
func credHelpers(hosts ...string) string {
	named := map[string]string{}
	for _, host := range hosts {
		named[host] = "regcred"
	}
	text, err := json.Marshal(named)
	if err != nil {
		panic(err)
	}
	return `"credHelpers": ` + string(text)
}

// testImages looks up images as a client does before it pulls them. Where there is no
// login it finds none, and no error: it pulls as nobody.
func testImages(t *testing.T, dir string, c client) {
	for image, location := range map[string]string{
		"registry.example.com/acme/app:1":      "registry.example.com",
		"registry.example.com:5000/acme/app:1": "registry.example.com:5000",
		"docker.io/acme/app":                   "docker.io",
		"acme/app":                             "docker.io",
		"nginx":                                "docker.io",
		"none.example.com/acme/app":            "",
		"registry.example.com:5001/acme/app":   "",
		"paths.example.com/team/app":           "", // a whole host is all that the protocol can ask for
	} {
		want := login{}
		if location != "" {
			want = login{"user", passwordOf(location)}
		}
		if got := c.find(t, dir, image); got != want {
			t.Errorf("%s: the client found %v, want %v", image, got, want)
		}
	}
}

// testProtocol speaks the protocol by its own library.
func testProtocol(t *testing.T) {
	program := helper.NewShellProgramFunc("docker-credential-regcred")
	for asked, location := range map[string]string{
		hubKey:                                "docker.io",
		"docker.io":                           "docker.io",
		"index.docker.io":                     "docker.io",
		"registry.example.com":                "registry.example.com",
		"https://registry.example.com":        "registry.example.com",
		"https://registry.example.com:443/v2": "registry.example.com",
		"Registry.Example.com:5000":           "registry.example.com:5000",
	} {
		got, err := helper.Get(program, asked)
		if err != nil {
			t.Errorf("%s: %v", asked, err)
			continue
		}
		want := &credentials.Credentials{ServerURL: asked, Username: "user", Secret: passwordOf(location)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	for _, asked := range []string{"none.example.com", "registry.example.com.evil", "example.com", "registry.example.com:5001", "paths.example.com", "https://index.docker.io.evil/v1/"} {
		if got, err := helper.Get(program, asked); !credentials.IsErrCredentialsNotFound(err) {
			t.Errorf("%s: it gave %v, %v, which is not that there is none", asked, got, err)
		}
	}
	if _, err := helper.Get(program, ""); err == nil || !strings.Contains(err.Error(), credentials.NewErrCredentialsMissingServerURL().Error()) {
		t.Errorf("asked for nothing it says %v", err)
	}
	testWrites(t, program)
	t.Setenv("REGCRED_TOKEN", "rcat_wrong_token")
	if _, err := helper.Get(program, "registry.example.com"); err == nil || credentials.IsErrCredentialsNotFound(err) {
		t.Errorf("with a wrong token it says %v: a client would go on without a login", err)
	}
}

// testWrites lists, and changes what cannot be changed.
func testWrites(t *testing.T, program helper.ProgramFunc) {
	err := helper.Store(program, &credentials.Credentials{ServerURL: "new.example.com", Username: "user", Secret: "canary-4711"})
	if err == nil || !strings.Contains(err.Error(), "regcred credential create") || strings.Contains(err.Error(), "canary") {
		t.Errorf("storing ends with %v", err)
	}
	must(t, helper.Erase(program, "registry.example.com"))
	users, err := helper.List(program)
	must(t, err)
	want := map[string]string{hubKey: "user", "registry.example.com": "user", "registry.example.com:5000": "user"}
	if diff := cmp.Diff(want, users); diff != "" {
		t.Error(diff)
	}
}

// testAll gets all logins at once, as docker does for a build.
func testAll(t *testing.T, dir string) {
	file := configfile.New(configFile(dir))
	file.CredentialsStore = "regcred"
	all, err := file.GetAllCredentials()
	must(t, err)
	got := map[string]login{}
	for key, auth := range all {
		got[key] = login{auth.Username, auth.Password}
	}
	want := map[string]login{
		hubKey:                      {"user", passwordOf("docker.io")},
		"registry.example.com":      {"user", passwordOf("registry.example.com")},
		"registry.example.com:5000": {"user", passwordOf("registry.example.com:5000")},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(login{})); diff != "" {
		t.Error(diff)
	}
}

// testChanges logs in and out as podman does.
func testChanges(t *testing.T, dir string) {
	must(t, os.WriteFile(configFile(dir), []byte("{"+credHelpers("registry.example.com")+"}"), 0o600))
	system := &types.SystemContext{AuthFilePath: configFile(dir), SystemRegistriesConfPath: os.DevNull, SystemRegistriesConfDirPath: filepath.Join(dir, "none")}
	_, err := podman.SetCredentials(system, "registry.example.com", "user", "canary-4711")
	if err == nil || !strings.Contains(err.Error(), "regcred credential create") {
		t.Errorf("logging in ends with %v", err)
	}
	must(t, podman.RemoveAuthentication(system, "registry.example.com"))
	if got := findContainers(t, dir, "registry.example.com/acme/app"); got != (login{"user", passwordOf("registry.example.com")}) {
		t.Errorf("logged out, it found %v", got)
	}
}

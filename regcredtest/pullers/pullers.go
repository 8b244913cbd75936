// Package pullers has programs of others that pull images, for integration tests: docker,
// containerd, podman and skopeo.
package pullers

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"regcred.dev/regcredtest/internal/program"
)

// Login is what a client logs in with. The zero Login is nobody's.
type Login struct{ User, Password string }

// Puller pulls an image, HOST:PORT/REPOSITORY:TAG, over HTTP. Every pull starts with
// nothing.
type Puller func(t *testing.T, image string, as Login) error

// Start returns the clients by their names, and runs what they need until the test ends.
// It fails where one is missing that REGCRED_WITHOUT does not name.
func Start(t *testing.T) map[string]Puller {
	t.Helper()
	clients := map[string]Puller{}
	if Have(t, "skopeo", "skopeo") {
		clients["skopeo"] = skopeo
	}
	if Have(t, "podman", "podman") {
		clients["podman"] = podman
	}
	if Have(t, "dockerd", "docker.io") && Have(t, "docker", "docker.io") {
		dir := startDocker(t)
		clients["docker"] = docker(dir)
		if Have(t, "ctr", "containerd") {
			clients["containerd"] = containerd(dir)
		}
	}
	return clients
}

// Have reports whether a program is there, or is to be gone without. One that is missing
// fails the test, unless REGCRED_WITHOUT names it.
func Have(t *testing.T, name, debian string) bool {
	t.Helper()
	if slices.Contains(strings.Fields(os.Getenv("REGCRED_WITHOUT")), name) {
		t.Logf("LEFT OUT: %s, as REGCRED_WITHOUT says", name)
		return false
	}
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is not installed: install it (Debian: apt-get install %s), or set REGCRED_WITHOUT=%s", name, debian, name)
	}
	return true
}

// Serve starts a program that runs until the test ends, with more in its environment, and
// waits until it is ready.
func Serve(t *testing.T, ready func() error, env []string, name string, args ...string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := program.Run(log, append(os.Environ(), env...), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.End)
	said := func() []byte {
		text, _ := os.ReadFile(log) // nothing is said then
		return text
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(program.StartTimeout); ; <-tick.C {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.Ended:
			t.Fatalf("%s does not run here; set REGCRED_WITHOUT=%s to go without it\n%s", name, name, said())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready within %s: %v\n%s", name, program.StartTimeout, err, said())
		}
	}
}

func run(t *testing.T, name string, args ...string) error {
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// shortDir returns a temporary directory whose name is short enough for sockets in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "regcred-") //nolint:usetesting // its names are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // files of images have the modes that those say
		_ = exec.Command("chmod", "-R", "u+rwX", dir).Run()
		_ = os.RemoveAll(dir)
	})
	return dir
}

// with returns a flag for a login, nothing for nobody's.
func (l Login) with(flag string) []string {
	if l == (Login{}) {
		return nil
	}
	return []string{flag, l.User + ":" + l.Password}
}

func skopeo(t *testing.T, image string, as Login) error {
	args := append([]string{"--insecure-policy", "copy", "--all", "--src-tls-verify=false"}, as.with("--src-creds")...)
	return run(t, "skopeo", append(args, "docker://"+image, "dir:"+t.TempDir())...)
}

func podman(t *testing.T, image string, as Login) error {
	dir := shortDir(t)
	args := []string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs", "pull", "--quiet", "--tls-verify=false"}
	return run(t, "podman", append(append(args, as.with("--creds")...), image)...)
}

// startDocker starts Docker's engine, and the containerd that it brings, in a directory.
func startDocker(t *testing.T) (dir string) {
	t.Helper()
	dir = shortDir(t)
	ready := func() error {
		return exec.CommandContext(t.Context(), "docker", "-H", dockerSocket(dir), "version").Run()
	}
	Serve(t, ready, nil, "dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid", "-H", dockerSocket(dir),
		"--bridge", "none", "--iptables=false", "--ip-forward=false", "--storage-driver", "vfs", "--insecure-registry", "127.0.0.0/8")
	return dir
}

func dockerSocket(dir string) string { return "unix://" + dir + "/s" }

func docker(dir string) Puller {
	return func(t *testing.T, image string, as Login) error {
		config := t.TempDir()
		if as != (Login{}) {
			host, _, _ := strings.Cut(image, "/")
			auth := base64.StdEncoding.EncodeToString([]byte(as.User + ":" + as.Password))
			data, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(config, "config.json"), data, 0o600); err != nil {
				return err
			}
		}
		if err := run(t, "docker", "--config", config, "-H", dockerSocket(dir), "pull", image); err != nil {
			return err
		}
		return run(t, "docker", "-H", dockerSocket(dir), "rmi", image)
	}
}

func containerd(dir string) Puller {
	return func(t *testing.T, image string, as Login) error {
		ctr := []string{"--address", dir + "/exec/containerd/containerd.sock", "--namespace", "regcred", "images"}
		pull := append(slices.Clone(ctr), "pull", "--plain-http", "--snapshotter", "native")
		if err := run(t, "ctr", append(append(pull, as.with("--user")...), image)...); err != nil {
			return err
		}
		return run(t, "ctr", append(ctr, "rm", "--sync", image)...)
	}
}

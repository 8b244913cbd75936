//go:build integration

package registry_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"regcred.dev"
	"regcred.dev/regcredtest/pullers"
	"regcred.dev/registry"
)

// tool runs one client. A client that is missing fails the test, unless
// REGCRED_WITHOUT names it.
type tool struct {
	t    *testing.T
	name string
	args []string // in front of each command's
}

// run runs a command, which has to succeed or fail, and returns what it printed.
func (c tool) run(succeed bool, args ...string) string {
	c.t.Helper()
	logins := filepath.Join(c.t.TempDir(), "auth.json")
	if err := os.WriteFile(logins, []byte("{}"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(c.t.Context(), c.name, append(slices.Clone(c.args), args...)...)
	cmd.Env = append(os.Environ(), "REGISTRY_AUTH_FILE="+logins)
	out, err := cmd.CombinedOutput()
	if (err == nil) != succeed {
		c.t.Errorf("%s %s: %v\n%s", c.name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// openHarness has an image in a public and in a private repository, and one that this
// machine may push to without a login.
func openHarness(t *testing.T) *harness {
	h := newPolicyHarness(t, registry.Policy{
		{Pattern: "public/*", Public: true},
		{Pattern: "deis/*", PushFrom: prefixes("127.0.0.0/8")},
	})
	admin := h.admin(t)
	for _, repo := range []string{"public/app", "private/app"} {
		if err := remote.Write(h.ref(t, repo+":v1"), randomImage(t), remote.WithAuth(authFor(admin))); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestSkopeoWithoutLogin pulls what is public, pushes from where that needs no login,
// and is kept from all else.
func TestSkopeoWithoutLogin(t *testing.T) {
	if !pullers.Have(t, "skopeo", "skopeo") {
		return
	}
	h, c := openHarness(t), tool{t, "skopeo", []string{"--insecure-policy"}}
	image := func(name string) string { return "docker://" + h.host + "/" + name }
	dir := "dir:" + filepath.Join(t.TempDir(), "image")
	const plain = "--src-tls-verify=false"
	c.run(true, "inspect", "--tls-verify=false", image("public/app:v1"))
	c.run(true, "list-tags", "--tls-verify=false", image("public/app"))
	c.run(true, "copy", plain, image("public/app:v1"), dir)
	if out := c.run(false, "copy", plain, image("private/app:v1"), dir+"-private"); !strings.Contains(out, "unauthorized") {
		t.Errorf("a private one: %s", out)
	}
	c.run(true, "copy", "--dest-tls-verify=false", dir, image("deis/app:v1"))
	c.run(true, "inspect", "--tls-verify=false", image("deis/app:v1"))
	c.run(false, "copy", "--dest-tls-verify=false", dir, image("public/app:v2"))
	c.run(false, "delete", "--tls-verify=false", image("deis/app:v1"))
	c.login(h)
}

// TestPodmanWithoutLogin does the same as TestSkopeoWithoutLogin.
func TestPodmanWithoutLogin(t *testing.T) {
	if !pullers.Have(t, "podman", "podman") {
		return
	}
	h, dir := openHarness(t), t.TempDir()
	c := tool{t, "podman", []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}}
	t.Cleanup(func() { // files of images have the modes that those say
		_ = exec.Command("chmod", "-R", "u+rwX", dir).Run()
	})
	c.run(true, "pull", "--tls-verify=false", h.host+"/public/app:v1")
	c.run(false, "pull", "--tls-verify=false", h.host+"/private/app:v1")
	c.run(true, "push", "--tls-verify=false", h.host+"/public/app:v1", "docker://"+h.host+"/deis/app:v1")
	c.run(false, "push", "--tls-verify=false", h.host+"/public/app:v1", "docker://"+h.host+"/public/app:v2")
	c.login(h)
}

// login logs in: that much is public does not make every password good.
func (c tool) login(h *harness) {
	c.t.Helper()
	secret, err := h.customer(c.t, regcred.RolePuller, "private/*")
	if err != nil {
		c.t.Fatal(err)
	}
	c.run(true, "login", "--tls-verify=false", "-u", "customer", "-p", secret.Reveal(), h.host)
	c.run(false, "login", "--tls-verify=false", "-u", "customer", "-p", "wrong", h.host)
}

//go:build integration

package publish_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"regcred.dev/regcredtest/pullers"
)

// command returns how to run a client, and false where that is to be gone without. One
// that is missing fails the test, unless REGCRED_WITHOUT names it.
func command(t *testing.T, name string) (run func(args ...string) string, ok bool) {
	t.Helper()
	if !pullers.Have(t, name, name) {
		return nil, false
	}
	return func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}, true
}

// TestSkopeoDockerV1 pulls images of v1 with skopeo.
func TestSkopeoDockerV1(t *testing.T) {
	skopeo, ok := command(t, "skopeo")
	if !ok {
		return
	}
	e, app, tool := v1Export(twice...)
	o := ownServer(t)
	publishAll(t, o.dst, openFiles(t, e.Files()))
	for tag, id := range map[string]string{"latest": app, "tool": tool} {
		file := filepath.Join(t.TempDir(), "image.tar")
		skopeo("--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+hostOf(t, o.url)+"/acme/app:"+tag, "docker-archive:"+file)
		img, err := tarball.ImageFromPath(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(original(t, e, id), fileSystemOf(t, img)); diff != "" {
			t.Errorf("%s: %s", tag, diff)
		}
	}
}

// TestPodmanDockerV1 pulls images of v1 with podman, and looks at what it unpacks.
func TestPodmanDockerV1(t *testing.T) {
	podman, ok := command(t, "podman")
	if !ok {
		return
	}
	e, app, tool := v1Export()
	o := ownServer(t)
	publishAll(t, o.dst, openFiles(t, e.Files()))
	dir := t.TempDir()
	store := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
	for tag, id := range map[string]string{"latest": app, "tool": tool} {
		image := hostOf(t, o.url) + "/acme/app:" + tag
		podman(append(store, "pull", "--quiet", "--tls-verify=false", image)...)
		mounted := podman(append(store, "image", "mount", image)...)
		if diff := cmp.Diff(original(t, e, id), fileSystemBelow(t, mounted)); diff != "" {
			t.Errorf("%s: %s", tag, diff)
		}
		podman(append(store, "image", "umount", image)...)
	}
}

// fileSystemBelow reads a directory.
func fileSystemBelow(t *testing.T, dir string) fileSystem {
	t.Helper()
	found := fileSystem{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		in, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		switch d.Type() {
		case fs.ModeDir:
			found[in] = "directory"
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			found[in] = "-> " + target
		default:
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			found[in] = "file " + string(data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

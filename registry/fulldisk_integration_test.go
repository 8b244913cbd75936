//go:build integration

package registry_test

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestFullFileSystem is TestFullDisk on a small file system that is mounted for it.
func TestFullFileSystem(t *testing.T) {
	if d := startOwnDisk(t); d != nil {
		d.testFullDisk()
	}
}

// TestFullFileSystemIsCollected: there is room again once garbage was collected on a disk
// that is full to the last block, though that takes writes, and pushes take every block
// that gets free.
func TestFullFileSystemIsCollected(t *testing.T) {
	d := startOwnDisk(t)
	if d == nil {
		return
	}
	kept, large := []string{"config", "layer"}, strings.Repeat("garbage ", 1<<17)
	if a := d.push("kept", kept...); a.status != 201 {
		d.t.Fatal(a)
	}
	if a := d.push("dropped", "another", large); a.status != 201 {
		d.t.Fatal(a)
	}
	d.tell("full 0")
	for _, path := range []string{
		"manifests/" + digest.FromString(imageManifest("another", large)).String(),
		"blobs/" + digest.FromString("another").String(), "blobs/" + digest.FromString(large).String(),
	} {
		d.want(path, d.do("DELETE", "/v2/dropped/"+path, ""), 202, "")
	}
	next := strings.Repeat("another ", 1<<16)
	for range 2 { // to condemn content, and to delete it
		d.tell("full 0")
		if !d.refused("push", d.push("next", "config", next)) {
			t.Fatal("there is room on a full disk")
		}
		d.tell("collect")
	}
	if a := d.push("next", "config", next); a.status != 201 || !d.has("next", "config", next) || !d.has("kept", kept...) {
		t.Errorf("after the garbage is gone: %d %s", a.status, a.body)
	}
}

// startOwnDisk starts a child on a file system of its own. Where nothing can be mounted
// it fails; where REGCRED_WITHOUT names mount it returns nil, and says so.
func startOwnDisk(t *testing.T) *disk {
	t.Helper()
	if slices.Contains(strings.Fields(os.Getenv("REGCRED_WITHOUT")), "mount") {
		t.Log("LEFT OUT: a full file system, as REGCRED_WITHOUT says")
		return nil
	}
	d, err := startDisk(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}, ownDisk+"=1")
	if err != nil {
		t.Fatalf("no file system can be mounted here, which takes user namespaces: allow them, or set REGCRED_WITHOUT=mount: %v", err)
	}
	return d
}

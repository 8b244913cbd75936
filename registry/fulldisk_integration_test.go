//go:build integration

package registry_test

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFullFileSystem is TestFullDisk on a small file system that is mounted for it.
// Where nothing can be mounted it fails, unless REGCRED_WITHOUT names mount.
func TestFullFileSystem(t *testing.T) {
	if slices.Contains(strings.Fields(os.Getenv("REGCRED_WITHOUT")), "mount") {
		t.Log("LEFT OUT: a full file system, as REGCRED_WITHOUT says")
		return
	}
	d, err := startDisk(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}, ownDisk+"=1")
	if err != nil {
		t.Fatalf("no file system can be mounted here, which takes user namespaces: allow them, or set REGCRED_WITHOUT=mount: %v", err)
	}
	d.testFullDisk()
}

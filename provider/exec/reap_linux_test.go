package exec_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"regcred.dev/provider/exec"
)

// TestReaped runs a careless helper where orphans become this process's children, as
// in a container whose process 1 it is: no zombie stays.
func TestReaped(t *testing.T) {
	setSubreaper(t, 1)
	defer setSubreaper(t, 0)
	dir := directory(t)
	p := exec.New(exec.Options{Dirs: []string{dir}})
	if _, err := p.Mint(t.Context(), credential(t, "registry.example.com", "careless")); err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, dir, "child")
	eventually(t, "the child is waited for", func() bool {
		_, err := os.Stat(fmt.Sprint("/proc/", pid))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// setSubreaper sets prctl(2)'s PR_SET_CHILD_SUBREAPER.
func setSubreaper(t *testing.T, on uintptr) {
	t.Helper()
	const prSetChildSubreaper = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, on, 0); errno != 0 {
		t.Fatal(errno)
	}
}

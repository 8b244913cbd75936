//go:build unix

package exec

import (
	"errors"
	"io/fs"
	"os"
	osexec "os/exec"
	"syscall"
)

// setGroup gives a program a process group of its own, which its children are in
// unless they leave it.
func setGroup(cmd *osexec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills all processes of the group that p began. A group keeps its number
// while any process is in it, and numbers are taken in turn: right after p has ended it
// is that group or none.
func killGroup(p *os.Process) error {
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// reapGroup sees that no zombies stay of the group that p began, where its processes
// became children of this one: where that is process 1 of a container. Elsewhere it
// does nothing. It does not wait for them.
func reapGroup(p *os.Process) {
	if _, err := syscall.Wait4(-p.Pid, nil, syscall.WNOHANG, nil); errors.Is(err, syscall.ECHILD) {
		return
	}
	go func() {
		for {
			_, err := syscall.Wait4(-p.Pid, nil, 0, nil)
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	}()
}

func executable(info fs.FileInfo) bool { return info.Mode()&0o111 != 0 }

func writableByAll(info fs.FileInfo) bool { return info.Mode()&0o002 != 0 }

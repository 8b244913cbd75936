package program

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process where the test's is killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

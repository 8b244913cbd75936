//go:build !unix

package exec

import (
	"io/fs"
	"os"
	osexec "os/exec"
)

// setGroup does nothing: there are no process groups here.
func setGroup(*osexec.Cmd) {}

// killGroup kills the program alone.
func killGroup(p *os.Process) error { return p.Kill() }

// reapGroup does nothing: there are no zombies here.
func reapGroup(*os.Process) {}

// executable and writableByAll cannot be told from a file's mode here.
func executable(fs.FileInfo) bool { return true }

func writableByAll(fs.FileInfo) bool { return false }

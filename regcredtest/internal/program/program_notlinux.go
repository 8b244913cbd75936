//go:build !linux

package program

import "os/exec"

// dieWithParent does nothing where the kernel does not.
func dieWithParent(*exec.Cmd) {}

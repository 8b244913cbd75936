// Package program runs the programs of others that tests need.
package program

import (
	"context"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// StartTimeout bounds how long a program may take until it is ready.
const StartTimeout = time.Minute

// Process is a program that runs. A nil one has ended.
type Process struct {
	cmd *exec.Cmd
	// Ended is closed once it has.
	Ended chan struct{}
}

// Run starts a program with an environment, nil for that of the test; its output goes
// to a file. It ends with the test's process at the latest, where the kernel sees to that.
func Run(log string, env []string, program string, args ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, Ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it was killed, or its log says why it ended
		close(p.Ended)
	}()
	return p, nil
}

// PID returns its id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends it at once, and waits until it has.
func (p *Process) Kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.Ended
}

// End asks it to end, and waits until it has.
func (p *Process) End() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	<-p.Ended
}

// FreeAddress returns an address of the loopback interface whose port was free just
// now.
func FreeAddress() (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

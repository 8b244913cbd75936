package s3test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"time"
)

// startTimeout bounds how long the server may take until it is ready.
const startTimeout = time.Minute

// process is a program that runs. A nil one has ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// run starts a program, whose output goes to a file.
func run(log string, env []string, program string, args ...string) (*process, error) {
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
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it was killed, or its log says why it ended
		close(p.ended)
	}()
	return p, nil
}

// kill ends the process at once, and waits until it has.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// freeAddress returns an address of the loopback interface whose port was free just
// now.
func freeAddress() (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

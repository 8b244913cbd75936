package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds how long anything may take that is waited for.
const patience = 2 * time.Minute

// process is a server that runs.
type process struct {
	addr  string
	cmd   *exec.Cmd
	ended chan struct{}
	log   bytes.Buffer // read it once the process has ended
}

// start starts a server, and waits until it answers a path on its address.
// env is added to its environment.
func start(ctx context.Context, addr, ready string, env []string, program string, args ...string) (*process, error) {
	p := &process{addr: addr, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // the operator's choice
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.WaitDelay = time.Second // for processes of its own that outlive it
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: see `make bench-registry` for what it takes", err)
	}
	go func() {
		_ = p.cmd.Wait() // its log says why it ended
		close(p.ended)
	}()
	if err := p.wait(ctx, "http://"+addr+ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: %w\n%s", program, err, p.log.String())
	}
	return p, nil
}

// wait waits until a URL is answered.
func (p *process) wait(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < http.StatusInternalServerError {
				return nil
			}
		}
		select {
		case <-p.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer %s: %w", url, ctx.Err())
		case <-tick.C:
		}
	}
}

// kill ends the server and waits until it has. One that has processes of its own ends
// them, if it is given the time.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// why returns an error with all that the server said, if it has ended: then its clients
// know no more than that their connections were reset.
func (p *process) why() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %s\n%s", p.cmd.Path, p.cmd.ProcessState, p.log.String())
	default:
		return nil
	}
}

// peakMemory returns the most memory that the server ever had, in MiB.
func (p *process) peakMemory() (float64, error) { return memoryOf(p.cmd.Process.Pid, "VmHWM") }

// peakHeap returns peakMemory without what is mapped of the program's file.
func (p *process) peakHeap() (float64, error) {
	peak, err := p.peakMemory()
	if err != nil {
		return 0, err
	}
	file, err := memoryOf(p.cmd.Process.Pid, "RssFile")
	return peak - file, err
}

// memoryOf returns a field of /proc/PID/status (proc_pid_status(5)), in MiB.
func memoryOf(pid int, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), field+":")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 64)
	return kib / 1024, err
}

// freeAddress returns an address of the loopback interface whose port was free just
// now.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

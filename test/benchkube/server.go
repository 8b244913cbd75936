package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"regcred.dev/client"
	"regcred.dev/test/figures"
)

// patience bounds how long anything may take that is waited for.
const patience = 2 * time.Minute

// configuration is that of the measured regcred: all as it is by default, but for the
// limit of requests, which a cluster's API server would set.
const configuration = `data_dir: %[1]s
listen: 127.0.0.1:0
credentials:
- location: 123456789012.dkr.ecr.us-east-1.amazonaws.com
  provider: ecr
  settings:
    region: us-east-1
    endpoint: %[2]s
    access-key-id: %[3]s
    secret-access-key: env:BENCH_SECRET_KEY
targets:
- kubernetes:
    kubeconfig: %[4]s
    namespaces: {selector: "` + ownerLabel + ` in (` + ofRegcred + `, ` + ofBoth + `)"}
    qps: 100000
    burst: 100000
`

// server is a regcred that runs.
type server struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	log    bytes.Buffer // read it once the process has ended
	client *client.Client
}

// start starts a regcred that has nothing yet.
func (p *plant) start(ctx context.Context) (*server, error) {
	dir, err := os.MkdirTemp(p.dir, "data-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "regcred.yaml")
	text := fmt.Sprintf(configuration, dir, p.issuer.URL, accessKey, p.kubeconfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &server{ended: make(chan struct{}), client: client.NewLocal(filepath.Join(dir, "regcred.sock"))}
	s.cmd = exec.CommandContext(ctx, p.program, "serve", "--config", config) //nolint:gosec // the operator's choice
	s.cmd.Env = append(os.Environ(), "BENCH_SECRET_KEY="+secretKey)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // its log says why it ended
		close(s.ended)
	}()
	return s, nil
}

// kill ends the server at once, where it has not ended.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// stop ends the server as an operator does.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("regcred has ended by itself: %w\n%s", err, s.output())
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		s.kill()
		return fmt.Errorf("regcred does not end\n%s", s.output())
	}
}

// output returns what the server logged last.
func (s *server) output() string {
	s.kill()
	text := s.log.String()
	return text[max(0, len(text)-4000):]
}

// mint has the server mint a new login.
func (s *server) mint(ctx context.Context) error {
	list, err := s.client.Credentials(ctx, nil)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("the server has %d credentials in place of 1", len(list))
	}
	_, err = s.client.RefreshCredential(ctx, list[0].GUID, false)
	return err
}

// peakMemory returns the most memory that the process ever had, in MiB.
func (s *server) peakMemory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("the kernel does not say VmHWM of process %d", s.cmd.Process.Pid)
}

func (s *server) reportMemory(r *figures.Report, limit float64, namespaces int) error {
	peak, err := s.peakMemory()
	if err == nil {
		r.NoisyAtMost(limit, fmt.Sprintf("kubernetes-%d-peak-memory", namespaces), peak, "MiB")
	}
	return err
}

// ticksPerSecond is USER_HZ, which is 100 on every architecture that Go runs on.
const ticksPerSecond = 100

// processorTime returns what the process has used of it so far.
func (s *server) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses; utime and stime are
	// the 14th and 15th (proc_pid_stat(5)).
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

//go:build unix

package exec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/exec"
)

// patience bounds what should take an instant.
const patience = 20 * time.Second

// TestKilled ends mints of helpers that never end: they and their children go.
func TestKilled(t *testing.T) {
	for helper, processes := range map[string][]string{
		"hang":   {"hang"},
		"deaf":   {"deaf"},
		"parent": {"parent", "child"},
	} {
		t.Run(helper, func(t *testing.T) {
			dir := directory(t)
			p := exec.New(exec.Options{Dirs: []string{dir}})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := p.Mint(ctx, credential(t, "registry.example.com", helper))
				ended <- err
			}()
			var pids []int
			for _, name := range processes {
				pids = append(pids, pidOf(t, dir, name))
			}
			cancel()
			err := <-ended
			if regcred.CodeOf(err) != regcred.Unavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("the mint ended with %v", err)
			}
			for _, pid := range pids {
				eventually(t, fmt.Sprint(pid, " is gone"), func() bool { return gone(pid) })
			}
		})
	}
}

// TestEndless: a helper that writes without end is killed for that, long before its
// time is over.
func TestEndless(t *testing.T) {
	dir := directory(t)
	p := exec.New(exec.Options{Dirs: []string{dir}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Mint(ctx, credential(t, "registry.example.com", "endless", "timeout=5m"))
		ended <- err
	}()
	select {
	case err := <-ended:
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "wrote more than 64 KiB") {
			t.Errorf("the mint ended with %v", err)
		}
	case <-time.After(patience):
		t.Errorf("the mint goes on after %s", patience)
	}
	pid := pidOf(t, dir, "endless")
	eventually(t, "the helper is gone", func() bool { return gone(pid) })
}

// TestTimeout: the setting ends a helper, long before the mint's own time is over.
func TestTimeout(t *testing.T) {
	dir := directory(t)
	p := exec.New(exec.Options{Dirs: []string{dir}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := p.Mint(ctx, credential(t, "registry.example.com", "hang", "timeout=1s"))
	if regcred.CodeOf(err) != regcred.Unavailable || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("the mint ended with %v", err)
	}
}

// TestDeadline: a mint is over by the time of its context.
func TestDeadline(t *testing.T) {
	p := newProvider(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := p.Mint(ctx, credential(t, "registry.example.com", "hang"))
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("the mint ended with %v, its context with %v", err, ctx.Err())
	}
}

// TestLeftBehind has helpers that answer and end, but leave a child behind that holds
// their output open. A child in their group is killed; one that left it, as daemons
// do, is let alone.
func TestLeftBehind(t *testing.T) {
	for helper, killed := range map[string]bool{"careless": true, "background": false} {
		t.Run(helper, func(t *testing.T) {
			dir := directory(t)
			p := exec.New(exec.Options{Dirs: []string{dir}})
			login, err := p.Mint(t.Context(), credential(t, "registry.example.com", helper))
			if err != nil || login.Password.Reveal() != canary {
				t.Errorf("it gave %v, %v", login, err)
			}
			pid := pidOf(t, dir, "child")
			if killed {
				eventually(t, "the child is gone", func() bool { return gone(pid) })
				return
			}
			if gone(pid) {
				t.Error("the daemon is gone")
			}
			mustDo(t, syscall.Kill(pid, syscall.SIGKILL))
		})
	}
}

// pidOf waits until a helper runs, and returns its process id.
func pidOf(t *testing.T, dir, name string) (pid int) {
	t.Helper()
	eventually(t, name+" runs", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, name+".pid"))
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(string(data))
		return err == nil
	})
	return pid
}

// gone reports whether a process has ended, waited for by its parent or not.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, ok := bytes.Cut(stat, []byte(") "))
	return err == nil && ok && state[0] == 'Z'
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

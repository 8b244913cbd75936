package exec

import (
	"context"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"regcred.dev"
)

// maxOutput bounds what is kept of a helper's output and of its error output, in
// bytes each.
const maxOutput = 64 << 10

// grace is how long a helper's output is still read after it has ended or was killed:
// a process that it left behind may hold the output open.
const grace = 500 * time.Millisecond

// job is one run of a helper.
type job struct {
	path  string   // absolute
	stdin string   // all of its input
	env   []string // all of its environment
}

// run runs a helper with the argument "get" and returns its output. When it returns,
// the helper has ended, and what it left in its process group was killed.
func run(ctx context.Context, j job) ([]byte, error) {
	within, stop := context.WithCancel(ctx)
	defer stop()
	stdout, stderr := &head{full: stop}, &head{}
	cmd := osexec.CommandContext(within, j.path, "get") //nolint:gosec // an admin names the program: see checkHelper and usable
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(j.stdin), stdout, stderr
	cmd.Env, cmd.Dir = j.env, string(filepath.Separator)
	cmd.WaitDelay = grace
	setGroup(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process) }

	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
		_ = killGroup(cmd.Process) // what it left behind; mostly there is nothing
		reapGroup(cmd.Process)
	}
	name := filepath.Base(j.path)
	switch {
	case stdout.over:
		return nil, regcred.Errorf(regcred.Unavailable, "%s wrote more than %d KiB, which is no login", name, maxOutput>>10)
	case cmd.ProcessState != nil && cmd.ProcessState.Success():
		return stdout.kept, nil // even where a process that it left behind holds its output open
	case ctx.Err() != nil:
		return nil, regcred.Errorf(regcred.Unavailable, "%s gave no login in time and was killed: raise the setting %q, or see what it waits for: %w", name, settingTimeout, ctx.Err())
	case cmd.ProcessState == nil:
		return nil, regcred.Errorf(regcred.Unavailable, "the program %s could not be started: %w", j.path, withoutPath(err))
	}
	return nil, failure(name, j.stdin, cmd.ProcessState.String(), stdout.kept, stderr.kept)
}

// head keeps the first maxOutput bytes of what is written to it.
type head struct {
	kept []byte
	over bool
	full func() // called when there is more; nil where that does not matter
}

// Write implements io.Writer. It accepts all, so that nobody who writes is held up.
func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-len(h.kept))
	h.kept = append(h.kept, p[:n]...)
	if n < len(p) && !h.over {
		h.over = true
		if h.full != nil {
			h.full()
		}
	}
	return len(p), nil
}

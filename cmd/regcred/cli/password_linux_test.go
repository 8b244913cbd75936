package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns a terminal and the side of it that its user has.
func openTerminal(t *testing.T) (user, tty *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = user.Close()
		_ = tty.Close()
	})
	return user, tty
}

// whenAsked is a standard error that does something once the prompt is there.
type whenAsked struct {
	mu   sync.Mutex
	said string
	once sync.Once
	do   func()
}

func (w *whenAsked) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.said += string(p)
	w.mu.Unlock()
	if strings.Contains(w.String(), "Password: ") {
		w.once.Do(w.do)
	}
	return len(p), nil
}

func (w *whenAsked) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said
}

// TestPrompt asks for a password at a terminal: it is not shown, Ctrl-C and a
// signal end it, and the terminal is as before.
func TestPrompt(t *testing.T) {
	s := startServer(t)
	for _, test := range []struct {
		name   string
		typed  string
		cancel bool
		code   int
		want   string
	}{
		{name: "answered", typed: "canary-typed\r", code: exitDone, want: "created"},
		{name: "empty", typed: "\r", code: exitUsage, want: "the password is empty"},
		{name: "Ctrl-C", typed: "canary-typed\x03", code: exitFailed, want: "regcred: interrupted"},
		{name: "signal", cancel: true, code: exitFailed, want: "regcred: interrupted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			user, tty := openTerminal(t)
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stderr := &whenAsked{do: func() {
				if test.cancel {
					cancel()
				} else if _, err := io.WriteString(user, test.typed); err != nil {
					t.Error(err)
				}
			}}
			var out bytes.Buffer
			p := &Program{Stdin: tty, Stdout: &out, Stderr: stderr, Terminal: true, Getenv: func(key string) string { return s.env[key] }}
			code := p.Run(ctx, []string{"credential", "create", "registry.example.com", "--username", "u"})
			said := out.String() + stderr.String()
			if code != test.code || !strings.Contains(said, test.want) || strings.Contains(said, "canary") {
				t.Errorf("exit code %d: %s", code, said)
			}
			after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *after != *before {
				t.Errorf("the terminal was left as %+v, not %+v", after, before)
			}
		})
	}
}

package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"regcred.dev/regcredtest/terminal"
)

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
			user, tty := terminal.Open(t)
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stderr := &terminal.Screen{For: "Password: ", Do: func() {
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

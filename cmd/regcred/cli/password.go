package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"regcred.dev"
)

// maxPassword bounds what is read from standard input, in bytes.
const maxPassword = 1 << 20

// password returns a password from where it may come from: standard input where
// that was asked for, REGCRED_PASSWORD, else a prompt that does not show it.
func (p *Program) password(ctx context.Context, fromStdin bool) (regcred.Secret, error) {
	if fromStdin {
		return p.stdinPassword(ctx)
	}
	if s := p.Getenv("REGCRED_PASSWORD"); s != "" {
		return regcred.NewSecret(s), nil
	}
	f, ok := p.Stdin.(*os.File)
	if !ok || !p.Terminal {
		return regcred.Secret{}, usagef("a password is needed: set REGCRED_PASSWORD, or use --password-stdin")
	}
	s, err := p.ask(ctx, f)
	if err == nil && s == "" {
		err = usagef("the password is empty")
	}
	return regcred.NewSecret(s), err
}

// ask asks for a password at a terminal. Ctrl-C, a signal or the end of ctx ends
// it; the terminal is as before in any case.
//
// In raw mode nothing that is typed is shown, and Ctrl-C is a character.
func (p *Program) ask(ctx context.Context, tty *os.File) (string, error) {
	fd := int(tty.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("asking for a password: %w", err)
	}
	type answer struct {
		password string
		err      error
	}
	answered := make(chan answer, 1)
	go func() {
		screen := struct {
			io.Reader
			io.Writer
		}{tty, p.Stderr}
		s, err := term.NewTerminal(screen, "").ReadPassword("Password: ")
		answered <- answer{s, err}
	}()
	var got answer
	select {
	case got = <-answered:
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	err = term.Restore(fd, before)
	switch {
	case errors.Is(got.err, io.EOF):
		return "", errInterrupted
	case got.err != nil:
		fmt.Fprintln(p.Stderr)
		return "", got.err
	}
	return got.password, err
}

func (p *Program) stdinPassword(ctx context.Context) (regcred.Secret, error) {
	data, err := io.ReadAll(io.LimitReader(interruptible(ctx, p.Stdin), maxPassword+1))
	if err != nil {
		return regcred.Secret{}, err
	}
	s := withoutLineBreak(string(data))
	switch {
	case len(data) > maxPassword:
		return regcred.Secret{}, usagef("the password on standard input is longer than %d bytes", maxPassword)
	case s == "":
		return regcred.Secret{}, usagef("--password-stdin is set, but standard input is empty")
	}
	return regcred.NewSecret(s), nil
}

// errInterrupted is what a command ends with that its user interrupted.
var errInterrupted = errors.New("interrupted")

// interruptible returns a reader of r that fails as soon as ctx ends, where r
// itself would wait for ever.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err)
	}()
	return out
}

// withoutLineBreak returns a text without the line break at its end that editors and
// echo add.
func withoutLineBreak(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// Package prompt asks the user at a terminal.
package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// ErrInterrupted is what Password returns where its user interrupted it.
var ErrInterrupted = errors.New("interrupted")

// Password asks for a password at a terminal, which does not show it; the question
// goes to screen. Ctrl-C, a signal or the end of ctx ends it; the terminal is as
// before in any case.
//
// In raw mode nothing that is typed is shown, and Ctrl-C is a character.
//
// Errors: ErrInterrupted; ctx's own; those of the terminal.
func Password(ctx context.Context, tty *os.File, screen io.Writer, question string) (string, error) {
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
		both := struct {
			io.Reader
			io.Writer
		}{tty, screen}
		s, err := term.NewTerminal(both, "").ReadPassword(question)
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
		return "", ErrInterrupted
	case got.err != nil:
		fmt.Fprintln(screen)
		return "", got.err
	}
	return got.password, err
}

// Package plugin is the cf CLI plugin: its commands store, change, delete and list
// registry credentials, for the organization and space that the user targets.
//
// The CLI runs a plugin as PLUGIN PORT SendMetadata when it is installed, PLUGIN PORT
// COMMAND ARGS... when one of its commands is used, and PLUGIN PORT
// CLI-MESSAGE-UNINSTALL before it is removed. What the plugin needs to know it asks
// the CLI for at that port.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"regcred.dev"
	"regcred.dev/internal/prompt"
)

// Program is the plugin with the process that it runs in.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Terminal says that Stdin is one.
	Terminal bool
	Getenv   func(string) string
}

// System returns the plugin in this process.
func System() *Program {
	return &Program{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())), Getenv: os.Getenv,
	}
}

// What the CLI runs a plugin with besides the names of its commands.
const (
	sendMetadata = "SendMetadata"
	uninstall    = "CLI-MESSAGE-UNINSTALL"
)

// Main does what the CLI asks for by its arguments, and returns the exit code: 0 or
// 1, which is all that the CLI passes on.
func (p *Program) Main(ctx context.Context, args []string) int {
	if len(args) < 2 {
		fmt.Fprintln(p.Stderr, "This is a plugin of the cf CLI. Install it:\n\n   cf install-plugin PATH-OF-THIS-FILE")
		return 1
	}
	cli := cf{port: args[0]}
	switch args[1] {
	case sendMetadata:
		return p.end(cli.setMetadata(describe()))
	case uninstall:
		return 0 // it keeps nothing anywhere
	}
	c, ok := commands()[args[1]]
	if !ok {
		return p.end(regcred.Errorf(regcred.Invalid, "this plugin has no command %q: is another version of it installed?", args[1]))
	}
	in, err := p.parse(c, args[2:])
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(p.Stdout, c.text())
		return 0
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "Incorrect Usage: %v\n\n", err)
		fmt.Fprint(p.Stdout, c.text())
		return 1
	}
	err = p.run(ctx, cli, c, in)
	if ctx.Err() != nil || errors.Is(err, prompt.ErrInterrupted) {
		fmt.Fprintln(p.Stdout) // the user knows
		return 1
	}
	return p.end(err)
}

// run runs a command within a session.
func (p *Program) run(ctx context.Context, cli cf, c command, in invocation) error {
	s, err := p.open(ctx, cli, c.level)
	if err != nil {
		return err
	}
	return s.explain(c, c.run(ctx, s, in))
}

// end says how a command ended, as the CLI does: the error on standard error, and
// FAILED.
func (p *Program) end(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(p.Stderr, capital(err.Error()))
	fmt.Fprintln(p.Stdout, "FAILED")
	return 1
}

// parse reads what stands behind a command: flags may stand between arguments.
func (p *Program) parse(c command, args []string) (invocation, error) {
	var in invocation
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.Usage = func() {}
	flags.SetOutput(io.Discard)
	if doc, ok := c.options["username"]; ok {
		flags.StringVarP(&in.username, "username", "u", "", doc)
	}
	if doc, ok := c.options["f"]; ok {
		flags.BoolVarP(&in.force, "force", "f", false, doc)
	}
	if err := flags.Parse(args); err != nil {
		return in, err
	}
	in.args = flags.Args()
	switch {
	case len(in.args) < len(c.args):
		return in, fmt.Errorf("the required argument `%s` was not provided", c.args[len(in.args)])
	case len(in.args) > len(c.args):
		return in, fmt.Errorf("unexpected argument %q", in.args[len(c.args)])
	}
	for i, arg := range in.args {
		if arg == "" {
			return in, fmt.Errorf("the argument `%s` is empty", c.args[i])
		}
	}
	if strings.HasPrefix(c.name, "create-") && in.username == "" {
		return in, errors.New("the required flag `--username' was not specified")
	}
	return in, nil
}

// Package cli is regcred's command line, as a value: main runs the one of the
// operating system, tests run their own.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"regcred.dev"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Program is the command line in its surroundings.
type Program struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	// Terminal says whether Stdin is a terminal, at which a password can be asked
	// for without showing it.
	Terminal bool
}

// System returns the Program of this process.
func System() *Program {
	return &Program{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())),
	}
}

// Main runs the program with its arguments and returns the exit code: 0 done,
// 1 failed, 2 wrong usage. SIGINT and SIGTERM end it in good order.
func (p *Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return p.Run(ctx, args)
}

// Run is Main without signals.
func (p *Program) Run(ctx context.Context, args []string) int {
	root := p.root() //nolint:contextcheck // a command gets its context when it runs
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	// An error that is not regcred's own comes from the operating system here, and
	// says what it knows.
	fmt.Fprintf(p.Stderr, "regcred: %s\n", strings.TrimSpace(err.Error()))
	if _, ok := errors.AsType[*usageError](err); ok || isCobraUsage(err) {
		fmt.Fprintf(p.Stderr, "See '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// usageError is wrong usage of a command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// isCobraUsage recognises the one usage error that cobra does not let us wrap.
func isCobraUsage(err error) bool { return strings.HasPrefix(err.Error(), "unknown command ") }

// wantArgs wraps a rule on arguments, so that breaking it is wrong usage.
func wantArgs(rule cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := rule(cmd, args); err != nil {
			return usagef("%s takes: %s", cmd.CommandPath(), cmd.Use)
		}
		return nil
	}
}

func (p *Program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "regcred",
		Short: "Keeps every workload's access to its container images working",
		Long: `regcred stores registry credentials by scope, turns them into short-lived logins,
renews those before they expire, delivers them where images are pulled, and
serves images itself.

Commands other than serve and demo talk to a server: the one that REGCRED_SERVER
and REGCRED_TOKEN name, else the local one by the socket in its data directory
(REGCRED_DATA_DIR, default ./regcred-data).`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		p.serveCommand(), p.demoCommand(), p.versionCommand(),
		p.credentialCommand(), p.tokenCommand(), p.targetCommand(),
		p.resolveCommand(), p.dockerConfigCommand(), p.publishCommand(), p.statusCommand(),
	)
	return root
}

// group returns a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}

// scopeFlags are --org, --space and, where apps can be named, --app.
type scopeFlags struct{ org, space, app string }

func (f *scopeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.org, "org", "", "organization; none means the foundation")
	cmd.Flags().StringVar(&f.space, "space", "", "space in the organization")
	cmd.Flags().StringVar(&f.app, "app", "", "app in the space")
}

func (f *scopeFlags) scope() (regcred.Scope, error) {
	s := regcred.Scope{Org: f.org, Space: f.space, App: f.app}
	switch {
	case f.app != "" && f.space == "":
		return s, usagef("--app needs --space and --org")
	case f.space != "" && f.org == "":
		return s, usagef("--space needs --org")
	}
	if err := s.Validate(); err != nil {
		return s, &usageError{err}
	}
	return s, nil
}

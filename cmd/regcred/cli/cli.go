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
// 1 failed, 2 wrong usage. SIGINT and SIGTERM end it in good order; a second one
// ends it at once.
func (p *Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
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
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		fmt.Fprintln(p.Stderr, "regcred: interrupted")
		return exitFailed
	}
	// An error that is not regcred's own comes from the operating system here, and
	// says what it knows.
	fmt.Fprintf(p.Stderr, "regcred: %s\n", strings.TrimSpace(err.Error()))
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(p.Stderr, "See '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

func (p *Program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "regcred",
		Short: "Keeps every workload's access to its container images working",
		Long: `regcred stores registry credentials by scope, turns them into short-lived logins,
renews those before they expire, delivers them where images are pulled, and
serves images itself.

Commands other than serve, deis, rancher, raas, demo, uninstall, 'registry setup', and
publish with --to s3:// or file://, talk to a server: the one that REGCRED_SERVER and
REGCRED_TOKEN name, else the local one by the socket in its data directory
(REGCRED_DATA_DIR, default ./regcred-data).`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       Version(),
	}
	holds(root,
		p.serveCommand(), p.deisCommand(), p.rancherCommand(), p.startCommand(), p.demoCommand(), p.versionCommand(),
		p.credentialCommand(), p.providerCommand(), p.profileCommand(), p.tokenCommand(), p.targetCommand(), p.auditCommand(), p.registryCommand(),
		p.resolveCommand(), p.dockerConfigCommand(), p.publishCommand(), p.raasCommand(), p.statusCommand(), p.uninstallCommand(),
	)
	root.SetVersionTemplate("regcred {{.Version}}\n")
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

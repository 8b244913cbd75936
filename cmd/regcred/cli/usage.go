package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is wrong usage of a command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// wantArgs wraps a rule on arguments, so that breaking it is wrong usage. No
// argument may be empty: it mostly comes from a variable that is not set.
func wantArgs(rule cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		_, arguments, _ := strings.Cut(cmd.Use, " ")
		switch {
		case slices.Contains(args, ""):
			return usagef("an argument is empty; %s takes: %s", cmd.CommandPath(), arguments)
		case rule(cmd, args) == nil:
			return nil
		case arguments == "":
			return usagef("%s takes no arguments", cmd.CommandPath())
		}
		return usagef("%s takes: %s", cmd.CommandPath(), arguments)
	}
}

// group returns a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	holds(cmd, subs...)
	return cmd
}

// holds makes cmd hold others and do nothing else: by itself it shows its help.
func holds(cmd *cobra.Command, subs ...*cobra.Command) {
	cmd.AddCommand(subs...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
			hint = ". Did you mean " + strings.Join(similar, " or ") + "?"
		}
		return usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

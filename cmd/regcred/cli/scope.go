package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"regcred.dev"
)

// scopeFlags are --org, --space and --app.
type scopeFlags struct{ org, space, app idFlag }

func (f *scopeFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(&f.org, "org", "organization; none means the foundation")
	cmd.Flags().Var(&f.space, "space", "space in the organization")
	cmd.Flags().Var(&f.app, "app", "app in the space")
}

func (f *scopeFlags) scope() (regcred.Scope, error) {
	s := regcred.Scope{Org: string(f.org), Space: string(f.space), App: string(f.app)}
	switch {
	case s.App != "" && s.Space == "":
		return s, usagef("--app needs --space and --org")
	case s.Space != "" && s.Org == "":
		return s, usagef("--space needs --org")
	}
	if err := s.Validate(); err != nil {
		return s, &usageError{err}
	}
	return s, nil
}

// idFlag is the id of an organization, space or app, "" where the flag is not
// given. It refuses to be given as "": what comes from a variable that is not set
// must not widen the scope.
type idFlag string

// Set implements pflag.Value.
func (f *idFlag) Set(s string) error {
	if s == "" {
		return errors.New("it is empty: name one, or leave the flag out")
	}
	*f = idFlag(s)
	return nil
}

// String implements pflag.Value.
func (f *idFlag) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *idFlag) Type() string { return "id" }

package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

func (p *Program) credentialCheck() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	var repository string
	cmd := &cobra.Command{
		Use: "check GUID|LOCATION", Args: wantArgs(cobra.ExactArgs(1)),
		Short: "Mint a login and ask its registry whether it takes it",
		Long: `Mint a login now, and ask the registry itself whether it takes it; with
--repository also whether that may be pulled. Each step is shown, and a failure is
explained: a wrong region, a role that cannot be assumed, a clock that is off, a
wrong registry. The exit code is 1 unless the login is accepted.`,
		Example: `  regcred credential check registry.example.com --org acme
  regcred credential check 123456789012.dkr.ecr.eu-west-1.amazonaws.com --repository acme/app`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, cred, err := p.find(cmd.Context(), args[0], &scope)
			if err != nil {
				return err
			}
			result, err := c.CheckCredential(cmd.Context(), cred.GUID, repository)
			if err != nil {
				return err
			}
			if err := out.write(p.Stdout, result, func(w io.Writer) { describeCheck(w, result) }); err != nil {
				return err
			}
			if !result.Accepted {
				return regcred.Errorf(regcred.Denied, "%s", result.Problem)
			}
			return nil
		},
	}
	scope.add(cmd)
	cmd.Flags().StringVar(&repository, "repository", "", "a repository at the registry that is to be pulled, such as `acme/app`")
	out.add(cmd)
	return cmd
}

func describeCheck(w io.Writer, c client.Check) {
	for _, step := range c.Steps {
		fmt.Fprintln(w, step)
	}
	if c.Accepted {
		fmt.Fprintln(w, "the login is accepted")
	}
}

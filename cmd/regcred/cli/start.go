package cli

import (
	"slices"

	"github.com/spf13/cobra"
)

// startListen is every address: who reaches a container is up to its network.
const startListen = ":8440"

func (p *Program) startCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "start",
		Hidden: true, // it is for the container image
		Short:  "Run the command that the environment asks for",
		Long: `Run the command that the environment asks for. The container image does so where it
is given no arguments:

  CATTLE_URL is set               regcred rancher
  DEIS_REGISTRY_LOCATION is set   regcred deis
  REGCRED_PUBLIC_URL is set       regcred serve --listen ` + startListen + ` --public-url $REGCRED_PUBLIC_URL`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			args, err := startArgs(p.Getenv, func(name string) bool {
				return slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
			})
			if err != nil {
				return err
			}
			root.SetArgs(args)
			return root.ExecuteContext(cmd.Context())
		},
	}
}

// startArgs returns the arguments of the command that the environment asks for. The
// fronts for older systems are known by variables of theirs, which those systems set;
// has says which commands there are.
func startArgs(getenv func(string) string, has func(name string) bool) ([]string, error) {
	for _, front := range []struct{ command, variable string }{
		{"rancher", "CATTLE_URL"},
		{"deis", "DEIS_REGISTRY_LOCATION"},
	} {
		if getenv(front.variable) != "" && has(front.command) {
			return []string{front.command}, nil
		}
	}
	url := getenv("REGCRED_PUBLIC_URL")
	if url == "" {
		return nil, usagef("set REGCRED_PUBLIC_URL to how clients reach this server, such as https://regcred.example.com, or give a command, such as 'serve --config FILE'")
	}
	return []string{"serve", "--listen", startListen, "--public-url", url}, nil
}

package cli

import (
	"github.com/spf13/cobra"

	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

func (p *Program) deisCommand() *cobra.Command {
	var credentials, level, format string
	cmd := &cobra.Command{
		Use:   "deis",
		Short: "Run in place of Deis Workflow's Registry Token Refresher",
		Long: `Run in place of Deis Workflow's Registry Token Refresher, in the same pod: keep the
pull secret PREFIX-LOCATION valid in each namespace labelled heritage=deis, and in
the release's own.

The environment is that of the refresher:

  DEIS_REGISTRY_LOCATION        ecr or gcr; with off-cluster and on-cluster there is
                                nothing to refresh
  DEIS_REGISTRY_SECRET_PREFIX   of the secrets' names (default private-registry)
  DEIS_TOKEN_REFRESH_TIME       minutes after which a token is renewed at the latest;
                                empty: as its expiry needs it
  DEIS_NAMESPACE_REFRESH_TIME   has no effect: namespaces are watched
  POD_NAMESPACE                 the release's namespace (default: the pod's own)
  REGCRED_LISTEN                address of /healthz, /readyz and /metrics
                                (default ` + config.DefaultDeisListen + `)

The files of the Secret registry-secret are read where the chart mounts them, and
again when they change.`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := p.logger(level, format)
			if err != nil {
				return err
			}
			cfg, err := config.LoadDeis(p.Getenv)
			if err != nil {
				return &usageError{err}
			}
			d, err := server.OpenDeis(cmd.Context(), server.DeisOptions{Config: cfg, Credentials: credentials, Log: log})
			if err != nil {
				return err
			}
			return d.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&credentials, "credentials", config.DeisCredentials, "directory where registry-secret is mounted")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json")
	return cmd
}

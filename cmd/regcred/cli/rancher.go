package cli

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

func (p *Program) rancherCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rancher",
		Short: "Run in place of the Rancher ECR Credentials Updater",
		Long: `Run in place of the Rancher ECR Credentials Updater, in the same container: keep the
ECR logins in an environment of Rancher 1.x valid. They are renewed as their expiry
needs it; nothing is kept on disk.

The environment is that of the updater:

  CATTLE_URL                  Rancher's API, such as http://HOST:8080/v1/projects/1a5
  CATTLE_ACCESS_KEY, CATTLE_SECRET_KEY
                              an API key of the environment
  AWS_REGION                  the region of the registries
  AWS_ACCESS_KEY_ID, ...      and all else by which AWS's tools find their keys
  AWS_ROLE_ARN                a role to assume with those
  AWS_ECR_REGISTRY_IDS        accounts, separated by commas (default: the keys' own)
  AUTO_CREATE                 true: create what is missing in Rancher (default false)
  ECR_PROXY_HOST              the registry in Rancher that stands for ECR
  LISTEN_PORT                 port of /ping, /healthz, /readyz and /metrics
                              (default 8080)
  LOG_LEVEL                   panic, fatal, error, warn, info, debug or trace
                              (default info)`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadRancherUpdater(p.Getenv)
			if err != nil {
				return &usageError{err}
			}
			if err := os.Unsetenv(config.AWSCABundle); err != nil { // cfg has it
				return err
			}
			log := slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
			r, err := server.OpenRancher(cmd.Context(), server.RancherOptions{Config: cfg, Log: log})
			if err != nil {
				return err
			}
			return r.Run(cmd.Context())
		},
	}
}

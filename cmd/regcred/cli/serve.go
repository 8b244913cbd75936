package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"regcred.dev/cmd/regcred/demo"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

func (p *Program) serveCommand() *cobra.Command {
	var file, dataDir, listen, publicURL, level, format string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: API, renewal, delivery and registry",
		Long: `Run the server. At its first start it makes its data directory: a SQLite database,
the key that seals it (seal.key: keep a copy apart from the database), the
registry's storage, admin.token and regcred.sock.`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := p.logger(level, format)
			if err != nil {
				return err
			}
			cfg := config.Default()
			if file != "" {
				if cfg, err = config.Load(file); err != nil {
					return err
				}
			}
			cfg.DataDir = cmp.Or(dataDir, cfg.DataDir, p.dataDir())
			cfg.Listen = cmp.Or(listen, cfg.Listen)
			if cmd.Flags().Changed("public-url") {
				if cfg.PublicURL, err = config.ParsePublicURL(publicURL); err != nil {
					return usagef("--public-url: %w", err)
				}
			}
			s, err := server.Open(cmd.Context(), cfg, Version(), log)
			if err != nil {
				return err
			}
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (regcred.yaml)")
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "where everything is kept (default REGCRED_DATA_DIR, else "+defaultDataDir+")")
	cmd.Flags().StringVar(&listen, "listen", "", "address of the API and the registry (default "+config.DefaultListen+")")
	cmd.Flags().StringVar(&publicURL, "public-url", "", "how clients reach the server, http[s]://HOST[:PORT] (default http:// and the address)")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json")
	return cmd
}

// logger returns a logger to standard error.
func (p *Program) logger(level, format string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level: there are debug, info, warn and error")
	}
	o.Level = l
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(p.Stderr, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(p.Stderr, &o)), nil
	}
	return nil, usagef("--log-format: there are text and json")
}

func (p *Program) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine, from an empty directory to a pull",
		Long: `Show the main job on this machine in about a minute: a server in an empty
directory, this very program published as an image, credentials at two scopes, a
30-second login delivered into a docker config file, and pulls with that file
through three renewals. It touches nothing outside a temporary directory.`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return demo.Run(cmd.Context(), p.Stdout) },
	}
}

func (p *Program) versionCommand() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "version", Short: "Print the program's version", Args: wantArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return out.write(p.Stdout, map[string]string{"version": Version()}, func(w io.Writer) {
				fmt.Fprintf(w, "regcred %s\n", Version())
			})
		},
	}
	out.add(cmd)
	return cmd
}

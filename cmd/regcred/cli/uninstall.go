package cli

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

func (p *Program) uninstallCommand() *cobra.Command {
	return group("uninstall", "Take away what was delivered", p.uninstallKubernetesCommand())
}

func (p *Program) uninstallKubernetesCommand() *cobra.Command {
	var file, dataDir, store string
	var all bool
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "kubernetes",
		Short: "Take away the pull secrets that regcred delivered to Kubernetes clusters",
		Long: `Take away the pull secrets that regcred delivered to the clusters of a configuration,
or to the one that kubectl uses where there is none, and their names from
ServiceAccounts. Entries that others put into a pull secret stay, and so do pull
secrets that regcred adopted, with what they have.

No server that delivers to these clusters may run: it would deliver again. What goes
is what the store in the data directory delivered, or the one of --store; with
--all-stores it is what any store did.`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if store != "" && all {
				return usagef("--store names one store, and --all-stores means all: give one of them")
			}
			cfg := config.Config{Targets: []config.Target{{
				Name: config.DefaultKubernetesTarget, Kubernetes: &config.Kubernetes{},
			}}}
			if file != "" {
				var err error
				if cfg, err = config.Load(file); err != nil {
					return err
				}
			}
			dir := cmp.Or(dataDir, cfg.DataDir, p.dataDir())
			if conn, err := new(net.Dialer).DialContext(cmd.Context(), "unix", filepath.Join(dir, server.SocketName)); err == nil {
				_ = conn.Close()
				return regcred.Errorf(regcred.Held, "the server of %s runs, and would deliver again: stop it first", dir)
			}
			if store == "" && !all {
				var err error
				if store, err = server.StoreID(cmd.Context(), dir); err != nil {
					return fmt.Errorf("%w: name the store whose pull secrets are to go by --data-dir or --store, or give --all-stores", err)
				}
			}
			log, err := p.logger("warn", "text")
			if err != nil {
				return err
			}
			done, err := server.Uninstall(cmd.Context(), cfg.Targets, store, log)
			if err != nil {
				return err
			}
			if len(done) == 0 {
				return regcred.Errorf(regcred.NotFound, "%s has no target of kind kubernetes", file)
			}
			return out.write(p.Stdout, done, func(w io.Writer) {
				for _, u := range done {
					fmt.Fprintf(w, "target %s: what was delivered from %s is gone\n", u.Target, cmp.Or(strings.Join(u.Stores, ", "), "any store"))
				}
			})
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (regcred.yaml)")
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "where the store is (default REGCRED_DATA_DIR, else "+defaultDataDir+")")
	cmd.Flags().StringVar(&store, "store", "", "id of the store whose pull secrets are to go")
	cmd.Flags().BoolVar(&all, "all-stores", false, "take away what any store delivered")
	out.add(cmd)
	return cmd
}

package cli

import (
	"cmp"
	"context"
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

// uninstallation is what is to be taken away.
type uninstallation struct {
	file, dataDir, store string
	allStores            bool
}

func (p *Program) uninstallKubernetesCommand() *cobra.Command {
	var u uninstallation
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
			done, err := p.uninstallKubernetes(cmd.Context(), u)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, done, func(w io.Writer) {
				for _, d := range done {
					fmt.Fprintf(w, "target %s: what was delivered from %s is gone\n", d.Target, cmp.Or(strings.Join(d.Stores, ", "), "any store"))
				}
			})
		},
	}
	cmd.Flags().StringVar(&u.file, "config", "", "configuration file (regcred.yaml)")
	cmd.Flags().StringVar(&u.dataDir, "data-dir", "", "where the store is (default REGCRED_DATA_DIR, else "+defaultDataDir+")")
	cmd.Flags().StringVar(&u.store, "store", "", "id of the store whose pull secrets are to go")
	cmd.Flags().BoolVar(&u.allStores, "all-stores", false, "take away what any store delivered")
	out.add(cmd)
	return cmd
}

func (p *Program) uninstallKubernetes(ctx context.Context, u uninstallation) ([]server.Uninstalled, error) {
	if u.store != "" && u.allStores {
		return nil, usagef("--store names one store, and --all-stores means all: give one of them")
	}
	cfg := config.Config{Targets: []config.Target{{
		Name: config.DefaultKubernetesTarget, Kubernetes: &config.Kubernetes{},
	}}}
	if u.file != "" {
		var err error
		if cfg, err = config.Load(u.file); err != nil {
			return nil, err
		}
	}
	dir := cmp.Or(u.dataDir, cfg.DataDir, p.dataDir())
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, server.SocketName)); err == nil {
		_ = conn.Close()
		return nil, regcred.Errorf(regcred.Held, "the server of %s runs, and would deliver again: stop it first", dir)
	}
	if u.store == "" && !u.allStores {
		var err error
		if u.store, err = server.StoreID(ctx, dir); err != nil {
			return nil, fmt.Errorf("%w: name the store whose pull secrets are to go by --data-dir or --store, or give --all-stores", err)
		}
	}
	log, err := p.logger("warn", "text")
	if err != nil {
		return nil, err
	}
	done, err := server.Uninstall(ctx, cfg.Targets, u.store, log)
	if err == nil && len(done) == 0 {
		err = regcred.Errorf(regcred.NotFound, "%s has no target of kind kubernetes", u.file)
	}
	return done, err
}

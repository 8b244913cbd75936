package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/bucket"
)

// setupReport is what 'registry setup' found, for programs.
type setupReport struct {
	Storage string         `json:"storage"`
	OK      bool           `json:"ok"`
	Created bool           `json:"created"` // there was no such bucket
	Checks  []bucket.Check `json:"checks"`
	Hints   []string       `json:"hints"`
}

func newSetupReport(storage string, r bucket.Report) setupReport {
	return setupReport{Storage: storage, OK: r.OK(), Created: r.Created, Checks: r.Checks, Hints: append([]string{}, r.Hints...)}
}

func (p *Program) registrySetup() *cobra.Command {
	var out outputFlag
	var file string
	var create, policy, public bool
	cmd := &cobra.Command{
		Use: "setup", Args: wantArgs(cobra.NoArgs),
		Short: "Try everything that the registry does with its bucket or directory",
		Long: `Try, one by one, everything that the registry does with the bucket or directory of a
configuration, and say what is missing. It runs here, with the bucket's login of the
configuration, or else of AWS's own tools; no server is needed. It leaves nothing
behind. With --create a bucket that does not exist is made; a directory is made in any
case. The exit code is 1 where something is missing.

--print-policy prints the IAM policy that the bucket's user needs, and
--print-public-policy the bucket policy for a registry that is served from the bucket
alone (docs/registry-static.md); neither asks the bucket.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Default()
			if file != "" {
				var err error
				if cfg, err = config.Load(file); err != nil {
					return err
				}
			}
			if policy || public {
				return p.printPolicies(cfg.Registry.Bucket, policy, public)
			}
			report, err := p.setUpRegistry(cmd.Context(), cfg, create)
			if err != nil {
				return err
			}
			if err := out.write(p.Stdout, report, func(w io.Writer) { describeSetup(w, report) }); err != nil {
				return err
			}
			if !report.OK {
				return regcred.Errorf(regcred.Unavailable, "the registry cannot be kept there yet: see to what is missing, and try again")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "config", "", "configuration file (regcred.yaml); without one it is the directory in the data directory")
	flags.BoolVar(&create, "create", false, "make the bucket where there is none")
	flags.BoolVar(&policy, "print-policy", false, "print the IAM policy that the bucket's user needs")
	flags.BoolVar(&public, "print-public-policy", false, "print the bucket policy that lets anybody read")
	out.add(cmd)
	return cmd
}

func (p *Program) printPolicies(b *config.Bucket, access, public bool) error {
	if b == nil {
		return usagef("policies are for a bucket: name a configuration that has one, with --config")
	}
	if access {
		fmt.Fprint(p.Stdout, bucket.AccessPolicy(b.Name, b.Prefix))
	}
	if public {
		fmt.Fprint(p.Stdout, bucket.PublicReadPolicy(b.Name, b.Prefix))
	}
	return nil
}

// setUpRegistry tries what a configuration keeps images in.
func (p *Program) setUpRegistry(ctx context.Context, cfg config.Config, create bool) (setupReport, error) {
	c := cfg.Registry
	if c.Bucket != nil {
		o, err := server.BucketOptions(c.Bucket)
		if err != nil {
			return setupReport{}, err
		}
		report, err := bucket.Setup(ctx, o, create)
		return newSetupReport(server.Where(c, ""), report), err
	}
	dir := cmp.Or(c.Directory, filepath.Join(cmp.Or(cfg.DataDir, p.dataDir()), server.RegistryName))
	return newSetupReport(server.Where(c, dir), bucket.Report{Checks: checkDirectory(ctx, dir)}), nil
}

// checkDirectory tries what the registry does with a directory, by an object of its own.
func checkDirectory(ctx context.Context, dir string) []bucket.Check {
	d, err := blob.Open(dir)
	checks := []bucket.Check{newCheck("open", err)}
	if err != nil {
		return checks
	}
	key := "setup-" + rand.Text()
	err = d.Put(ctx, key, []byte(key), registry.IfAbsent)
	checks = append(checks, newCheck("write", err))
	if err == nil {
		data, _, err := d.Read(ctx, key)
		if err == nil && string(data) != key {
			err = regcred.Errorf(regcred.Corrupt, "the directory returns other content than it was given")
		}
		checks = append(checks, newCheck("read", err), newCheck("delete", d.Delete(ctx, key, registry.Condition{})))
	}
	return append(checks, newCheck("close", d.Close()))
}

func newCheck(name string, err error) bucket.Check {
	if err != nil {
		return bucket.Check{Name: name, Status: bucket.Missing, Problem: err.Error()}
	}
	return bucket.Check{Name: name, Status: bucket.OK}
}

func describeSetup(w io.Writer, r setupReport) {
	fmt.Fprintln(w, r.Storage)
	if r.Created {
		fmt.Fprintln(w, "the bucket was made")
	}
	var rows [][]string
	for _, c := range r.Checks {
		rows = append(rows, []string{c.Name, string(c.Status), cmp.Or(c.Action, "-"), c.Problem})
	}
	table(w, "CHECK STATUS PERMISSION PROBLEM", rows)
	for _, hint := range r.Hints {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

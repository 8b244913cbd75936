package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/bucket"
	"regcred.dev/registry/static"
)

// setupReport is what 'registry setup' found, for programs.
type setupReport struct {
	Storage string         `json:"storage"`
	OK      bool           `json:"ok"`
	Created bool           `json:"created"` // there was no such bucket
	Checks  []bucket.Check `json:"checks"`
	Hints   []string       `json:"hints"`
}

func (p *Program) registrySetup() *cobra.Command {
	var out outputFlag
	var f setupFlags
	cmd := &cobra.Command{
		Use: "setup [s3://BUCKET[/PREFIX]]", Args: wantArgs(cobra.MaximumNArgs(1)),
		Short: "Try everything that the registry does with its bucket or directory",
		Long: `Try, one by one, everything that the registry does with a bucket, or with the bucket or
directory of a configuration, and say what is missing. It runs here, with the bucket's
login of the configuration, or else of AWS's own tools; no server is needed. It leaves
nothing behind. With --create a bucket that does not exist is made; a directory is made
in any case. The exit code is 1 where something is missing.

--print-policy prints the IAM policy that the bucket's user needs, and
--print-public-policy the bucket policy for a registry that is served from the bucket
alone (docs/registry-static.md); neither asks the bucket.`,
		Example: `  regcred registry setup --config regcred.yaml --create
  regcred registry setup s3://acme-images/registry --print-public-policy`,
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := p.setupPlace(args, f)
			if err != nil {
				return err
			}
			if f.policy || f.public {
				return p.printPolicies(place.bucket, f)
			}
			report, err := place.setUp(cmd.Context(), f.create)
			if err != nil {
				return err
			}
			if err := out.write(p.Stdout, report, func(w io.Writer) { describeSetup(w, report) }); err != nil {
				return err
			}
			if report.OK {
				return nil
			}
			hint := "see to what is missing, and try again"
			if place.bucket != nil && !f.create {
				hint += "; --create makes a bucket that does not exist"
			}
			return regcred.Errorf(regcred.Unavailable, "the registry cannot be kept there yet: %s", hint)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "configuration file (regcred.yaml); without one, and without a bucket, it is the directory in the data directory")
	flags.BoolVar(&f.create, "create", false, "make the bucket where there is none")
	flags.BoolVar(&f.policy, "print-policy", false, "print the IAM policy that the bucket's user needs")
	flags.BoolVar(&f.public, "print-public-policy", false, "print the bucket policy that lets anybody read")
	f.s3.add(cmd)
	out.add(cmd)
	return cmd
}

type setupFlags struct {
	config                 string
	create, policy, public bool
	s3                     s3Flags
}

// setupPlace is where images are to be kept: in a bucket, or else in a directory.
type setupPlace struct {
	where     string // in words
	bucket    *bucket.Options
	directory string
}

// setupPlace returns the place that arguments and flags name.
func (p *Program) setupPlace(args []string, f setupFlags) (setupPlace, error) {
	if len(args) > 0 {
		rest, ok := strings.CutPrefix(args[0], "s3://")
		switch {
		case !ok:
			return setupPlace{}, usagef("%q: write s3://BUCKET[/PREFIX], or name a configuration with --config", args[0])
		case f.config != "":
			return setupPlace{}, usagef("--config names a place, and so does %s: leave one out", args[0])
		}
		name, prefix, err := splitBucket(rest)
		if err != nil {
			return setupPlace{}, err
		}
		o, err := f.s3.options(p.Getenv, name, prefix)
		return setupPlace{where: "bucket " + rest, bucket: &o}, err
	}
	if f.s3.given() {
		return setupPlace{}, usagef("--s3-... are for a bucket that is named s3://BUCKET: a configuration has settings of its own")
	}
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = config.Load(f.config); err != nil {
			return setupPlace{}, err
		}
	}
	dir := cmp.Or(cfg.Registry.Directory, filepath.Join(cmp.Or(cfg.DataDir, p.dataDir()), server.RegistryName))
	place := setupPlace{where: server.Where(cfg.Registry, dir), directory: dir}
	if cfg.Registry.Bucket == nil {
		return place, nil
	}
	o, err := server.BucketOptions(cfg.Registry.Bucket)
	place.bucket = &o
	return place, err
}

func (p *Program) printPolicies(o *bucket.Options, f setupFlags) error {
	if o == nil {
		return usagef("policies are for a bucket: name it, s3://BUCKET[/PREFIX], or a configuration that has one")
	}
	if f.policy {
		fmt.Fprint(p.Stdout, bucket.AccessPolicy(o.Bucket, o.Prefix))
	}
	if f.public {
		fmt.Fprint(p.Stdout, bucket.PublicReadPolicy(o.Bucket, path.Join(o.Prefix, static.Root)))
	}
	return nil
}

// setUp tries the place.
func (place setupPlace) setUp(ctx context.Context, create bool) (setupReport, error) {
	report := bucket.Report{}
	var err error
	if place.bucket != nil {
		report, err = bucket.Setup(ctx, *place.bucket, create)
	} else {
		report.Checks = checkDirectory(ctx, place.directory)
	}
	return setupReport{
		Storage: place.where, OK: report.OK(), Created: report.Created, Checks: report.Checks, Hints: append([]string{}, report.Hints...),
	}, err
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

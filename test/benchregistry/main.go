// Benchregistry measures what regcred promises as a registry, against programs that do
// the same: distribution and nginx for serving, skopeo with distribution and a plain
// upload of the SDK for publishing. It prints a line for each figure, as package figures
// says, and exits with 1 where one is over its limit:
//
//	go run ./test/benchregistry [-small] [-regcred bin/regcred] [-distribution bin/registry]
//
// All run on this machine, with the load that is put on them. Those that are compared
// are measured in turns, and their ratios are medians over the turns: what else the
// machine does weighs on all. A ratio is regcred's time by the other's, so less is
// better everywhere. In the small form there is less of all, and a ratio that is over
// its limit is printed as such and fails nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"regcred.dev/test/figures"
)

// The limits, as docs/registry.md promises them: regcred's time by the other's, but
// for memory, which is in MiB.
const (
	manifestByDistribution = 1.0 / 4
	manifestByNginx        = 1 / 0.6
	blobByNginx            = 1 / 0.95
	redirectByDistribution = 1.0 / 20
	publishBySkopeo        = 0.6
	publishBySDK           = 1.15
	manyMemory             = 256
	publishMemory          = 64
	largeMemory            = 128 // for 10 GiB
)

// size is how much is measured.
type size struct {
	rounds  int
	turn    time.Duration // of a load
	pulls   int           // at once
	layer   int64         // bytes of the one large layer
	layers  int           // of the image of many layers
	large   int64         // bytes of a layer that is published once, 0: there is none
	publish int           // rounds
}

var (
	full  = size{rounds: 7, turn: 3 * time.Second, pulls: 500, layer: 1 << 30, layers: 40, large: 10 << 30, publish: 5}
	small = size{rounds: 3, turn: 400 * time.Millisecond, pulls: 100, layer: 64 << 20, layers: 10, publish: 1}
)

// bench is a run.
type bench struct {
	size
	report       *figures.Report
	dir          string
	regcred      string // programs
	distribution string
}

func main() {
	short := flag.Bool("small", false, "measure less of all")
	regcred := flag.String("regcred", "bin/regcred", "the regcred to measure")
	distribution := flag.String("distribution", "bin/registry", "the registry of distribution")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *regcred, *distribution, *short, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchregistry:", err)
		os.Exit(1)
	}
}

// run measures the parts that are named, all where none is.
func run(ctx context.Context, regcred, distribution string, short bool, names []string) (err error) {
	dir, err := os.MkdirTemp("", "benchregistry-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{size: full, report: figures.New(os.Stdout, short), dir: dir, regcred: regcred, distribution: distribution}
	if short {
		b.size = small
	}
	parts := []struct {
		name    string
		needs   string // a program of others that may be missing
		measure func(context.Context) error
	}{
		{"manifests", "nginx", b.manifests},
		{"blobs", "nginx", b.blobs},
		{"redirects", "", b.redirects},
		{"pulls", "", b.manyPulls},
		{"publish", "skopeo", b.publishing},
		{"bucket", "", b.publishingToBucket},
	}
	for _, p := range parts {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		if without(p.needs) {
			fmt.Printf("LEFT OUT: %s: they need %s, as REGCRED_WITHOUT says\n", p.name, p.needs)
			continue
		}
		if err := p.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.report.Err()
}

// without reports whether a program is not there, and need not be.
func without(program string) bool {
	if program == "" || !slices.Contains(strings.Fields(os.Getenv("REGCRED_WITHOUT")), program) {
		return false
	}
	_, err := exec.LookPath(program)
	return err != nil
}

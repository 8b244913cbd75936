// Benchkube measures what the target kubernetes promises, on a real API server with
// etcd. It prints a line for each figure, as package figures says, and exits with 1
// where one is over its limit:
//
//	go run ./test/benchkube [-small] [-regcred bin/regcred]
//
// regcred runs as the process that users run, with a fake of ECR as its issuer. What it
// takes is measured against floors: the same work on the same API server by bare
// requests, in turns with regcred's, so that what else the machine does weighs on
// both. In the small form there are fewer namespaces and rounds, and a time that is
// over its limit is printed as such and fails nothing; counts and memory do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"regcred.dev/regcredtest/kubetest"
	"regcred.dev/test/figures"
)

// The limits, as docs/kubernetes.md promises them.
const (
	fillLimit    = 1.3   // by the time of bare creates
	refreshLimit = 1.3   // by the time of bare PUTs
	callsLimit   = 1.02  // for each namespace and refresh
	mintsLimit   = 1.0   // for each refresh
	singleLimit  = 3.0   // by the time of a bare watch-then-create
	memoryLimit  = 60.0  // MiB at 1,000 namespaces
	manyLimit    = 150.0 // MiB at 10,000 namespaces
	idleLimit    = 1.0   // percent of a core at 10,000 namespaces
)

// size is how much is measured.
type size struct {
	namespaces int
	rounds     int // of fills and of refreshes
	samples    int // of single namespaces
	many       int // namespaces of a large cluster, 0: there is none
}

var (
	full  = size{namespaces: 1000, rounds: 5, samples: 200, many: 10_000}
	small = size{namespaces: 100, rounds: 3, samples: 20}
)

func main() {
	short := flag.Bool("small", false, "measure with fewer namespaces and rounds")
	program := flag.String("regcred", "bin/regcred", "the regcred to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *program, *short)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchkube:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, short bool) (err error) {
	s := full
	if short {
		s = small
	}
	cluster, err := kubetest.Open(kubetest.Options{Sync: true})
	if err != nil {
		return err
	}
	defer cluster.Close()
	dir, err := os.MkdirTemp("", "benchkube-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := newPlant(ctx, cluster, dir, program)
	if err != nil {
		return err
	}
	defer p.close()
	r := figures.New(os.Stdout, short)
	if err := measure(ctx, r, p, s); err != nil {
		return err
	}
	return r.Err()
}

// measure runs all benchmarks.
func measure(ctx context.Context, r *figures.Report, p *plant, s size) error {
	if err := p.createNamespaces(ctx, 0, s.namespaces); err != nil {
		return err
	}
	server, err := benchFill(ctx, r, p, s)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	defer func() { server.kill() }()
	if err := benchRefresh(ctx, r, p, server, s); err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	if err := benchSingle(ctx, r, p, s); err != nil {
		return fmt.Errorf("single namespaces: %w", err)
	}
	if err := server.reportMemory(r, memoryLimit, s.namespaces); err != nil || s.many == 0 {
		return err
	}
	if err := server.stop(); err != nil {
		return err
	}
	// What one store has delivered is not another's to change.
	if err := p.clear(ctx, regcredSecret); err != nil {
		return err
	}
	if err := p.createNamespaces(ctx, s.namespaces, s.many); err != nil {
		return err
	}
	return benchMany(ctx, r, p, s)
}

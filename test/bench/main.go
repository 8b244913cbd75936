// Bench measures what regcred promises of its speed and size. It prints a line
// for each figure, as package figures says, and exits with 1 where one is over its
// limit. Times are the best of several rounds, since other load on the machine only adds
// to them, or their median where that would leave out what the program itself does now and
// then. In the small form, which is for busy machines, a time that is over is printed as
// such and fails nothing.
//
//	go run ./test/bench [-small] [NAME...]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"regcred.dev/test/figures"
)

// benchmark measures one part of regcred. In its small form it takes fewer
// rounds, or leaves out what takes long; the limits stay the same.
type benchmark struct {
	name string
	run  func(r *figures.Report, small bool) error
}

var benchmarks = []benchmark{
	{"keyring", benchKeyring},
	{"api", benchAPI},
}

func main() {
	small := flag.Bool("small", false, "take fewer rounds")
	// The benchmark api starts this program again, as its servers.
	data := flag.String("data", "", "be the server of what is in a data directory")
	memory := flag.Int("memory", 0, "be the server of so many credentials in memory")
	capi := flag.String("capi", "", "URL of the Cloud Foundry that a server's callers are of")
	flag.Parse()
	do := func() error { return run(os.Stdout, *small, flag.Args()) }
	switch {
	case *data != "":
		do = func() error { return serveData(*data, *capi, os.Stdin, os.Stdout) }
	case *memory > 0:
		do = func() error { return serveMemory(*memory, *capi, os.Stdin, os.Stdout) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the benchmarks with the given names, all where there are none.
func run(w io.Writer, small bool, names []string) error {
	known := map[string]bool{}
	for _, b := range benchmarks {
		known[b.name] = true
	}
	for _, name := range names {
		if !known[name] {
			return fmt.Errorf("there is no benchmark %q", name)
		}
	}
	r := figures.New(w, small)
	for _, b := range benchmarks {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		if err := b.run(r, small); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return r.Err()
}

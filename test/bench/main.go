// Bench measures what regcred promises of its speed and size. It prints a line
// for each figure, as package figures says, and exits with 1 where one is over its
// limit. Times are the best of several rounds: other load on the machine only adds to
// them. In the small form, which is for busy machines, a time that is over is printed
// as such and fails nothing.
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
// rounds; the data and the limits stay the same.
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
	flag.Parse()
	if err := run(os.Stdout, *small, flag.Args()); err != nil {
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

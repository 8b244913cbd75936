// Bench measures what regcred promises of its speed and size. It prints a line
// for each figure and exits with 1 where one is over its limit:
//
//	bench NAME value=V unit=U limit=L ok|over
//
// A figure without a limit has "limit=-". Times are the best of several rounds:
// other load on the machine only adds to them. In the small form, which is for
// busy machines, a time that is over is printed as such and fails nothing.
//
//	go run ./test/bench [-small] [NAME...]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
)

// benchmark measures one part of regcred. In its small form it takes fewer
// rounds; the data and the limits stay the same.
type benchmark struct {
	name string
	run  func(r *report, small bool) error
}

var benchmarks = []benchmark{
	{"keyring", benchKeyring},
}

// errOver says that a figure is over its limit.
var errOver = errors.New("over the limit")

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
	r := &report{w: w, small: small}
	for _, b := range benchmarks {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		if err := b.run(r, small); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	if r.over {
		return errOver
	}
	return nil
}

// report prints figures.
type report struct {
	w     io.Writer
	small bool
	over  bool // whether a promise is not kept
}

// atMost prints a figure that has a limit.
func (r *report) atMost(limit float64, name string, value float64, unit string) {
	r.over = r.over || value > limit
	r.limited(limit, name, value, unit)
}

// timeAtMost prints a figure that has a limit, and that other load on the machine
// makes worse.
func (r *report) timeAtMost(limit float64, name string, value float64, unit string) {
	r.over = r.over || value > limit && !r.small
	r.limited(limit, name, value, unit)
}

func (r *report) limited(limit float64, name string, value float64, unit string) {
	verdict := "ok"
	if value > limit {
		verdict = "over"
	}
	fmt.Fprintf(r.w, "bench %s value=%.4g unit=%s limit=%g %s\n", name, value, unit, limit, verdict)
}

// figure prints a figure that has none.
func (r *report) figure(name string, value float64, unit string) {
	fmt.Fprintf(r.w, "bench %s value=%.4g unit=%s limit=- ok\n", name, value, unit)
}

// Command bench measures what regcred promises, on data that it makes up, and
// fails where a promise is not kept:
//
//	go run ./test/bench [-small]
//
// With -small there is a tenth of the data. Allocations and memory are then held
// to the same limits for each credential; times are shown and held to none, as
// small runs are for busy machines.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
)

func main() {
	small := flag.Bool("small", false, "a tenth of the data, and no limits on time")
	flag.Parse()
	testing.Init() // not before: its flags are not this program's
	full := 1_000_000
	if *small {
		full /= 10
	}
	broken := report(os.Stdout, measure(full), *small)
	if broken > 0 {
		fmt.Printf("%d promises are not kept\n", broken)
		os.Exit(1)
	}
}

// A figure is one measured value, with the limit that it has to stay within.
type figure struct {
	name  string
	value float64
	unit  string
	limit float64 // 0: none
	// timed figures depend on what else the machine does.
	timed bool
}

// report prints the figures and returns how many are over their limits.
func report(w io.Writer, figures []figure, small bool) (broken int) {
	for _, f := range figures {
		verdict := ""
		switch {
		case f.limit == 0 || small && f.timed:
		case f.value > f.limit:
			broken++
			verdict = fmt.Sprintf("  OVER the limit of %g", f.limit)
		default:
			verdict = fmt.Sprintf("  within %g", f.limit)
		}
		fmt.Fprintf(w, "%-52s %12.2f %-5s%s\n", f.name, f.value, f.unit, verdict)
	}
	return broken
}

// Command bench measures what regcred promises, on data that it makes up, and
// fails where a promise is not kept:
//
//	go run ./test/bench [-small]
//
// Each figure is a line
//
//	bench NAME value=V unit=U limit=L ok
//
// with "over" in place of "ok" where it is above its limit; a figure without a
// limit is there for comparison, and has neither. With -small there is a tenth of
// the data, and a time that is over fails nothing, as small runs are for busy
// machines.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
)

func main() {
	small := flag.Bool("small", false, "a tenth of the data, and times fail nothing")
	flag.Parse()
	testing.Init() // not before: its flags are not this program's
	full := 1_000_000
	if *small {
		full /= 10
	}
	broken := report(os.Stdout, measure(full), *small)
	if broken > 0 {
		fmt.Fprintf(os.Stderr, "%d promises are not kept\n", broken)
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

// report prints the figures and returns how many promises are not kept.
func report(w io.Writer, figures []figure, small bool) (broken int) {
	for _, f := range figures {
		line := fmt.Sprintf("bench %s value=%.4g unit=%s", f.name, f.value, f.unit)
		switch {
		case f.limit == 0:
		case f.value > f.limit:
			line += fmt.Sprintf(" limit=%g over", f.limit)
			if !small || !f.timed {
				broken++
			}
		default:
			line += fmt.Sprintf(" limit=%g ok", f.limit)
		}
		fmt.Fprintln(w, line)
	}
	return broken
}

// Package figures prints what benchmarks measure, and knows which promises are kept.
// There is a line for each figure:
//
//	bench NAME value=V unit=U limit=L ok|over
//
// A figure without a limit has "limit=-".
package figures

import (
	"errors"
	"fmt"
	"io"
)

// ErrOver says that a figure is over its limit.
var ErrOver = errors.New("over the limit")

// Report prints figures.
type Report struct {
	w     io.Writer
	small bool
	over  bool // whether a promise is not kept
}

// New returns a Report that prints to w. In the small form, which is for busy
// machines, a noisy figure that is over its limit is printed as such and fails nothing.
func New(w io.Writer, small bool) *Report { return &Report{w: w, small: small} }

// Err returns ErrOver where a promise is not kept.
func (r *Report) Err() error {
	if r.over {
		return ErrOver
	}
	return nil
}

// AtMost prints a figure that has a limit.
func (r *Report) AtMost(limit float64, name string, value float64, unit string) {
	r.over = r.over || value > limit
	r.limited(limit, name, value, unit)
}

// NoisyAtMost prints a figure that has a limit, and that other load on the machine
// makes worse: a time, or a peak of memory that depends on when garbage is collected.
func (r *Report) NoisyAtMost(limit float64, name string, value float64, unit string) {
	r.over = r.over || value > limit && !r.small
	r.limited(limit, name, value, unit)
}

func (r *Report) limited(limit float64, name string, value float64, unit string) {
	verdict := "ok"
	if value > limit {
		verdict = "over"
	}
	fmt.Fprintf(r.w, "bench %s value=%.4g unit=%s limit=%g %s\n", name, value, unit, limit, verdict)
}

// Figure prints a figure that has none.
func (r *Report) Figure(name string, value float64, unit string) {
	fmt.Fprintf(r.w, "bench %s value=%.4g unit=%s limit=- ok\n", name, value, unit)
}

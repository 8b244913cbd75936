package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// outputFlag is -o: "" for people, "json" for programs.
type outputFlag string

func (o *outputFlag) add(cmd *cobra.Command) {
	cmd.Flags().VarP(o, "output", "o", "output format: json")
}

// Set implements pflag.Value.
func (o *outputFlag) Set(s string) error {
	if s != "json" {
		return fmt.Errorf("there is only json")
	}
	*o = outputFlag(s)
	return nil
}

// String implements pflag.Value.
func (o *outputFlag) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *outputFlag) Type() string { return "format" }

// write prints v as JSON, or else has people print it for people.
func (o *outputFlag) write(w io.Writer, v any, people func(io.Writer)) error {
	if *o == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	people(printable{w})
	return nil
}

// printable is a writer for terminals. What is neither text nor a line break or tab
// becomes a replacement character: settings, labels and names are written by others,
// and must not direct the terminal of whoever looks at them.
type printable struct{ w io.Writer }

// Write implements io.Writer.
func (p printable) Write(text []byte) (int, error) {
	safe := bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
	if _, err := p.w.Write(safe); err != nil {
		return 0, err
	}
	return len(text), nil
}

// table prints rows under a header, in columns.
func table(w io.Writer, header string, rows [][]string) {
	columns(w, append([][]string{strings.Fields(header)}, rows...))
}

// columns prints rows in columns, each on one line.
func columns(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	oneLine := strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ", "\v", " ", "\f", " ")
	for _, row := range rows {
		for i, cell := range row {
			row[i] = oneLine.Replace(cell)
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush()
}

// timeFormat is how points in time are shown.
const timeFormat = time.RFC3339

// count says how many there are: "1 credential", "2 credentials".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// until says how far away a time is: "in 11h59m", "30s ago", "never".
func until(t *time.Time) string {
	if t == nil {
		return "never"
	}
	d := time.Until(*t)
	if d < 0 {
		return short(-d) + " ago"
	}
	return "in " + short(d)
}

// short prints a duration by its two largest units.
func short(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

package cli

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

func (p *Program) registryStats() *cobra.Command {
	var out outputFlag
	var from, to string
	cmd := &cobra.Command{
		Use: "stats", Args: wantArgs(cobra.NoArgs),
		Short: "Show what was pulled and pushed, by repository and tag",
		Long: `Show what was pulled and pushed, by repository and tag, on the days from --from to --to
in UTC, both included. A line without a tag counts the repository's layers, and images
that were asked for by digest. PULLS are manifests that were sent, CHECKS clients that
looked whether a tag has changed. It is a minute old. Months that were over more than 92
days ago are counted whole.`,
		Example: `  regcred registry stats --from 2026-01-01 --to 2026-01-31 -o json
  regcred registry stats --from 7d`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			last, err := parseDay("--to", to, time.Now())
			if err != nil {
				return err
			}
			first, err := parseDay("--from", from, time.Now())
			if err != nil {
				return err
			}
			if first.After(last) {
				return usagef("--from is after --to")
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			list, err := c.RegistryStatistics(cmd.Context(), first, last)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, list, func(w io.Writer) { describeStatistics(w, list) })
		},
	}
	cmd.Flags().StringVar(&from, "from", "30d", "the first `day`, such as 2026-01-01, or how long ago it was, such as 7d")
	cmd.Flags().StringVar(&to, "to", "", "the last `day`, likewise (default today)")
	out.add(cmd)
	return cmd
}

// parseDay reads a day, or how long before now it was; "" is now. Errors: wrong usage.
func parseDay(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	if d, ok := regcred.ParseDuration(s); ok {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, usagef("%s: write a day such as 2026-01-31, or how long ago it was, such as 7d, not %q", flag, s)
	}
	return t, nil
}

func describeStatistics(w io.Writer, list []client.RegistryStatistic) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nothing was counted on these days; the last minute is not in it yet.")
		return
	}
	var rows [][]string
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, s := range list {
		rows = append(rows, []string{
			s.Repository, cmp.Or(s.Tag, "-"), number(s.Pulls), number(s.Checks), size(s.PulledBytes), until(s.LastPulledAt),
			number(s.Pushes), size(s.PushedBytes), until(s.LastPushedAt),
		})
	}
	table(w, "REPOSITORY TAG PULLS CHECKS PULLED LAST-PULLED PUSHES PUSHED LAST-PUSHED", rows)
}

// describeImages says where a server's images come from.
func describeImages(w io.Writer, im client.Images) {
	fmt.Fprintf(w, "images: %s\n", im.Storage)
	c := im.Crane
	if c == nil {
		return
	}
	fmt.Fprintf(w, "Crane's metadata in %s: %d repositories of v1, %d of v2, %d of these protected, read %s\n",
		c.Path, c.V1, c.V2, c.Protected, until(c.ReadAt))
	for _, b := range c.Bad {
		kept := ""
		if b.Kept {
			kept = "; what it said before is served"
		}
		fmt.Fprintf(w, "  cannot be used: %s: %s%s\n", b.Path, strings.ReplaceAll(b.Reason, "\n", "; "), kept)
	}
}

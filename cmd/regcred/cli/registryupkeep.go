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
	"regcred.dev/config"
)

func (p *Program) registryGC() *cobra.Command {
	var out outputFlag
	var dryRun, force bool
	cmd := &cobra.Command{
		Use: "gc", Args: wantArgs(cobra.NoArgs),
		Short: "Collect garbage: drop tags that retention does not keep, and delete what nobody needs",
		Long: `Collect garbage now, as the server does by itself every few hours: drop the tags that
retention does not keep, take out of repositories what no tag needs any more, as the
policy says, and delete content that is in no repository. It may run beside pushes and
pulls. Content goes in two runs, a day apart: what one finds without a repository, a
later one deletes if that is still so.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			done, err := c.CollectGarbage(cmd.Context(), dryRun, force)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, done, func(w io.Writer) { describeCollection(w, done) })
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&force, "force", false, "go on also where more than half of all content is in no repository")
	out.add(cmd)
	return cmd
}

func describeCollection(w io.Writer, c client.Collection) {
	done := ""
	if c.DryRun {
		done = "would be "
	}
	fmt.Fprintf(w, "stored: %s (%s), which repositories have by %s\n", count(c.Content.Count, "content"), size(c.Content.Bytes), count(c.Links, "link"))
	for _, tag := range c.Tags {
		fmt.Fprintf(w, "tag %s %sdropped\n", tag, done)
	}
	for _, part := range []struct {
		what   string
		amount client.Amount
	}{
		{"manifests without a tag " + done + "taken out of their repositories", c.Manifests},
		{"blobs that no manifest needs " + done + "taken out of their repositories", c.Blobs},
		{"content in no repository " + done + "deleted", c.Deleted},
		{"content in no repository, which goes in a day at the earliest", c.Condemned},
	} {
		if part.amount.Count > 0 {
			fmt.Fprintf(w, "%s: %s\n", part.what, amount(part.amount))
		}
	}
	if c.Waiting > 0 {
		fmt.Fprintf(w, "content that was found without a repository before, and waits: %d\n", c.Waiting)
	}
	if c.Spared > 0 {
		fmt.Fprintf(w, "content that waited, and is in a repository again: %d\n", c.Spared)
	}
	for _, s := range c.Skipped {
		fmt.Fprintf(w, "left alone: %s: %s\n", s.Repository, s.Reason)
	}
}

func amount(a client.Amount) string { return fmt.Sprintf("%d (%s)", a.Count, size(a.Bytes)) }

func (p *Program) registryStatus() *cobra.Command {
	var out outputFlag
	var deep bool
	cmd := &cobra.Command{
		Use: "status", Args: wantArgs(cobra.NoArgs),
		Short: "Compare the registry's metadata with its storage, and list the differences",
		Long: `Compare the registry's metadata with its storage, and list the differences: content,
tags and manifests that are lost, damaged or incomplete; content that no repository
needs; and repositories of Crane's metadata that our own hide. With --deep all content
is read, and its digest compared: that takes as long as reading it.

The exit code is 1 where something is lost or damaged; what the next collection of
garbage sees to is listed, and no failure.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			found, err := c.CheckRegistry(cmd.Context(), deep)
			if err != nil {
				return err
			}
			if err := out.write(p.Stdout, found, func(w io.Writer) { describeRegistry(w, found) }); err != nil {
				return err
			}
			if found.Lost > 0 {
				return regcred.Errorf(regcred.Corrupt, "the registry's metadata and its storage differ in %s", count(found.Lost, "place"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read all content, and compare its digests")
	out.add(cmd)
	return cmd
}

func describeRegistry(w io.Writer, c client.RegistryCheck) {
	for _, p := range c.Problems {
		bytes := ""
		if p.Bytes > 0 {
			bytes = " (" + size(p.Bytes) + ")"
		}
		fmt.Fprintf(w, "%s: %s%s\n", p.Kind, p.Message, bytes)
	}
	if more := c.Lost + c.Harmless - len(c.Problems); more > 0 {
		fmt.Fprintf(w, "... and %d more\n", more)
	}
	for _, name := range c.Shadowed {
		fmt.Fprintf(w, "hidden: Crane's metadata of %s is of no effect, since the registry has images of that name: remove its file\n", name)
	}
	if c.Lost == 0 {
		fmt.Fprintln(w, "everything that the registry has is stored")
	}
	if c.Harmless > 0 {
		fmt.Fprintf(w, "%s for the next collection of garbage\n", count(c.Harmless, "object"))
	}
}

func (p *Program) registryStats() *cobra.Command {
	var out outputFlag
	var from, to string
	cmd := &cobra.Command{
		Use: "stats", Args: wantArgs(cobra.NoArgs),
		Short: "Show what was pulled and pushed, by repository and tag",
		Long: `Show what was pulled and pushed, by repository and tag, on the days from --from to --to
in UTC, both included. A line without a tag counts the repository's layers, and images
that were asked for by digest. PULLS are manifests that were sent, CHECKS clients that
looked whether a tag has changed. It is a minute old.`,
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
	if d, ok := config.ParseDuration(s); ok {
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

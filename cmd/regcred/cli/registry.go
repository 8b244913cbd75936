package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regcred.dev/client"
)

func (p *Program) registryCommand() *cobra.Command {
	return group("registry", "Look after the registry: its images, garbage, storage and numbers",
		p.registryLs(), p.registryHistory(), p.registryRollback(), p.registryDelete(),
		p.registryGC(), p.registryStatus(), p.registryOperations(), p.registryStats(), p.registrySetup())
}

// imageName is REPOSITORY:TAG or REPOSITORY@DIGEST, as 'registry ls' has them: without a
// registry's host.
type imageName struct{ repository, tag, digest string }

func (n imageName) String() string {
	if n.digest != "" {
		return n.repository + "@" + n.digest
	}
	return n.repository + ":" + n.tag
}

// parseTag reads REPOSITORY:TAG. Errors: wrong usage.
func parseTag(s string) (imageName, error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 || strings.ContainsAny(s[i:], "/@") || strings.Contains(s, "@") {
		return imageName{}, usagef("%q: write REPOSITORY:TAG, such as acme/app:1.0", s)
	}
	return imageName{repository: s[:i], tag: s[i+1:]}, nil
}

// parseImage reads REPOSITORY:TAG or REPOSITORY@DIGEST. Errors: wrong usage.
func parseImage(s string) (imageName, error) {
	repository, digest, ok := strings.Cut(s, "@")
	if !ok {
		return parseTag(s)
	}
	if repository == "" || strings.Contains(repository, ":") || digest == "" {
		return imageName{}, usagef("%q: write REPOSITORY:TAG or REPOSITORY@DIGEST, such as acme/app@sha256:...", s)
	}
	return imageName{repository: repository, digest: digest}, nil
}

func (p *Program) registryLs() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "ls [REPOSITORY]", Aliases: []string{"list"}, Args: wantArgs(cobra.MaximumNArgs(1)),
		Short: "List the registry's repositories, or the tags of one, with their sizes",
		Long: `List the registry's repositories, or the tags of one, with their sizes. What several
repositories or tags share counts for each of them, and is stored once. Pulls are of
the last 90 days.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				list, err := c.Repositories(cmd.Context())
				if err != nil {
					return err
				}
				return out.write(p.Stdout, list, func(w io.Writer) { listRepositories(w, list) })
			}
			list, err := c.Tags(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.write(p.Stdout, list, func(w io.Writer) { listTags(w, list) })
		},
	}
	out.add(cmd)
	return cmd
}

func listRepositories(w io.Writer, list []client.Repository) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No repositories.")
		return
	}
	var rows [][]string
	for _, r := range list {
		quota := "-"
		if r.Quota > 0 {
			quota = size(r.Quota)
		}
		rows = append(rows, []string{r.Name, strconv.Itoa(r.Tags), strconv.Itoa(r.Manifests), size(r.Bytes), quota, until(r.PushedAt)})
	}
	table(w, "REPOSITORY TAGS MANIFESTS SIZE QUOTA PUSHED", rows)
}

func listTags(w io.Writer, list []client.Tag) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No tags.")
		return
	}
	var rows [][]string
	for _, t := range list {
		notes := t.Problem
		if t.Immutable {
			notes = strings.TrimSuffix("immutable; "+notes, "; ")
		}
		rows = append(rows, []string{
			t.Name, cmp.Or(t.Digest, "-"), size(t.Bytes), cmp.Or(strings.Join(t.Platforms, ","), "-"),
			until(t.WrittenAt), strconv.FormatInt(t.Pulls, 10), until(t.PulledAt), notes,
		})
	}
	table(w, "TAG DIGEST SIZE PLATFORMS WRITTEN PULLS PULLED NOTES", rows)
}

// size says how many bytes there are, in units of a thousand.
func size(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n)/1000, 0
	for f >= 999.95 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	return fmt.Sprintf("%.1f %s", f, units[unit])
}

func (p *Program) registryHistory() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "history REPOSITORY:TAG", Args: wantArgs(cobra.ExactArgs(1)),
		Short: "Show what a tag points at, and pointed at before",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTag(args[0])
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			list, err := c.TagHistory(cmd.Context(), name.repository, name.tag)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, list, func(w io.Writer) { describeHistory(w, list) })
		},
	}
	out.add(cmd)
	return cmd
}

func describeHistory(w io.Writer, list []client.TagVersion) {
	var rows [][]string
	for _, v := range list {
		state := "gone"
		switch {
		case v.ReplacedAt == nil:
			state = "current"
		case v.Available:
			state = "available"
		}
		rows = append(rows, []string{v.Digest, moment(v.WrittenAt), moment(v.ReplacedAt), state})
	}
	table(w, "DIGEST WRITTEN REPLACED STATE", rows)
}

// moment is a point in time, or none.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(timeFormat)
}

func (p *Program) registryRollback() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "rollback REPOSITORY:TAG [DIGEST]", Args: wantArgs(cobra.RangeArgs(1, 2)),
		Short: "Point a tag at what it pointed at before",
		Long: `Point a tag at what it pointed at before: at the last image that is still there, or at
the one with a digest that 'regcred registry history' shows. It is in the history
itself, so that it can be undone the same way.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTag(args[0])
			if err != nil {
				return err
			}
			digest := ""
			if len(args) > 1 {
				digest = args[1]
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			r, err := c.RollbackTag(cmd.Context(), name.repository, name.tag, digest)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, r, func(w io.Writer) { fmt.Fprintf(w, "%s points at %s\n", name, r.Digest) })
		},
	}
	out.add(cmd)
	return cmd
}

func (p *Program) registryDelete() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "delete REPOSITORY:TAG|REPOSITORY@DIGEST", Aliases: []string{"rm"}, Args: wantArgs(cobra.ExactArgs(1)),
		Short: "Delete a tag, or an image with all tags that point at it",
		Long: `Delete a tag, or by its digest an image with all tags that point at it. A tag that was
deleted can be rolled back to what it pointed at, as long as that is there. What no
repository has any more is deleted by 'regcred registry gc', a day later at the
earliest. What a policy makes immutable is not deleted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseImage(args[0])
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			if err := deleteImage(cmd.Context(), c, name); err != nil {
				return err
			}
			return out.write(p.Stdout, map[string]any{"name": name.String(), "deleted": true}, func(w io.Writer) {
				fmt.Fprintf(w, "%s deleted\n", name)
			})
		},
	}
	out.add(cmd)
	return cmd
}

func deleteImage(ctx context.Context, c *client.Client, name imageName) error {
	if name.digest != "" {
		return c.DeleteManifest(ctx, name.repository, name.digest)
	}
	return c.DeleteTag(ctx, name.repository, name.tag)
}

package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

// Upkeep that takes long goes on in the server; commands wait for it unless they are
// told not to.

func (p *Program) registryGC() *cobra.Command {
	var dryRun, force bool
	cmd := &cobra.Command{
		Use: "gc", Args: wantArgs(cobra.NoArgs),
		Short: "Collect garbage: drop tags that retention does not keep, and delete what nobody needs",
		Long: `Collect garbage now, as the server does by itself every few hours: drop the tags that
retention does not keep, take out of repositories what no tag needs any more, as the
policy says, and delete content that is in no repository. It may run beside pushes and
pulls. Content goes in two runs, a day apart: what one finds without a repository, a
later one deletes if that is still so.

` + goesOn,
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&force, "force", false, "go on also where more than half of all content is in no repository")
	p.runsOperation(cmd, func(ctx context.Context, c *client.Client) (client.RegistryOperation, error) {
		return c.StartCollection(ctx, dryRun, force)
	})
	return cmd
}

func (p *Program) registryStatus() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use: "status", Args: wantArgs(cobra.NoArgs),
		Short: "Compare the registry's metadata with its storage, and list the differences",
		Long: `Compare the registry's metadata with its storage, and list the differences: content,
tags and manifests that are lost, damaged or incomplete; content that no repository
needs; and repositories of Crane's metadata that our own hide. With --deep all content
is read, and its digest compared: that takes as long as reading it.

The exit code is 1 where something is lost or damaged; what the next collection of
garbage sees to is listed, and no failure.

` + goesOn,
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read all content, and compare its digests")
	p.runsOperation(cmd, func(ctx context.Context, c *client.Client) (client.RegistryOperation, error) {
		return c.StartCheck(ctx, deep)
	})
	return cmd
}

const goesOn = `It goes on in the server, also when this command is ended: 'regcred registry operations'
shows it. One that goes on already is joined.`

// runsOperation makes a command start an operation, and wait for it.
func (p *Program) runsOperation(cmd *cobra.Command, start func(context.Context, *client.Client) (client.RegistryOperation, error)) {
	var out outputFlag
	var wait bool
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until it is done; --wait=false only starts it")
	out.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.connect(cmd.Context())
		if err != nil {
			return err
		}
		o, err := start(cmd.Context(), c)
		if err != nil {
			return err
		}
		if !wait {
			return out.write(p.Stdout, o, func(w io.Writer) {
				fmt.Fprintf(w, "%s goes on in the server: 'regcred registry operations %s' shows it\n", title(o), o.ID)
			})
		}
		if o, err = p.follow(cmd.Context(), c, o); err != nil {
			return err
		}
		return p.outcome(o, &out)
	}
}

// follow waits for an operation, and shows how far it is.
func (p *Program) follow(ctx context.Context, c *client.Client, o client.RegistryOperation) (client.RegistryOperation, error) {
	m := newMeter(p.Stderr)
	defer m.end()
	every := 10 * time.Second
	if m.width > 0 {
		every = time.Second
	}
	id := o.ID
	o, err := c.WaitForOperation(ctx, o, every, func(o client.RegistryOperation) {
		if o.State == client.Running {
			m.show(func() string { return progress(o) })
		}
	})
	if err != nil && regcred.CodeOf(err) != regcred.NotFound {
		fmt.Fprintf(m, "It goes on in the server: 'regcred registry operations %s' shows it.\n", id)
	}
	return o, err
}

// progress says how far an operation is.
func progress(o client.RegistryOperation) string {
	p := o.Progress
	if p.Number == 0 {
		return title(o) + ": begins"
	}
	bytes := ""
	if p.TotalBytes > 0 {
		bytes = fmt.Sprintf(", %s of %s", size(p.Bytes), size(p.TotalBytes))
	}
	return fmt.Sprintf("%s, step %d of %d: %s: %s%s", title(o), p.Number, p.Steps, p.Step, count(int(p.Objects), "object"), bytes)
}

// title names an operation.
func title(o client.RegistryOperation) string {
	what := "collecting garbage"
	if o.Kind == "check" {
		what = "checking the registry"
	}
	for _, option := range []struct {
		on   bool
		name string
	}{{o.DryRun, "--dry-run"}, {o.Force, "--force"}, {o.Deep, "--deep"}} {
		if option.on {
			what += " " + option.name
		}
	}
	return what
}

// outcome prints what an operation that has ended did or found. Errors: that of the
// operation; Corrupt where something is lost.
func (p *Program) outcome(o client.RegistryOperation, out *outputFlag) error {
	if err := o.Err(); err != nil {
		return err
	}
	if o.Collection != nil {
		return out.write(p.Stdout, o.Collection, func(w io.Writer) { describeCollection(w, *o.Collection) })
	}
	if o.Check == nil {
		return regcred.Errorf(regcred.Unavailable, "the server does not say what became of the operation %s: is it a newer one?", o.ID)
	}
	if err := out.write(p.Stdout, o.Check, func(w io.Writer) { describeRegistry(w, *o.Check) }); err != nil {
		return err
	}
	if o.Check.Lost > 0 {
		return regcred.Errorf(regcred.Corrupt, "the registry's metadata and its storage differ in %s", count(o.Check.Lost, "place"))
	}
	return nil
}

func (p *Program) registryOperations() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "operations [ID]", Args: wantArgs(cobra.MaximumNArgs(1)),
		Short: "List the collections and checks that go on in the server, or wait for one",
		Long: `List the collections of garbage and checks of the storage, the server's own collections
among them: those that go on, and the last ten that have ended since it was started. With
an ID wait for that one, and print what it did or found, as the command does that started
it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				list, err := c.RegistryOperations(cmd.Context())
				if err != nil {
					return err
				}
				return out.write(p.Stdout, list, func(w io.Writer) { listOperations(w, list) })
			}
			o, err := c.RegistryOperation(cmd.Context(), args[0], 0)
			if err != nil {
				return err
			}
			if o, err = p.follow(cmd.Context(), c, o); err != nil {
				return err
			}
			return p.outcome(o, &out)
		},
	}
	out.add(cmd)
	return cmd
}

func listOperations(w io.Writer, list []client.RegistryOperation) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No collections or checks since the server was started.")
		return
	}
	var rows [][]string
	for _, o := range list {
		state, ended := o.State, until(o.EndedAt)
		switch {
		case o.State == client.Running:
			ended = "-"
			state = fmt.Sprintf("step %d of %d: %s", o.Progress.Number, o.Progress.Steps, o.Progress.Step)
		case o.Error != nil:
			state = "failed: " + o.Error.Detail
		case o.Check != nil && o.Check.Lost > 0:
			state = count(o.Check.Lost, "place") + " where something is lost"
		}
		rows = append(rows, []string{o.ID, title(o), o.StartedBy, until(&o.StartedAt), ended, state})
	}
	table(w, "ID OPERATION BY STARTED ENDED STATE", rows)
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
	if more := c.Dropped - len(c.Tags); more > 0 {
		fmt.Fprintf(w, "... and %s %sdropped\n", count(more, "more tag"), done)
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

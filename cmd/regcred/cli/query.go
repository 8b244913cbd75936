package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/keyring"
)

func (p *Program) resolveCommand() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "resolve IMAGE",
		Short: "Say which credential an image is pulled with, and why",
		Args:  wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := scope.scope()
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			r, err := c.Resolve(cmd.Context(), args[0], s)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, r, func(w io.Writer) { describeResolution(w, r) })
		},
	}
	scope.add(cmd)
	out.add(cmd)
	return cmd
}

func describeResolution(w io.Writer, r client.Resolution) {
	fmt.Fprintf(w, "image:       %s\n", r.Image)
	for i, l := range r.Candidates {
		label := ""
		if i == 0 {
			label = "candidates:"
		}
		fmt.Fprintf(w, "%-12s %s\n", label, l)
	}
	if r.Match != nil {
		fmt.Fprintf(w, "credential:  %s at scope %s (%s)\n", r.Match.Location, r.Match.Scope, r.Match.GUID)
		fmt.Fprintf(w, "username:    %s\n", r.Match.Username)
	}
	fmt.Fprintf(w, "why:         %s\n", r.Why)
	if r.Problem != "" {
		fmt.Fprintf(w, "problem:     %s\n", r.Problem)
	}
}

func (p *Program) dockerConfigCommand() *cobra.Command {
	var scope scopeFlags
	var dialect string
	var broaden bool
	cmd := &cobra.Command{
		Use:   "docker-config",
		Short: "Print a scope's keyring as a docker config file",
		Long: `Print a scope's keyring as a docker config file, in the dialect of who reads it:
docker (also go-containerregistry and most others), containers (podman, skopeo,
buildah) or kubelet (pull secrets). It holds logins in clear. What cannot be said
in a dialect, or has no login, is left out, and standard error says so.`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := scope.scope()
			if err != nil {
				return err
			}
			if _, err := keyring.ParseDialect(dialect); err != nil {
				return &usageError{err}
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			file, err := c.DockerConfig(cmd.Context(), s, dialect, broaden)
			if err != nil {
				return err
			}
			return p.printDockerConfig(file)
		},
	}
	scope.add(cmd)
	cmd.Flags().StringVar(&dialect, "for", string(keyring.Docker), "dialect: docker, containers, kubelet or deis")
	cmd.Flags().BoolVar(&broaden, "broaden", false, "let a lone credential for a path stand for its whole host")
	return cmd
}

// printDockerConfig prints the file, and what it lacks on standard error.
func (p *Program) printDockerConfig(file client.DockerConfig) error {
	var config bytes.Buffer
	if err := json.Indent(&config, file.Config, "", "\t"); err != nil {
		return regcred.Errorf(regcred.Unavailable, "the server's answer has no docker config file in it")
	}
	fmt.Fprintln(p.Stdout, strings.TrimSpace(config.String()))
	for _, o := range file.Omitted {
		fmt.Fprintf(p.Stderr, "left out: %s\n", omission(o))
	}
	return nil
}

// omission says which credential is left out, and why.
func omission(o client.Omission) string {
	return fmt.Sprintf("%s at scope %s: %s", orElse(o.Location, o.GUID), o.Scope, o.Reason)
}

func (p *Program) statusCommand() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "status", Short: "Show the server's state: logins, problems, targets", Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return out.write(p.Stdout, st, func(w io.Writer) { describeStatus(w, st) })
		},
	}
	out.add(cmd)
	return cmd
}

func describeStatus(w io.Writer, st client.Status) {
	fmt.Fprintf(w, "regcred %s at %s, store %s, revision %d\n", st.Version, st.URL, st.StoreID, st.Revision)
	fmt.Fprintf(w, "%s, next renewal %s\n", count(st.Credentials, "credential"), nextRenewal(st.NextRenewal))
	describeImages(w, st.Images)
	if len(st.Problems) == 0 && st.Credentials > 0 {
		fmt.Fprintln(w, "every credential has a good login")
	}
	for _, pr := range st.Problems {
		fmt.Fprintf(w, "problem: %s at scope %s (%s): %s\n", orElse(pr.Location, "location not yet known, provider "+pr.Provider+","), pr.Scope, pr.GUID, pr.Error)
		switch {
		case pr.GapAt != nil:
			fmt.Fprintf(w, "  pulls fail from %s on (%s) unless a new login comes before\n", pr.GapAt.Format(timeFormat), until(pr.GapAt))
		case pr.ExpiresAt != nil:
			fmt.Fprintf(w, "  its login expires %s\n", until(pr.ExpiresAt))
		}
	}
	for _, i := range st.Issuers {
		fmt.Fprintf(w, "issuer %s (%s): %s\n", issuerName(i), count(i.Credentials, "credential"), issuerState(i))
	}
	for _, r := range st.Rotations {
		fmt.Fprintf(w, "rotate: %s at scope %s (%s): what is stored is to be replaced by %s\n", orElse(r.Location, "?"), r.Scope, r.GUID, r.By.Format(time.DateOnly))
	}
	for _, t := range st.Targets {
		describeTarget(w, t)
	}
}

// issuerName names an issuer, and its provider where the name does not say that.
func issuerName(i client.Issuer) string {
	if strings.HasPrefix(i.Issuer, i.Provider+" ") {
		return i.Issuer
	}
	return i.Provider + " " + i.Issuer
}

// nextRenewal says when the next login is minted: a time that is just past is now.
func nextRenewal(t *time.Time) string {
	if t != nil && time.Until(*t) < time.Second {
		return "now"
	}
	return until(t)
}

// entries counts entries, of which a pull secret may have two for one host.
func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return strconv.Itoa(n) + " entries"
}

func issuerState(i client.Issuer) string {
	if i.ThrottledUntil != nil {
		return "it asked to be left alone, and is asked again " + until(i.ThrottledUntil)
	}
	return "it cannot be reached or does not answer, and is tried now and then"
}

func describeTarget(w io.Writer, t client.Target) {
	fmt.Fprintf(w, "target %s (scope %s): %s delivered, revision %d\n", t.Name, t.Scope, entries(t.Delivered), t.Revision)
	if t.EarliestExpiry != nil {
		fmt.Fprintf(w, "  the first delivered login expires %s\n", until(t.EarliestExpiry))
	}
	for _, o := range t.Omitted {
		fmt.Fprintf(w, "  left out: %s\n", omission(o))
	}
	for _, s := range t.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", s)
	}
	if t.Held != "" {
		fmt.Fprintf(w, "  HELD: %s\n  To let it happen: regcred target confirm %s\n", t.Held, t.Name)
	}
	if t.Error != "" {
		fmt.Fprintf(w, "  ERROR: %s\n", t.Error)
	}
}

func (p *Program) targetCommand() *cobra.Command {
	var out outputFlag
	confirm := &cobra.Command{
		Use: "confirm NAME", Short: "Let a target carry out the removals that it holds back", Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.ConfirmTarget(cmd.Context(), args[0]); err != nil {
				return err
			}
			return out.write(p.Stdout, map[string]any{"name": args[0], "confirmed": true}, func(w io.Writer) {
				fmt.Fprintf(w, "target %s: removals confirmed\n", args[0])
			})
		},
	}
	out.add(confirm)
	return group("target", "Act on the targets that keyrings are delivered to", confirm)
}

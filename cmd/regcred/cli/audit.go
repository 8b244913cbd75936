package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

// auditPage is how many entries are shown unless more are asked for.
const auditPage = 50

func (p *Program) auditCommand() *cobra.Command {
	var callers, operations []string
	var since string
	var refused bool
	var limit int
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what",
		Long: `Show the audit log, the newest entries last: who did what, from where, and whether
they were allowed to. Changes, and the release of logins, are in it before they are
done; reads within a second, with their number. That something was allowed does not say
that it succeeded.

Callers are such as "token ID (NAME)", "user NAME (ID)", and "local" for the server's own
socket (docs/security.md).`,
		Example: `  regcred audit --since 24h --refused
  regcred audit --operation 'release logins' -n 1000 -o json
  regcred audit --caller 'token 6b2bfca4c18a (ci)'`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := auditFilter(callers, operations, since, refused)
			if err != nil {
				return err
			}
			if limit < 1 || limit > 5000 {
				return usagef("--limit: at least 1 and at most 5000 entries can be shown")
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			entries, total, err := c.Audit(cmd.Context(), filter, limit)
			if err != nil {
				return err
			}
			slices.Reverse(entries)
			return out.write(p.Stdout, entries, func(w io.Writer) { describeAudit(w, entries, total) })
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&callers, "caller", nil, "only what this `caller` did, written as under CALLER, such as local; may be repeated")
	flags.StringArrayVar(&operations, "operation", nil, "only this operation, written as under OPERATION, such as 'create credential'; may be repeated")
	flags.StringVar(&since, "since", "", "only what happened within a time, such as 24h or 7d")
	flags.BoolVar(&refused, "refused", false, "only what was not allowed")
	flags.IntVarP(&limit, "limit", "n", auditPage, "how many entries, the newest")
	out.add(cmd)
	return cmd
}

func auditFilter(callers, operations []string, since string, refused bool) (url.Values, error) {
	q := url.Values{}
	for key, values := range map[string][]string{"callers": callers, "operations": operations} {
		if len(values) > 0 {
			q.Set(key, strings.Join(values, ","))
		}
	}
	if refused {
		q.Set("allowed", "false")
	}
	if since != "" {
		d, ok := regcred.ParseDuration(since)
		if !ok {
			return nil, usagef("--since: write a duration such as 24h or 7d, not %q", since)
		}
		q.Set("created_ats[gte]", time.Now().Add(-d).UTC().Format("2006-01-02T15:04:05Z"))
	}
	return q, nil
}

func describeAudit(w io.Writer, entries []client.AuditEntry, total int) {
	if len(entries) == 0 {
		fmt.Fprintln(w, "no entries")
		return
	}
	rows := make([][]string, len(entries))
	for i, e := range entries {
		outcome := "allowed"
		if !e.Allowed {
			outcome = "REFUSED"
		}
		what := e.Operation
		if e.Count > 1 {
			what = fmt.Sprintf("%s (%d times)", what, e.Count)
		}
		rows[i] = []string{
			e.CreatedAt.Format(timeFormat), outcome, e.Caller, cmp.Or(e.From, "-"), what,
			e.Relationships.Scope().String(), cmp.Or(strings.TrimSpace(e.Location+" "+e.GUID), "-"), e.Detail,
		}
	}
	columns(w, append([][]string{{"TIME", "OUTCOME", "CALLER", "FROM", "OPERATION", "SCOPE", "CREDENTIAL", "DETAIL"}}, rows...))
	if total > len(entries) {
		fmt.Fprintf(w, "... and %d older ones: --limit shows more\n", total-len(entries))
	}
}

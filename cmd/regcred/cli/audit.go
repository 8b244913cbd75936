package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

// auditPage is how many entries are shown unless more are asked for.
const auditPage = 50

// auditFlags select entries of the audit log.
type auditFlags struct {
	callers, operations, repositories []string
	since, until                      string
	allowed, refused                  bool
}

func (p *Program) auditCommand() *cobra.Command {
	var f auditFlags
	var limit int
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what",
		Long: `Show the audit log, the newest entries last: who did what, from where, and whether
they were allowed to. Changes, pushes to the registry among them, and the release of
logins are in it before they are done; reads and tokens of the registry within a second,
with their number. That something was allowed does not say that it succeeded.

Callers are such as "token ID (NAME)", "user NAME (ID)", "credential GUID" for a login of
the registry that was minted from it, "local" for the server's own socket, and "nobody"
for who sent no login, or one that is not good (docs/security.md).

Operations are:
` + operationList(),
		Example: `  regcred audit --since 24h --refused
  regcred audit --operation 'release logins' -n 1000 -o json
  regcred audit --repository acme/app --operation 'push manifest' --operation 'delete tag'
  regcred audit --caller 'token 6b2bfca4c18a (ci)' --since 2026-01-01 --until 2026-02-01`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.query(time.Now())
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
	f.add(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", auditPage, "how many entries, the newest")
	out.add(cmd)
	return cmd
}

func (f *auditFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.callers, "caller", nil, "only what this `caller` did, written as under CALLER, such as local; may be repeated")
	flags.StringArrayVar(&f.operations, "operation", nil, "only this operation, written as under OPERATION, such as 'create credential'; may be repeated")
	flags.StringArrayVar(&f.repositories, "repository", nil, "only what was done with this repository of the registry, such as acme/app; may be repeated")
	flags.StringVar(&f.since, "since", "", "only what happened within a `time`, such as 24h or 7d, or since one, such as 2026-01-31 or 2026-01-31T15:04:05Z")
	flags.StringVar(&f.until, "until", "", "only what happened before a `time`, written as for --since")
	flags.BoolVar(&f.allowed, "allowed", false, "only what was allowed")
	flags.BoolVar(&f.refused, "refused", false, "only what was not allowed")
}

// operationList writes the operations of the audit log, some on each line.
func operationList() string {
	var b strings.Builder
	for names := range slices.Chunk(regcred.AuditOperations, 4) {
		b.WriteString("\n  " + strings.Join(names, ", "))
	}
	return b.String()
}

// query returns the filter that the flags ask for. Errors: of usage.
func (f *auditFlags) query(now time.Time) (url.Values, error) {
	if f.allowed && f.refused {
		return nil, usagef("--allowed and --refused: use one of them, or none to see both")
	}
	q := url.Values{}
	for key, values := range map[string][]string{"callers": f.callers, "operations": f.operations, "repositories": f.repositories} {
		if len(values) > 0 {
			q.Set(key, listed(values))
		}
	}
	if f.allowed || f.refused {
		q.Set("allowed", strconv.FormatBool(f.allowed))
	}
	for _, bound := range [][3]string{{"since", "gte", f.since}, {"until", "lt", f.until}} {
		if bound[2] == "" {
			continue
		}
		at, ok := parseMoment(now, bound[2])
		if !ok {
			return nil, usagef("--%s: write a duration such as 24h or 7d, or a time such as 2026-01-31 or 2026-01-31T15:04:05Z, not %q", bound[0], bound[2])
		}
		q.Set("created_ats["+bound[1]+"]", at.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return q, nil
}

// listed writes values as the API takes several: separated by commas, and escaped, for
// names of callers may have commas in them.
func listed(values []string) string {
	escaped := make([]string, len(values))
	for i, v := range values {
		escaped[i] = url.PathEscape(v)
	}
	return strings.Join(escaped, ",")
}

// parseMoment reads a time: a duration before now, a day in UTC, or a time of RFC 3339.
func parseMoment(now time.Time, s string) (time.Time, bool) {
	if d, ok := regcred.ParseDuration(s); ok {
		return now.Add(-d), true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
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

package cli

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

func (p *Program) credentialCommand() *cobra.Command {
	return group("credential", "Store, list, change and delete registry credentials",
		p.credentialCreate(), p.credentialList(), p.credentialGet(),
		p.credentialUpdate(), p.credentialDelete(), p.credentialRefresh(), p.credentialCheck())
}

// describeCredential says what became of a credential.
func describeCredential(w io.Writer, verb string, c client.Credential) {
	fmt.Fprintf(w, "credential %s %s: %s at scope %s\n", c.GUID, verb, orElse(c.Canonical, "location not yet known"), scopeText(c))
	if c.Location != "" && c.Location != c.Canonical {
		fmt.Fprintf(w, "%s is kept in its canonical form, %s\n", c.Location, c.Canonical)
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	switch l := c.Login; {
	case l == nil:
		fmt.Fprintln(w, "no login yet")
	case l.Problem != "":
		fmt.Fprintf(w, "no new login yet, it is tried again: %s\n", l.Problem)
	case l.ExpiresAt != nil:
		fmt.Fprintf(w, "login minted, expires %s, renewed %s\n", until(l.ExpiresAt), until(l.RenewAt))
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func scopeText(c client.Credential) string { return c.Relationships.Scope().String() }

func (p *Program) credentialList() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List credentials", Args: wantArgs(cobra.NoArgs),
		Long: `List credentials: those of all scopes, or with --org those of the organization
and everything in it; with --space and --app likewise.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := scope.scope()
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			list, err := c.Credentials(cmd.Context(), scopeFilter(s))
			if err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(c client.Credential) bool { return !s.Contains(c.Relationships.Scope()) })
			return out.write(p.Stdout, list, func(w io.Writer) { listCredentials(w, list) })
		},
	}
	scope.add(cmd)
	for flag, usage := range map[string]string{
		"org":   "only those of this organization and everything in it; none means all scopes",
		"space": "only those of this space in the organization and its apps",
		"app":   "only those of this app in the space",
	} {
		cmd.Flags().Lookup(flag).Usage = usage
	}
	out.add(cmd)
	return cmd
}

// scopeFilter has the server leave out most of what does not lie within a scope.
// Its lists are separated by commas, so an id with a comma cannot be asked for.
func scopeFilter(s regcred.Scope) url.Values {
	f := url.Values{}
	for key, id := range map[string]string{"organization_guids": s.Org, "space_guids": s.Space, "app_guids": s.App} {
		if id != "" && !strings.Contains(id, ",") {
			f.Set(key, id)
		}
	}
	return f
}

func listCredentials(w io.Writer, list []client.Credential) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No credentials.")
		return
	}
	var rows [][]string
	for _, c := range list {
		rows = append(rows, []string{orElse(c.Canonical, "?"), scopeText(c), c.Username, c.Provider, loginState(c.Login), c.GUID})
	}
	table(w, "LOCATION SCOPE USERNAME PROVIDER LOGIN GUID", rows)
}

// loginState says how a login is, in a few words: loginText has the problem too.
func loginState(l *client.Login) string {
	switch {
	case l == nil || l.Problem == "":
		return loginText(l)
	case l.MintedAt == nil:
		return "none, minting fails"
	}
	return "expires " + until(l.ExpiresAt) + ", renewal fails"
}

// loginText says how a login is, and what its problem is.
func loginText(l *client.Login) string {
	switch {
	case l == nil:
		return "none"
	case l.MintedAt == nil:
		return "none; " + l.Problem
	case l.Problem != "":
		return "expires " + until(l.ExpiresAt) + "; " + l.Problem
	}
	return "expires " + until(l.ExpiresAt)
}

func (p *Program) credentialGet() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use: "get GUID|LOCATION", Short: "Show a credential and its settings, without secrets", Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, cred, err := p.find(cmd.Context(), args[0], &scope)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, cred, func(w io.Writer) { showCredential(w, cred) })
		},
	}
	scope.add(cmd)
	out.add(cmd)
	return cmd
}

func showCredential(w io.Writer, c client.Credential) {
	rows := [][]string{
		{"location:", orElse(c.Canonical, "not yet known")}, {"scope:", scopeText(c)}, {"username:", c.Username},
		{"provider:", c.Provider}, {"login:", loginText(c.Login)}, {"origin:", c.Origin},
		{"created:", c.CreatedAt.Format(timeFormat)}, {"updated:", c.UpdatedAt.Format(timeFormat)}, {"guid:", c.GUID},
	}
	for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
		rows = append(rows, []string{"setting:", key + "=" + c.Settings[key]})
	}
	if c.SettingsHidden {
		rows = append(rows, []string{"setting:", "(shown to admins only)"})
	}
	columns(w, rows)
}

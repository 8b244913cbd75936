package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

func (p *Program) profileCommand() *cobra.Command {
	return group("profile", "Show the profiles that your credentials may name", p.profileList())
}

func (p *Program) profileList() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the profiles that your credentials may name", Args: wantArgs(cobra.NoArgs),
		Long: `List the profiles that an operator has granted to organizations and spaces of
yours, for 'regcred credential create --profile NAME'. What they mint logins from is
the operator's, and is not shown. Admins and auditors see all, and whom each is
granted to.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			list, err := c.Profiles(cmd.Context())
			if err != nil {
				return err
			}
			return out.write(p.Stdout, list, func(w io.Writer) { listProfiles(w, list) })
		},
	}
	out.add(cmd)
	return cmd
}

func listProfiles(w io.Writer, list []client.Profile) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No profiles.")
		return
	}
	header, granted := "NAME PROVIDER LOCATION", false
	for _, profile := range list {
		granted = granted || len(profile.Grants) > 0
	}
	if granted {
		header += " GRANTED"
	}
	var rows [][]string
	for _, profile := range list {
		row := []string{profile.Name, profile.Provider, profile.Location}
		if granted {
			row = append(row, grantsText(profile.Grants))
		}
		rows = append(rows, row)
	}
	table(w, header, rows)
}

func grantsText(grants []client.Grant) string {
	var texts []string
	for _, g := range grants {
		text := g.Relationships.Scope().String()
		if g.Relationships.Scope() == regcred.Foundation {
			text = "everybody"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

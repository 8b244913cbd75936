package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

func (p *Program) tokenCommand() *cobra.Command {
	return group("token", "Make, list and delete API tokens", p.tokenCreate(), p.tokenList(), p.tokenDelete())
}

func (p *Program) tokenCreate() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	var role, lifetime string
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make an API token and print it, once",
		Long: `Make an API token and print it, once: only its hash is stored. It is a bearer token
of the API, and a password at the registry, for any user name.

Roles: admin may do everything; reader may resolve within the scope; target may
also have its logins in clear; puller may pull from this registry.`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return usagef("say what it may do: --role admin, reader, target or puller")
			}
			s, err := scope.scope()
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			t, err := c.CreateToken(cmd.Context(), client.TokenRequest{
				Name: args[0], Role: role, Lifetime: lifetime, Relationships: client.RelationshipsOf(s),
			})
			if err != nil {
				return err
			}
			return out.write(p.Stdout, t, func(w io.Writer) { fmt.Fprintln(w, t.Secret) })
		},
	}
	scope.add(cmd)
	out.add(cmd)
	cmd.Flags().StringVar(&role, "role", "", "admin, reader, target or puller")
	cmd.Flags().StringVar(&lifetime, "lifetime", "", "how long it is valid, such as 720h; it never expires by default")
	return cmd
}

func (p *Program) tokenList() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List API tokens", Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			list, err := c.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			return out.write(p.Stdout, list, func(w io.Writer) {
				var rows [][]string
				for _, t := range list {
					rows = append(rows, []string{t.ID, t.Name, t.Role, t.Scope, t.CreatedAt.Format(timeFormat), until(t.ExpiresAt)})
				}
				table(w, "ID NAME ROLE SCOPE CREATED EXPIRES", rows)
			})
		},
	}
	out.add(cmd)
	return cmd
}

func (p *Program) tokenDelete() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "delete ID", Aliases: []string{"rm"}, Short: "Revoke an API token", Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			err = c.DeleteToken(cmd.Context(), args[0])
			if regcred.CodeOf(err) == regcred.NotFound {
				return regcred.Errorf(regcred.NotFound, "no API token has the id %q: use an id that 'regcred token list' shows", args[0])
			}
			if err != nil {
				return err
			}
			return out.write(p.Stdout, map[string]any{"id": args[0], "deleted": true}, func(w io.Writer) {
				fmt.Fprintf(w, "token %s deleted\n", args[0])
			})
		},
	}
	out.add(cmd)
	return cmd
}

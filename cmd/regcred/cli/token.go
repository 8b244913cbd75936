package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

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
	var token tokenFlags
	cmd := &cobra.Command{
		Use:   "create NAME (--role ROLE | --repository PATTERN)",
		Short: "Make an API token and print it, once",
		Long: `Make an API token and print it, once: only its hash is stored. It is a bearer token
of the API, and a password at the registry, for any user name.

Roles: admin may do everything; reader may resolve within the scope; target may
also have its logins in clear; puller may pull the repositories of the scope, of those
within it and of the wider ones; pusher may push to those of the scope and within it,
too. auditor reads everything; org-manager, org-member, space-developer and
space-member do what Cloud Foundry's roles do.

With --repository the token is for some repositories alone: its role is puller, with
--push it is pusher.`,
		Example: `  regcred token create ci --role pusher --org acme
  regcred token create customer-7 --repository 'acme/*' --expires 90d`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := token.request(args[0])
			if err != nil {
				return err
			}
			s, err := scope.scope()
			if err != nil {
				return err
			}
			in.Relationships = client.RelationshipsOf(s)
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			t, err := c.CreateToken(cmd.Context(), in)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, t, func(w io.Writer) { fmt.Fprintln(w, t.Secret) })
		},
	}
	scope.add(cmd)
	out.add(cmd)
	token.add(cmd)
	return cmd
}

// tokenFlags say what an API token is for.
type tokenFlags struct {
	role, lifetime string
	repositories   []string
	push           bool
}

func (f *tokenFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.role, "role", "", "what it may do")
	flags.StringArrayVar(&f.repositories, "repository", nil, "only for this repository, or all below a path: acme/app, acme/*; may be repeated")
	flags.BoolVar(&f.push, "push", false, "also push to these repositories")
	flags.StringVar(&f.lifetime, "expires", "", "after how long it expires, such as 90d or 12h; it never does by default")
	flags.StringVar(&f.lifetime, "lifetime", "", "the same as --expires")
	_ = flags.MarkHidden("lifetime") // which is there
}

// request returns the token that the flags describe. Errors: wrong usage.
func (f *tokenFlags) request(name string) (client.TokenRequest, error) {
	in := client.TokenRequest{Name: name, Role: f.role, Repositories: f.repositories}
	switch {
	case slices.Contains(f.repositories, ""): // from a variable that is not set: it must not widen the token
		return in, usagef("--repository is empty: name one, or leave the flag out")
	case f.push && f.role != "" && f.role != string(regcred.RolePusher):
		return in, usagef("--push is the role pusher, not %s: leave out one", f.role)
	case f.push:
		in.Role = string(regcred.RolePusher)
	case in.Role == "" && len(f.repositories) > 0:
		in.Role = string(regcred.RolePuller)
	case in.Role == "":
		return in, usagef("say what it may do: --role with one of %s, or --repository", roleNames())
	}
	if f.lifetime != "" {
		if _, ok := regcred.ParseDuration(f.lifetime); !ok {
			return in, usagef("--expires: write a duration such as 90d or 12h, not %q", f.lifetime)
		}
		in.Lifetime = f.lifetime
	}
	return in, nil
}

// roleNames lists the roles that an API token can have.
func roleNames() string {
	var names []string
	for _, r := range regcred.Roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
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
					rows = append(rows, []string{
						t.ID, t.Name, t.Role, t.Scope, cmp.Or(strings.Join(t.Repositories, ","), "-"),
						t.CreatedAt.Format(timeFormat), until(t.ExpiresAt), until(t.LastUsedAt),
					})
				}
				table(w, "ID NAME ROLE SCOPE REPOSITORIES CREATED EXPIRES USED", rows)
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

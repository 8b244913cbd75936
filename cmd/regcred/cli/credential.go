package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

func (p *Program) credentialCommand() *cobra.Command {
	return group("credential", "Store, list, change and delete registry credentials",
		p.credentialCreate(), p.credentialList(), p.credentialUpdate(), p.credentialDelete(), p.credentialRefresh())
}

// sourceFlags say what a credential's logins come from.
type sourceFlags struct {
	username      string
	passwordStdin bool
	provider      string
	set           []string
	setFile       []string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.username, "username", "u", "", "user name at the registry; the password comes from REGCRED_PASSWORD, --password-stdin or a prompt")
	cmd.Flags().BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "a provider's setting, `key=value`; may be repeated")
	cmd.Flags().StringArrayVar(&f.setFile, "set-file", nil, "a provider's setting read from a file, `key=path`, for secrets; may be repeated")
}

// settings reads --set and --set-file; nil where neither is given.
func (f *sourceFlags) settings() (map[string]string, error) {
	var m map[string]string
	add := func(flag, s string, value func(string) (string, error)) error {
		key, v, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return usagef("%s: write key=value", flag)
		}
		v, err := value(v)
		if err != nil {
			return err
		}
		if m == nil {
			m = map[string]string{}
		}
		m[key] = v
		return nil
	}
	for _, s := range f.set {
		if err := add("--set", s, func(v string) (string, error) { return v, nil }); err != nil {
			return nil, err
		}
	}
	for _, s := range f.setFile {
		err := add("--set-file", s, func(path string) (string, error) {
			data, err := os.ReadFile(path)
			return strings.TrimSuffix(string(data), "\n"), err
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (p *Program) credentialCreate() *cobra.Command {
	var scope scopeFlags
	var source sourceFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "create [LOCATION] (--username USER | --provider NAME [--set key=value]...)",
		Short: "Store a credential",
		Long: `Store a credential for a registry location, HOST[:PORT][/PATH], at a scope: the
foundation, or the organization, space or app that the flags name.

The password never comes from a flag: it is read from REGCRED_PASSWORD, from
standard input with --password-stdin, or asked for. With a provider the location
may be left out where the provider knows it.`,
		Example: `  regcred credential create registry.example.com/acme --org acme --username robot
  regcred credential create --provider regcred --set repositories='acme/*'`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := p.createRequest(args, &scope, &source)
			if err != nil {
				return err
			}
			c, err := p.connect()
			if err != nil {
				return err
			}
			cred, err := c.CreateCredential(cmd.Context(), in)
			if err != nil {
				return err
			}
			return out.write(p.Stdout, cred, func(w io.Writer) { describeCredential(w, "created", cred) })
		},
	}
	scope.add(cmd)
	source.add(cmd)
	cmd.Flags().StringVar(&source.provider, "provider", "", "what mints its logins, such as regcred")
	out.add(cmd)
	return cmd
}

func (p *Program) createRequest(args []string, scope *scopeFlags, source *sourceFlags) (client.CreateRequest, error) {
	s, err := scope.scope()
	if err != nil {
		return client.CreateRequest{}, err
	}
	settings, err := source.settings()
	if err != nil {
		return client.CreateRequest{}, err
	}
	in := client.CreateRequest{
		Provider: source.provider, Settings: settings, Username: source.username,
		Relationships: client.RelationshipsOf(s),
	}
	if len(args) > 0 {
		in.Location = args[0]
	}
	static := source.provider == "" || source.provider == regcred.ProviderStatic
	switch {
	case static && source.username == "":
		return in, usagef("say what its logins come from: --username, or --provider")
	case static && in.Location == "":
		return in, usagef("a credential with a user name needs a LOCATION, such as registry.example.com")
	case !static && source.username != "":
		return in, usagef("--username and --provider exclude each other")
	case static:
		password, err := p.password(source.passwordStdin)
		in.Password = password.Reveal()
		return in, err
	}
	return in, nil
}

// describeCredential says what became of a credential.
func describeCredential(w io.Writer, verb string, c client.Credential) {
	fmt.Fprintf(w, "credential %s %s: %s at scope %s\n", c.GUID, verb, orElse(c.Canonical, "location not yet known"), scopeText(c))
	if c.Location != "" && c.Location != c.Canonical {
		fmt.Fprintf(w, "%s is kept in its canonical form, %s\n", c.Location, c.Canonical)
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := scope.scope()
			if err != nil {
				return err
			}
			c, err := p.connect()
			if err != nil {
				return err
			}
			list, err := c.Credentials(cmd.Context(), scopeFilter(s))
			if err != nil {
				return err
			}
			if list == nil {
				list = []client.Credential{}
			}
			return out.write(p.Stdout, list, func(w io.Writer) { listCredentials(w, list) })
		},
	}
	scope.add(cmd)
	out.add(cmd)
	return cmd
}

// scopeFilter selects the credentials at a scope and within it.
func scopeFilter(s regcred.Scope) url.Values {
	f := url.Values{}
	for key, id := range map[string]string{"organization_guids": s.Org, "space_guids": s.Space, "app_guids": s.App} {
		if id != "" {
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
		state := "none"
		if l := c.Login; l != nil {
			if l.MintedAt != nil {
				state = "expires " + until(l.ExpiresAt)
			}
			if l.Problem != "" {
				state += "; " + l.Problem
			}
		}
		rows = append(rows, []string{orElse(c.Canonical, "?"), scopeText(c), c.Username, c.Provider, state, c.GUID})
	}
	table(w, "LOCATION SCOPE USERNAME PROVIDER LOGIN GUID", rows)
}

func (p *Program) credentialUpdate() *cobra.Command {
	var scope scopeFlags
	var source sourceFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "update GUID|LOCATION",
		Short: "Change a credential's user name, password or settings",
		Long: `Change a credential's user name and password, or its provider's settings. The
location and scope cannot be changed. The old login serves until the new one is
there. --set and --set-file replace all settings.`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := p.updateRequest(cmd, &source)
			if err != nil {
				return err
			}
			return p.onCredential(cmd.Context(), args[0], &scope, func(c *client.Client, guid string) error {
				cred, err := c.UpdateCredential(cmd.Context(), guid, in)
				if err != nil {
					return err
				}
				return out.write(p.Stdout, cred, func(w io.Writer) { describeCredential(w, "updated", cred) })
			})
		},
	}
	scope.add(cmd)
	source.add(cmd)
	out.add(cmd)
	return cmd
}

func (p *Program) updateRequest(cmd *cobra.Command, source *sourceFlags) (client.UpdateRequest, error) {
	settings, err := source.settings()
	if err != nil {
		return client.UpdateRequest{}, err
	}
	in := client.UpdateRequest{Settings: settings}
	if cmd.Flags().Changed("username") {
		in.Username = &source.username
	}
	if settings != nil && in.Username == nil && !source.passwordStdin {
		return in, nil
	}
	password, err := p.password(source.passwordStdin)
	if err != nil {
		return in, err
	}
	revealed := password.Reveal()
	in.Password = &revealed
	return in, nil
}

func (p *Program) credentialDelete() *cobra.Command {
	var scope scopeFlags
	cmd := &cobra.Command{
		Use: "delete GUID|LOCATION", Aliases: []string{"rm"}, Args: wantArgs(cobra.ExactArgs(1)),
		Short: "Delete a credential, and its login wherever it was delivered",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onCredential(cmd.Context(), args[0], &scope, func(c *client.Client, guid string) error {
				if err := c.DeleteCredential(cmd.Context(), guid); err != nil {
					return err
				}
				fmt.Fprintf(p.Stdout, "credential %s deleted\n", guid)
				return nil
			})
		},
	}
	scope.add(cmd)
	return cmd
}

func (p *Program) credentialRefresh() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use: "refresh GUID|LOCATION", Short: "Mint a new login now", Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onCredential(cmd.Context(), args[0], &scope, func(c *client.Client, guid string) error {
				cred, err := c.RefreshCredential(cmd.Context(), guid)
				if err != nil {
					return err
				}
				return out.write(p.Stdout, cred, func(w io.Writer) { describeCredential(w, "refreshed", cred) })
			})
		},
	}
	scope.add(cmd)
	out.add(cmd)
	return cmd
}

// onCredential runs do with the guid of the credential that is meant: by its guid,
// or by its location and scope.
func (p *Program) onCredential(ctx context.Context, name string, flags *scopeFlags, do func(*client.Client, string) error) error {
	scope, err := flags.scope()
	if err != nil {
		return err
	}
	c, err := p.connect()
	if err != nil {
		return err
	}
	if _, err := uuid.Parse(name); err == nil {
		return do(c, name)
	}
	filter := scopeFilter(scope)
	filter.Set("locations", name)
	filter.Set("scopes", scope.Level().String())
	list, err := c.Credentials(ctx, filter)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return regcred.Errorf(regcred.NotFound, "there is no credential for %s at scope %s: see 'regcred credential list'", name, scope)
	}
	return do(c, list[0].GUID)
}

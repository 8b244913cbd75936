package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/imageref"
)

// updateFlags say what an update changes.
type updateFlags struct {
	sourceFlags
	unset   []string
	noCheck bool
	revoke  bool
}

func (p *Program) credentialUpdate() *cobra.Command {
	var scope scopeFlags
	var change updateFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "update GUID|LOCATION",
		Short: "Change a credential's user name, password or settings",
		Long: `Change a credential. The location and scope cannot be changed.

Without flags it changes the password, which is read from REGCRED_PASSWORD or
asked for. --username by itself changes just the user name; add --password-stdin to
change both. Of a provider's credential, --set and --set-file change the settings
that they name and --unset removes one; the others stay.

Before anything is changed a login is minted from what is new, and the registry is
asked whether it takes it; --no-check leaves that out. The old login serves until
the new one is there; --revoke drops it at once, wherever it was delivered, for one
that leaked.`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, plain, err := change.request(p.Stdin)
			if err != nil {
				return err
			}
			c, cred, err := p.find(cmd.Context(), args[0], &scope)
			if err != nil {
				return err
			}
			if err := p.addPassword(cmd.Context(), &in, cred, change.passwordStdin); err != nil {
				return err
			}
			if err := p.refuseSecrets(cmd.Context(), c, cred.Provider, plain); err != nil {
				return err
			}
			how := client.UpdateOptions{Check: !change.noCheck, Revoke: change.revoke}
			if cred, err = c.UpdateCredential(cmd.Context(), cred.GUID, in, how); err != nil {
				return err
			}
			return out.write(p.Stdout, cred, func(w io.Writer) { describeCredential(w, "updated", cred) })
		},
	}
	scope.add(cmd)
	change.add(cmd)
	cmd.Flags().StringArrayVar(&change.unset, "unset", nil, "a provider's setting to remove, `key`; may be repeated")
	cmd.Flags().BoolVar(&change.noCheck, "no-check", false, "change it without trying the new login first")
	cmd.Flags().BoolVar(&change.revoke, "revoke", false, "drop the old login at once, everywhere: it leaked")
	out.add(cmd)
	return cmd
}

// request returns the update, less the password, and the names of the settings
// that --set gives.
func (f *updateFlags) request(stdin io.Reader) (in client.UpdateRequest, plain []string, err error) {
	if f.username != "" {
		in.Username = &f.username
	}
	set, plain, err := f.settings(stdin)
	if err != nil || len(set)+len(f.unset) == 0 {
		return in, nil, err
	}
	in.Settings = map[string]*string{}
	for key, value := range set {
		in.Settings[key] = &value
	}
	for _, key := range f.unset {
		if _, ok := in.Settings[key]; ok || key == "" {
			return in, nil, usagef("--unset %q: name a setting that the same command does not set", key)
		}
		in.Settings[key] = nil
	}
	return in, plain, nil
}

// addPassword adds the new password to an update, where it changes that.
func (p *Program) addPassword(ctx context.Context, in *client.UpdateRequest, cred client.Credential, fromStdin bool) error {
	nothing := in.Username == nil && in.Settings == nil && !fromStdin
	switch {
	case !isStatic(cred.Provider) && (in.Username != nil || fromStdin):
		return usagef("the logins of credential %s come from provider %s: it has no user name and password, but settings (--set, --set-file, --unset)", cred.GUID, cred.Provider)
	case !isStatic(cred.Provider) && nothing:
		return usagef("say what to change of credential %s, whose logins come from provider %s: --set, --set-file or --unset", cred.GUID, cred.Provider)
	case !nothing && !fromStdin:
		if in.Username != nil && p.Getenv("REGCRED_PASSWORD") != "" {
			fmt.Fprintln(p.Stderr, "REGCRED_PASSWORD is not used: --username by itself changes just the user name; add --password-stdin to change both")
		}
		return nil
	}
	password, err := p.password(ctx, fromStdin)
	if err != nil {
		return err
	}
	revealed := password.Reveal()
	in.Password = &revealed
	return nil
}

func (p *Program) credentialDelete() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use: "delete GUID|LOCATION", Aliases: []string{"rm"}, Args: wantArgs(cobra.ExactArgs(1)),
		Short: "Delete a credential, and its login wherever it was delivered",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, cred, err := p.find(cmd.Context(), args[0], &scope)
			if err != nil {
				return err
			}
			if err := c.DeleteCredential(cmd.Context(), cred.GUID); err != nil {
				return err
			}
			return out.write(p.Stdout, map[string]any{"guid": cred.GUID, "deleted": true}, func(w io.Writer) {
				fmt.Fprintf(w, "credential %s deleted: %s at scope %s\n", cred.GUID, orElse(cred.Canonical, "location not yet known"), scopeText(cred))
			})
		},
	}
	scope.add(cmd)
	out.add(cmd)
	return cmd
}

func (p *Program) credentialRefresh() *cobra.Command {
	var scope scopeFlags
	var out outputFlag
	var revoke bool
	cmd := &cobra.Command{
		Use: "refresh GUID|LOCATION", Short: "Mint a new login now", Args: wantArgs(cobra.ExactArgs(1)),
		Long: `Mint a new login now; the old one serves until it is there. With --revoke the old
one is dropped first, wherever it was delivered, for one that leaked: where no new
one can be minted there is then none. What the issuer gave stays good at the issuer
until it expires, unless that is regcred's own registry: replace a key that leaked
with 'regcred credential update --revoke'.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, cred, err := p.find(cmd.Context(), args[0], &scope)
			if err != nil {
				return err
			}
			if cred, err = c.RefreshCredential(cmd.Context(), cred.GUID, revoke); err != nil {
				return err
			}
			return out.write(p.Stdout, cred, func(w io.Writer) { describeCredential(w, "refreshed", cred) })
		},
	}
	scope.add(cmd)
	cmd.Flags().BoolVar(&revoke, "revoke", false, "drop the old login first, everywhere: it leaked")
	out.add(cmd)
	return cmd
}

// find connects and returns the credential that is meant: by its guid, or by its
// location and scope. It never takes one for another: both are compared exactly.
func (p *Program) find(ctx context.Context, name string, flags *scopeFlags) (*client.Client, client.Credential, error) {
	scope, err := flags.scope()
	if err != nil {
		return nil, client.Credential{}, err
	}
	_, err = uuid.Parse(name)
	isGUID := err == nil
	location, err := imageref.ParseLocation(name)
	switch {
	case isGUID && scope != regcred.Foundation:
		return nil, client.Credential{}, usagef("a GUID says it all: leave out --org, --space and --app")
	case !isGUID && err != nil:
		return nil, client.Credential{}, usagef("this is no GUID, and no location either: %w", err)
	}
	c, err := p.connect(ctx)
	if err != nil {
		return nil, client.Credential{}, err
	}
	var cred client.Credential
	if isGUID {
		cred, err = c.Credential(ctx, name)
	} else {
		cred, err = at(ctx, c, location, scope)
	}
	return c, cred, err
}

// at returns the one credential at a location and scope.
func at(ctx context.Context, c *client.Client, location imageref.Location, scope regcred.Scope) (client.Credential, error) {
	list, err := c.Credentials(ctx, url.Values{"locations": {location.String()}})
	if err != nil {
		return client.Credential{}, err
	}
	var found []client.Credential
	for _, cred := range list {
		if cred.Canonical == location.String() && cred.Relationships.Scope() == scope {
			found = append(found, cred)
		}
	}
	switch len(found) {
	case 0:
		return client.Credential{}, regcred.Errorf(regcred.NotFound, "there is no credential for %s at scope %s: see 'regcred credential list'", location, scope)
	case 1:
		return found[0], nil
	}
	return client.Credential{}, regcred.Errorf(regcred.Internal, "the server has %d credentials for %s at scope %s: name one by its GUID", len(found), location, scope)
}

package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev"
	"regcred.dev/client"
)

// sourceFlags say what a credential's logins come from.
type sourceFlags struct {
	username      string
	passwordStdin bool
	provider      string
	set           []string
	setFile       []string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.username, "username", "u", "", "user name at the registry")
	cmd.Flags().BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "a provider's setting, `key=value`; may be repeated")
	cmd.Flags().StringArrayVar(&f.setFile, "set-file", nil, "a provider's setting read from a file, `key=path`, for secrets; may be repeated")
}

// settings reads --set and --set-file.
func (f *sourceFlags) settings() (map[string]string, error) {
	settings := map[string]string{}
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, usagef("--set: write key=value")
		}
		settings[key] = value
	}
	for _, s := range f.setFile {
		key, path, ok := strings.Cut(s, "=")
		if !ok || key == "" || path == "" {
			return nil, usagef("--set-file: write key=path")
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		settings[key] = strings.TrimSuffix(string(data), "\n")
	}
	return settings, nil
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
			in, err := p.createRequest(cmd.Context(), args, &scope, &source)
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
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

func (p *Program) createRequest(ctx context.Context, args []string, scope *scopeFlags, source *sourceFlags) (client.CreateRequest, error) {
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
	static := isStatic(source.provider)
	switch {
	case static && source.username == "":
		return in, usagef("say what its logins come from: --username, or --provider")
	case static && in.Location == "":
		return in, usagef("a credential with a user name needs a LOCATION, such as registry.example.com")
	case !static && source.username != "":
		return in, usagef("--username and --provider exclude each other")
	case !static && source.passwordStdin:
		return in, usagef("--password-stdin and --provider exclude each other: a provider's secrets come from --set-file")
	case static:
		password, err := p.password(ctx, source.passwordStdin)
		in.Password = password.Reveal()
		return in, err
	}
	return in, nil
}

// isStatic reports whether a provider's logins are a user name and password that
// its user gives.
func isStatic(provider string) bool { return provider == "" || provider == regcred.ProviderStatic }

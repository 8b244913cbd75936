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
	profile       string
	set           []string
	setFile       []string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.username, "username", "u", "", "user name at the registry")
	cmd.Flags().BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "a provider's setting, `key=value`; may be repeated")
	cmd.Flags().StringArrayVar(&f.setFile, "set-file", nil, "a provider's setting read from a file, `key=path`, for secrets; - is standard input; may be repeated")
}

// settings reads --set and --set-file, and returns the names of those that --set
// gives.
func (f *sourceFlags) settings(stdin io.Reader) (settings map[string]string, plain []string, err error) {
	settings = map[string]string{}
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, nil, usagef("--set: write key=value")
		}
		settings[key] = value
		plain = append(plain, key)
	}
	for _, s := range f.setFile {
		key, path, ok := strings.Cut(s, "=")
		if !ok || key == "" || path == "" {
			return nil, nil, usagef("--set-file: write key=path")
		}
		if settings[key], err = readSetting(path, stdin); err != nil {
			return nil, nil, err
		}
	}
	return settings, plain, nil
}

// maxSetting bounds a setting that is read from a file, in bytes.
const maxSetting = 1 << 20

func readSetting(path string, stdin io.Reader) (string, error) {
	from := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxSetting+1))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxSetting:
		return "", regcred.Errorf(regcred.TooLarge, "%s is larger than %d bytes: a setting is a key or a token", path, maxSetting)
	case len(data) == 0:
		return "", regcred.Errorf(regcred.Invalid, "%s is empty", path)
	}
	return withoutLineBreak(string(data)), nil
}

func (p *Program) credentialCreate() *cobra.Command {
	var scope scopeFlags
	var source sourceFlags
	var out outputFlag
	cmd := &cobra.Command{
		Use:   "create [LOCATION] (--username USER | --provider NAME [--set key=value]... | --profile NAME)",
		Short: "Store a credential",
		Long: `Store a credential for a registry location, HOST[:PORT][/PATH], at a scope: the
foundation, or the organization, space or app that the flags name.

The password never comes from a flag: it is read from REGCRED_PASSWORD, from
standard input with --password-stdin, or asked for. With a provider the location
may be left out where the provider knows it: see 'regcred provider describe NAME'.
With a profile, which an operator has granted to the scope, it is the profile's or a
path below that: see 'regcred profile list'.`,
		Example: `  regcred credential create registry.example.com/acme --org acme --username robot
  regcred credential create --provider ecr --set region=eu-west-1
  regcred credential create --org acme --space dev --profile acme-ecr
  regcred credential create 123456789012.dkr.ecr.eu-west-1.amazonaws.com --provider ecr \
      --set access-key-id=AKIA... --set-file secret-access-key=key.txt`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, plain, err := p.createRequest(cmd.Context(), args, &scope, &source)
			if err != nil {
				return err
			}
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			if err := p.refuseSecrets(cmd.Context(), c, in.Provider, plain); err != nil {
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
	cmd.Flags().StringVar(&source.provider, "provider", "", "what mints its logins, by `name`: see 'regcred provider list'")
	cmd.Flags().StringVar(&source.profile, "profile", "", "the profile that mints its logins, by `name`: see 'regcred profile list'")
	out.add(cmd)
	return cmd
}

// byProfile makes --profile what it stands for.
func (f *sourceFlags) byProfile() error {
	switch {
	case f.profile == "":
		return nil
	case f.provider != "" && f.provider != regcred.ProviderProfile:
		return usagef("--profile and --provider exclude each other: the profile says which provider (one of AWS's own files is --set profile=NAME)")
	}
	f.provider = regcred.ProviderProfile
	f.set = append(f.set, regcred.SettingProfile+"="+f.profile)
	return nil
}

// createRequest returns the request that the flags ask for, and the names of the
// settings that --set gives.
func (p *Program) createRequest(ctx context.Context, args []string, scope *scopeFlags, source *sourceFlags) (in client.CreateRequest, plain []string, err error) {
	s, err := scope.scope()
	if err != nil {
		return in, nil, err
	}
	if err := source.byProfile(); err != nil {
		return in, nil, err
	}
	settings, plain, err := source.settings(p.Stdin)
	if err != nil {
		return in, nil, err
	}
	in = client.CreateRequest{
		Provider: source.provider, Settings: settings, Username: source.username,
		Relationships: client.RelationshipsOf(s),
	}
	if len(args) > 0 {
		in.Location = args[0]
	}
	static := isStatic(source.provider)
	switch {
	case static && source.username == "":
		return in, nil, usagef("say what its logins come from: --username, --provider or --profile")
	case static && in.Location == "":
		return in, nil, usagef("a credential with a user name needs a LOCATION, such as registry.example.com")
	case !static && source.username != "":
		return in, nil, usagef("--username and --provider exclude each other")
	case !static && source.passwordStdin:
		return in, nil, usagef("--password-stdin and --provider exclude each other: a provider's secrets come from --set-file")
	case static:
		password, err := p.password(ctx, source.passwordStdin)
		in.Password = password.Reveal()
		return in, nil, err
	}
	return in, plain, nil
}

// isStatic reports whether a provider's logins are a user name and password that
// its user gives.
func isStatic(provider string) bool { return provider == "" || provider == regcred.ProviderStatic }

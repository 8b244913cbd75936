package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"regcred.dev/client"
)

func (p *Program) providerCommand() *cobra.Command {
	return group("provider", "Show what can mint logins, and the settings that each takes", p.providerList(), p.providerDescribe())
}

func (p *Program) providerList() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List providers", Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			list, err := c.Providers(cmd.Context())
			if err != nil {
				return err
			}
			return out.write(p.Stdout, list, func(w io.Writer) {
				var rows [][]string
				for _, info := range list {
					rows = append(rows, []string{info.Name, info.Doc})
				}
				table(w, "NAME DESCRIPTION", rows)
			})
		},
	}
	out.add(cmd)
	return cmd
}

func (p *Program) providerDescribe() *cobra.Command {
	var out outputFlag
	cmd := &cobra.Command{
		Use: "describe NAME", Aliases: []string{"get"}, Args: wantArgs(cobra.ExactArgs(1)),
		Short: "Show a provider's settings, defaults, examples and the permissions it needs",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.connect(cmd.Context())
			if err != nil {
				return err
			}
			info, err := c.Provider(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.write(p.Stdout, info, func(w io.Writer) { describeProvider(w, info) })
		},
	}
	out.add(cmd)
	return cmd
}

func describeProvider(w io.Writer, info client.Provider) {
	fmt.Fprintf(w, "%s\n\n%s\n", info.Name, wrap(info.Doc, ""))
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(w, "\n%s\n%s\n", title, wrap(text, "  "))
		}
	}
	section("Registries:", info.Hosts)
	section("Least permissions:", info.Permissions)
	fmt.Fprintf(w, "\nSettings (--set NAME=VALUE; secret ones --set-file NAME=PATH):\n")
	for _, f := range info.Fields {
		fmt.Fprintf(w, "  %s%s\n%s\n", f.Name, traits(f), wrap(f.Doc, "      "))
		if f.Example != "" {
			fmt.Fprintf(w, "      Example: %s\n", f.Example)
		}
	}
	if len(info.Examples) > 0 {
		fmt.Fprintf(w, "\nExamples:\n")
		for _, example := range info.Examples {
			fmt.Fprintf(w, "  regcred credential create --provider %s %s\n", info.Name, example)
		}
	}
}

// traits says in brackets what is special about a field.
func traits(f client.Field) string {
	var all []string
	if f.Required {
		all = append(all, "required")
	}
	if f.Secret {
		all = append(all, "secret")
	}
	if f.Admin {
		all = append(all, "admins only")
	}
	if f.Default != "" {
		all = append(all, "default "+f.Default)
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// lineWidth is how long a line of text gets, in characters.
const lineWidth = 80

// wrap breaks a text into lines that begin with indent.
func wrap(text, indent string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > lineWidth {
			lines = append(lines, indent+line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, indent+line), "\n")
}

// refuseSecrets returns an error where a setting that came by --set is a secret:
// everyone on the machine can read a command's arguments.
func (p *Program) refuseSecrets(ctx context.Context, c *client.Client, provider string, names []string) error {
	if len(names) == 0 || isStatic(provider) {
		return nil
	}
	info, err := c.Provider(ctx, provider)
	if err != nil {
		return err
	}
	for _, f := range info.Fields {
		for _, name := range names {
			if f.Secret && f.Name == name {
				return usagef("%s is a secret, which others could read among a command's arguments: write --set-file %s=PATH, or %s=- for standard input", name, name, name)
			}
		}
	}
	return nil
}

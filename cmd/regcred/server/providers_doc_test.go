package server

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/imageref"
	"regcred.dev/provider/profile"
)

var update = flag.Bool("update", false, "write docs/providers.md anew")

const (
	providersDoc = "../../../docs/providers.md"
	// marker begins the part of the document that follows from the providers.
	marker = "<!-- From here on the text is the providers' own: go test ./cmd/regcred/server -run ProvidersDoc -update -->\n"
)

// TestProvidersDoc holds docs/providers.md to what the providers say of themselves.
func TestProvidersDoc(t *testing.T) {
	data, err := os.ReadFile(providersDoc)
	if err != nil {
		t.Fatal(err)
	}
	written, described, ok := strings.Cut(string(data), marker)
	if !ok {
		t.Fatalf("%s lacks the line %s", providersDoc, marker)
	}
	var b strings.Builder
	for _, p := range append((&Server{cfg: config.Default()}).providers("registry.example.com"), new(profile.Provider)) {
		documentProvider(&b, p.Describe())
	}
	if *update {
		if err := os.WriteFile(providersDoc, []byte(written+marker+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(described, b.String()); diff != "" {
		t.Errorf("%s is not what the providers say (run the test with -update):\n%s", providersDoc, diff)
	}
}

func documentProvider(b *strings.Builder, info regcred.ProviderInfo) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", info.Name, info.Doc)
	if info.Hosts != "" {
		fmt.Fprintf(b, "\n**Registries:** %s\n", info.Hosts)
	}
	fmt.Fprintf(b, "\n**Least permissions:** %s\n", info.Permissions)
	if len(info.Fields) > 0 {
		fmt.Fprint(b, "\n| setting | | what it is |\n|---|---|---|\n")
	}
	for _, f := range info.Fields {
		doc := f.Doc
		if f.Example != "" {
			doc += " Example: `" + f.Example + "`."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name, traits(f), strings.ReplaceAll(doc, "|", `\|`))
	}
	if len(info.Examples) > 0 {
		fmt.Fprint(b, "\n```sh\n")
		for _, example := range info.Examples {
			fmt.Fprintf(b, "regcred credential create --provider %s %s\n", info.Name, example)
		}
		fmt.Fprint(b, "```\n")
	}
}

func traits(f regcred.Field) string {
	var all []string
	for _, trait := range []struct {
		name string
		has  bool
	}{{"required", f.Required}, {"secret", f.Secret}, {"admins only", f.Admin}} {
		if trait.has {
			all = append(all, trait.name)
		}
	}
	if f.Default != "" {
		all = append(all, "default `"+f.Default+"`")
	}
	return strings.Join(all, ", ")
}

// federation stands in for the file of a recipe.
const federation = `{"type":"external_account","audience":"//iam.googleapis.com/p","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","credential_source":{"file":"/var/run/token"}}`

// TestProvidersDocRecipes: the settings of each recipe in docs/providers.md are ones
// that its provider takes.
func TestProvidersDocRecipes(t *testing.T) {
	data, err := os.ReadFile(providersDoc)
	if err != nil {
		t.Fatal(err)
	}
	written, _, _ := strings.Cut(string(data), marker)
	providers := map[string]regcred.Provider{}
	for _, p := range (&Server{cfg: config.Default()}).providers("registry.example.com") {
		providers[p.Describe().Name] = p
	}
	recipes := 0
	for line := range strings.Lines(strings.ReplaceAll(written, "\\\n", "")) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "regcred credential create ")
		if !ok || strings.HasPrefix(args, "[") {
			continue
		}
		c, err := recipe(args)
		if err == nil {
			err = providers[c.Provider].Check(c)
		}
		if recipes++; err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	if recipes < 8 {
		t.Errorf("it has %d recipes", recipes)
	}
}

// recipe returns the credential that a command line makes, less its scope.
func recipe(args string) (c regcred.Credential, err error) {
	c.Provider, c.Settings = regcred.ProviderStatic, map[string]string{}
	words := strings.Fields(strings.ReplaceAll(args, "'", ""))
	if !strings.HasPrefix(words[0], "--") {
		if c.Location, err = imageref.ParseLocation(words[0]); err != nil {
			return c, err
		}
		words = words[1:]
	}
	for len(words) > 0 {
		flag, rest := words[0], words[1:]
		if flag == "--password-stdin" {
			c.Password = regcred.NewSecret("secret")
			return c, nil // the rest is the shell's
		}
		if len(rest) == 0 {
			return c, fmt.Errorf("%s has no value", flag)
		}
		key, value, _ := strings.Cut(rest[0], "=")
		switch flag {
		case "--provider":
			c.Provider = rest[0]
		case "--username":
			c.Username = rest[0]
		case "--set":
			c.Settings[key] = value
		case "--set-file":
			c.Settings[key] = federation
		default:
			return c, fmt.Errorf("what is %s?", flag)
		}
		words = rest[1:]
	}
	return c, nil
}

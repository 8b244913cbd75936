package server

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
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
	for _, p := range (&Server{}).providers("registry.example.com") {
		documentProvider(&b, p.Describe())
	}
	if *update {
		if err := os.WriteFile(providersDoc, []byte(written+marker+b.String()), 0o644); err != nil { //nolint:gosec // a document
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

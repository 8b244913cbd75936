package regcred

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Provider mints logins from credentials: the short-lived ones of a registry's
// issuer, or the very username and password that were stored. Implementations
// live in provider/NAME and run regcredtest.TestProvider.
//
// A Provider keeps no schedule, caches nothing and retries nothing: refresh does.
type Provider interface {
	// Describe says what the provider is and which settings it takes. It does no
	// I/O.
	Describe() ProviderInfo

	// Check looks at a credential's settings and secrets without any I/O. A location
	// whose host the provider does not know is refused, unless the credential names
	// it in a field that only admins may set.
	// Errors: Invalid, naming the field.
	Check(Credential) error

	// Uses says what of the server itself the credential would use or direct: its
	// own identity in a cloud, files, environment, programs, or where its requests
	// go. Each is half a sentence, such as "the server's own AWS identity". Only an
	// admin may store a credential for which there is any. It does no I/O.
	Uses(Credential) []string

	// Issuer names whom Mint would ask, as far as the issuer's limits go: credentials
	// with the same Issuer share a queue and a rate, and one that hangs delays no
	// other. "" is where nobody is asked. It looks at what may be shown alone
	// (Credential.Public), and does no I/O.
	Issuer(Credential) string

	// Mint obtains a login. It sets all of Login but MintedAt and Version, which
	// the caller knows best, and returns by ctx's deadline.
	//
	// Times of the login are by this machine's clock: where the issuer's Date header
	// tells that the two differ, they are corrected.
	//
	// Errors: Invalid where the settings cannot work; Denied where the issuer
	// refuses them; Throttled where it asks to be asked less often; Unavailable where
	// it cannot be reached or answers what makes no sense. Each message says whom it
	// asked and what to do, and never holds a secret.
	Mint(ctx context.Context, c Credential) (Login, error)
}

// ProviderInfo describes a provider to its users.
type ProviderInfo struct {
	// Name is what a credential's Provider says.
	Name string
	// Doc is one sentence.
	Doc string
	// Fields are the settings that it takes; any other is refused.
	Fields []Field
	// Permissions says the least that the credential must be allowed to do.
	Permissions string
	// Hosts says in words which registry hosts its logins are for.
	Hosts string
	// Examples are settings that work together, each as a command line has them
	// behind --provider NAME.
	Examples []string
	// Rate is how many mints a second an issuer is asked for at most, Burst how many
	// at once after a pause. Zero: no limit.
	Rate  float64
	Burst int
	// Shared says that a login follows from location, settings and secrets alone: two
	// credentials with the same ones may share it.
	Shared bool
}

// Field is one setting of a provider.
type Field struct {
	Name    string
	Doc     string
	Default string
	Example string
	// Required fields must be set.
	Required bool
	// Secret fields are kept in Credential.Secrets and never shown.
	Secret bool
	// Admin fields give away something of the server itself (its identity, files,
	// environment or network): only an admin may set them.
	Admin bool
}

// AllFields returns Fields, and those that every provider takes.
func (info ProviderInfo) AllFields() []Field {
	return slices.Concat(info.Fields, []Field{RotateByField})
}

// CheckFields returns an Invalid error where c has a setting or secret that info
// does not name, or lacks one that it requires. Providers call it first in Check.
// SettingRotateBy is one that all of them take.
func (info ProviderInfo) CheckFields(c Credential) error {
	if _, err := c.RotateBy(); err != nil {
		return err
	}
	known := map[string]Field{}
	for _, f := range info.AllFields() {
		known[f.Name] = f
		_, set := c.Settings[f.Name]
		if f.Secret {
			_, set = c.Secrets[f.Name]
		}
		if f.Required && !set {
			return Errorf(Invalid, "provider %s needs the setting %q: %s", info.Name, f.Name, f.Doc)
		}
	}
	for name := range c.Settings {
		if f, ok := known[name]; !ok || f.Secret {
			return info.unknown(name)
		}
	}
	for name := range c.Secrets {
		if f, ok := known[name]; !ok || !f.Secret {
			return info.unknown(name)
		}
	}
	return nil
}

// AdminFields says for each Admin field that c sets that it does, in order: what
// Provider.Uses returns at least.
func (info ProviderInfo) AdminFields(c Credential) []string {
	var set []string
	for _, f := range info.Fields {
		_, plain := c.Settings[f.Name]
		_, secret := c.Secrets[f.Name]
		if f.Admin && (plain || secret) {
			set = append(set, fmt.Sprintf("the setting %q", f.Name))
		}
	}
	return set
}

// CheckName refuses the name of a setting that the provider does not have: Invalid.
func (info ProviderInfo) CheckName(name string) error {
	if slices.ContainsFunc(info.AllFields(), func(f Field) bool { return f.Name == name }) {
		return nil
	}
	return info.unknown(name)
}

func (info ProviderInfo) unknown(name string) error {
	var names []string
	for _, f := range info.AllFields() {
		names = append(names, f.Name)
	}
	return Errorf(Invalid, "provider %s has no setting %q; it takes %s", info.Name, name, strings.Join(names, ", "))
}

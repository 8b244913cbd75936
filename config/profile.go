package config

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"regcred.dev"
	"regcred.dev/imageref"
)

// Profile is what chosen scopes may have logins minted from without seeing it: the
// settings of a provider, which may use the server itself.
type Profile struct {
	// Where is the file and line where it stands, "regcred.yaml:8".
	Where    string
	Name     string
	Provider string
	// Location is where the logins may be used; credentials may name a path below it.
	Location imageref.Location
	Spelling string
	// Settings and References are as those of a Credential.
	Settings   map[string]string
	References map[string]regcred.Secret
	// Grants are who may name the profile: scopes, with all that lies within them. The
	// foundation's means everybody.
	Grants []regcred.Scope
}

// everybody is what stands in place of a list of grants where all may use a profile.
const everybody = "everybody"

type fileProfile struct {
	Name     text            `yaml:"name"`
	Provider text            `yaml:"provider"`
	Location text            `yaml:"location"`
	Settings map[string]text `yaml:"settings"`
	Grant    yaml.Node       `yaml:"grant"`
}

// line is where the profile stands: its first key that is known to have a line.
func (f fileProfile) line() int {
	for _, line := range []int{f.Name.line, f.Provider.line, f.Location.line, f.Grant.Line} {
		if line > 0 {
			return line
		}
	}
	return 1
}

func (f file) profiles(p *parser) []Profile {
	if f.Profiles == nil {
		return nil
	}
	list, first := []Profile{}, map[string]int{}
	for _, fp := range *f.Profiles {
		profile, line := fp.profile(p), fp.line()
		if other, ok := first[profile.Name]; ok {
			p.problem(line, "profile %q: line %d has one of that name already", profile.Name, other)
		}
		first[profile.Name] = line
		list = append(list, profile)
	}
	return list
}

// profileName is what users have to write on a command line.
var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (f fileProfile) profile(p *parser) Profile {
	out := Profile{Where: p.at(f.line()), Name: f.Name.value, Provider: f.Provider.value, Spelling: f.Location.value}
	if !profileName.MatchString(out.Name) {
		p.problem(f.line(), "profile %q: a name has letters, digits, dots, hyphens and underscores, at most 100", out.Name)
	}
	if out.Provider == "" {
		p.problem(f.line(), "profile %q: provider is missing: say what mints its logins", out.Name)
	}
	if out.Spelling == "" {
		p.problem(f.line(), "profile %q: location is missing: its logins are used there alone", out.Name)
	} else {
		out.Location = p.location(f.Location)
	}
	out.Settings, out.References = p.settings(f.Settings)
	out.Grants = f.grants(p)
	return out
}

// grants reads a list of scopes, or the word everybody.
func (f fileProfile) grants(p *parser) []regcred.Scope {
	const form = "write everybody, or a list such as [{organization: acme}, {organization: other, space: dev}]"
	n := f.Grant
	switch {
	case n.IsZero() || n.ShortTag() == "!!null":
		p.problem(max(n.Line, f.line()), "profile %q: grant is missing, so nobody could use it: %s", f.Name.value, form)
		return nil
	case n.Kind == yaml.ScalarNode && n.Value == everybody:
		return []regcred.Scope{regcred.Foundation}
	case n.Kind != yaml.SequenceNode || len(n.Content) == 0:
		p.problem(n.Line, "profile %q: grant: %s", f.Name.value, form)
		return nil
	}
	var list []regcred.Scope
	for _, item := range n.Content {
		list = append(list, f.grant(p, item, form))
	}
	return list
}

// grant reads one scope. Its keys are looked at here: a node that is decoded by itself
// would let unknown ones pass, and so widen the scope.
func (f fileProfile) grant(p *parser, n *yaml.Node, form string) regcred.Scope {
	var s fileScope
	keys := map[string]*yaml.Node{"organization": &s.Organization, "space": &s.Space}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.problem(n.Line, "profile %q: this grant names nothing: %s", f.Name.value, form)
		return regcred.Scope{}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		into, known := keys[key.Value]
		switch {
		case key.Value == "app":
			p.problem(key.Line, "profile %q: grant: apps are granted what their space is: leave app out", f.Name.value)
		case !known:
			p.problem(key.Line, "profile %q: grant: unknown key %q", f.Name.value, key.Value)
		case !into.IsZero():
			p.problem(key.Line, "profile %q: grant: the key %q stands there twice", f.Name.value, key.Value)
		default:
			*into = *n.Content[i+1]
		}
	}
	return s.scope(p, n.Line)
}

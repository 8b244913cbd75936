package config

import (
	"slices"
	"strings"

	"regcred.dev"
)

// KubernetesScope says which scope each namespace of a cluster has, wherever a cluster
// is configured. The first field that says something about a namespace wins, in their
// order here; where none does it is the foundation.
//
// Who may label a namespace decides on its scope where labels are used.
type KubernetesScope struct {
	// Namespaces are scopes by the namespace's name.
	Namespaces map[string]regcred.Scope
	// OrganizationLabel and SpaceLabel are labels that the operator trusts: their values
	// are the ids.
	OrganizationLabel, SpaceLabel string
	// Preset names a platform whose labels are trusted: one of KubernetesPresets, or "".
	Preset string
	// DefaultOrganization is that of all other namespaces, each of which is a space of
	// it, by its name.
	DefaultOrganization string
}

// KubernetesPresets are the platforms whose labels are known.
var KubernetesPresets = []string{"korifi", "rancher", "capsule"}

// UsesLabels reports whether labels of namespaces have to be known.
func (s KubernetesScope) UsesLabels() bool { return s.OrganizationLabel != "" || s.Preset != "" }

type fileKubernetesScope struct {
	Namespaces          map[string]fileScope `yaml:"namespaces"`
	OrganizationLabel   text                 `yaml:"organization_label"`
	SpaceLabel          text                 `yaml:"space_label"`
	Preset              text                 `yaml:"preset"`
	DefaultOrganization text                 `yaml:"default_organization"`
}

// scope reads the keys; line is where they stand, more or less.
func (f fileKubernetesScope) scope(p *parser, line int) KubernetesScope {
	s := KubernetesScope{
		OrganizationLabel: f.OrganizationLabel.value, SpaceLabel: f.SpaceLabel.value,
		Preset: f.Preset.value, DefaultOrganization: f.DefaultOrganization.value,
	}
	for name, of := range f.Namespaces {
		line := max(line, of.Organization.Line, of.Space.Line, of.App.Line)
		scope := of.scope(p, line)
		if scope.Level() == regcred.LevelApp {
			p.problem(line, "scope.namespaces.%s: an app's logins are never for a namespace: name its space", name)
		}
		if s.Namespaces == nil {
			s.Namespaces = map[string]regcred.Scope{}
		}
		s.Namespaces[name] = scope
	}
	if s.SpaceLabel != "" && s.OrganizationLabel == "" {
		p.problem(f.SpaceLabel.line, "scope.space_label: a space needs its organization: set organization_label too")
	}
	if s.Preset != "" && !slices.Contains(KubernetesPresets, s.Preset) {
		p.problem(f.Preset.line, "scope.preset: there is no %q: use %s", s.Preset, strings.Join(KubernetesPresets, ", "))
	}
	if err := regcred.OrgScope(s.DefaultOrganization).Validate(); err != nil {
		p.problem(f.DefaultOrganization.line, "scope.default_organization: %v", err)
	}
	return s
}

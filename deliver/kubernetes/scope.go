package kubernetes

import (
	"regcred.dev"
)

// Scopes says whose keyring a namespace gets. The first field that says something
// about it wins, in their order here. Where none does, the namespace gets the
// foundation's, which is for everybody.
//
// Who may label a namespace decides on its scope where labels are used. So only
// those are used that the operator names here.
type Scopes struct {
	// Namespaces are scopes by the name of the namespace.
	Namespaces map[string]regcred.Scope
	// OrganizationLabel and SpaceLabel are labels whose values are the ids of the
	// organization and the space.
	OrganizationLabel, SpaceLabel string
	// Preset are the labels of a platform.
	Preset Preset
	// DefaultOrganization is the organization of all other namespaces. Each is a
	// space of it, by its name. It must differ between clusters whose namespaces of
	// one name are not the same.
	DefaultOrganization string
}

// Preset names a platform whose namespaces carry labels that say whose they are.
type Preset string

// The presets.
const (
	// Korifi: an organization's namespace has korifi.cloudfoundry.org/org-guid, that
	// of a space korifi.cloudfoundry.org/space-guid too.
	Korifi Preset = "korifi"
	// Rancher: field.cattle.io/projectId has the project's id, which is the
	// organization. The namespace is a space of it, by its name.
	Rancher Preset = "rancher"
	// Capsule: capsule.clastix.io/tenant has the tenant's name, which is the
	// organization. The namespace is a space of it, by its name.
	Capsule Preset = "capsule"
)

// Presets are all presets.
var Presets = []Preset{Korifi, Rancher, Capsule}

// presetLabels are the labels of the organization and, where there is one, of the
// space. Without one the space is the namespace.
var presetLabels = map[Preset][2]string{
	Korifi:  {"korifi.cloudfoundry.org/org-guid", "korifi.cloudfoundry.org/space-guid"},
	Rancher: {"field.cattle.io/projectId", ""},
	Capsule: {"capsule.clastix.io/tenant", ""},
}

func (s Scopes) check() error {
	for name, scope := range s.Namespaces {
		if err := scope.Validate(); err != nil {
			return regcred.Errorf(regcred.Invalid, "namespace %s: %w", name, err)
		}
		if scope.Level() == regcred.LevelApp {
			return regcred.Errorf(regcred.Invalid, "namespace %s: an app's logins are never delivered to a namespace: name its space", name)
		}
	}
	if s.SpaceLabel != "" && s.OrganizationLabel == "" {
		return regcred.Errorf(regcred.Invalid, "a space needs its organization: set organization_label beside space_label")
	}
	if _, ok := presetLabels[s.Preset]; s.Preset != "" && !ok {
		return regcred.Errorf(regcred.Invalid, "%q is no preset: use %s, %s or %s", s.Preset, Korifi, Rancher, Capsule)
	}
	return regcred.OrgScope(s.DefaultOrganization).Validate()
}

// Of returns the scope of a namespace with these labels, for a target and for those who
// ask otherwise: a namespace has one scope however its logins reach it. Errors: Invalid
// where its labels make no scope.
func (s Scopes) Of(name string, of map[string]string) (regcred.Scope, error) {
	if scope, ok := s.Namespaces[name]; ok {
		return scope, nil
	}
	org, space := of[s.OrganizationLabel], of[s.SpaceLabel]
	if org != "" || space != "" {
		return valid(regcred.SpaceScope(org, space))
	}
	if preset, ok := presetLabels[s.Preset]; ok {
		org, space = of[preset[0]], name
		if preset[1] != "" {
			space = of[preset[1]]
		}
		if org != "" || preset[1] != "" && space != "" {
			return valid(regcred.SpaceScope(org, space))
		}
	}
	if s.DefaultOrganization != "" {
		return regcred.SpaceScope(s.DefaultOrganization, name), nil
	}
	return regcred.Foundation, nil
}

func valid(scope regcred.Scope) (regcred.Scope, error) { return scope, scope.Validate() }

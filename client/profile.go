package client

// Profile is what an operator lets chosen scopes have logins minted from. A credential
// names it with the provider "profile" and the setting "name".
type Profile struct {
	Name string `json:"name"`
	// Provider mints its logins.
	Provider string `json:"provider"`
	// Location is where the logins may be used; a credential may name a path below it.
	Location string `json:"location"`
	// Grants are who may name it, for admins and auditors alone.
	Grants []Grant `json:"grants,omitempty"`
}

// Grant is a scope that may name a Profile, with all that lies within it: the
// foundation's is everybody's.
type Grant struct {
	// Scope is foundation, organization or space.
	Scope         string        `json:"scope"`
	Relationships Relationships `json:"relationships"`
}

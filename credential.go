package regcred

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"regcred.dev/imageref"
)

// Where a credential comes from.
const (
	OriginAPI    = "api"    // stored by somebody; may be changed
	OriginConfig = "config" // declared in the configuration; read-only in the API
)

// ProviderStatic is the provider of a plain username and password.
const ProviderStatic = "static"

// Credential is what an operator stores: a scope and a location, with either a
// username and password (provider "static") or the settings of another provider.
type Credential struct {
	// GUID identifies the credential for its whole life.
	GUID string
	// Scope says who may use it.
	Scope Scope
	// Location is what it is for, in canonical form. With a provider other than
	// static it may be zero: it is then found at the first mint. At most one
	// credential has a given scope and location.
	Location imageref.Location
	// Spelling is the location as its user wrote it, for showing.
	Spelling string

	// Provider names what mints its logins.
	Provider string
	// Username and Password are those of provider static.
	Username string
	Password Secret
	// Settings are the provider's settings that may be shown, Secrets those that
	// may not. The provider's Fields say which is which.
	Settings map[string]string
	Secrets  map[string]Secret

	// Labels and Annotations are its user's own metadata.
	Labels      map[string]string
	Annotations map[string]string

	// Origin is OriginAPI or OriginConfig.
	Origin string
	// Version counts the changes to what logins are minted from, and the times that
	// its login was dropped; it begins at 1.
	Version uint64
	// DropRevision is the store's revision at which its login was last dropped on
	// order (Store.DropLogin); 0: never. What was delivered of the credential before
	// is not to serve any more, whether or not there is a new login.
	DropRevision uint64
	// Revision is the store's revision of the last change to the credential or
	// its login.
	Revision  uint64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Bounds of a credential's metadata. Lists show all of it, of thousands of credentials
// at once. The first two are Cloud Foundry's defaults (max_labels_per_resource and
// max_annotations_per_resource of its Cloud Controller).
const (
	MaxLabels      = 50
	MaxAnnotations = 200
	MaxMetadata    = 64 << 10 // bytes of all names and values together
)

// checkMetadata returns an Invalid error where labels and annotations are out of
// bounds.
func (c Credential) checkMetadata() error {
	size := 0
	for _, m := range []map[string]string{c.Labels, c.Annotations} {
		for name, value := range m {
			size += len(name) + len(value)
		}
	}
	switch {
	case len(c.Labels) > MaxLabels:
		return Errorf(Invalid, "a credential has at most %d labels, not %d", MaxLabels, len(c.Labels))
	case len(c.Annotations) > MaxAnnotations:
		return Errorf(Invalid, "a credential has at most %d annotations, not %d", MaxAnnotations, len(c.Annotations))
	case size > MaxMetadata:
		return Errorf(Invalid, "labels and annotations have %d bytes together, at most %d are allowed", size, MaxMetadata)
	}
	return nil
}

// Validate returns an Invalid error where the credential could not be stored,
// whatever its provider.
func (c Credential) Validate() error {
	if err := c.Scope.Validate(); err != nil {
		return err
	}
	if err := c.checkMetadata(); err != nil {
		return err
	}
	if c.Provider == "" {
		return Errorf(Invalid, "a credential needs a provider, or a username and password")
	}
	if c.Location.IsZero() {
		if c.Provider == ProviderStatic {
			return Errorf(Invalid, "a credential with a username and password needs a location")
		}
		return nil
	}
	if err := c.Location.Assignable(); err != nil {
		return Errorf(Invalid, "%w", err)
	}
	return nil
}

// SameSource reports whether c and d mint the same logins: whether provider,
// username, password, settings and secrets are equal.
func (c Credential) SameSource(d Credential) bool {
	return c.Provider == d.Provider && c.Username == d.Username && c.Password.Equal(d.Password) &&
		maps.Equal(c.Settings, d.Settings) && maps.EqualFunc(c.Secrets, d.Secrets, Secret.Equal)
}

// Public returns the credential without its secrets.
func (c Credential) Public() Credential {
	c.Password, c.Secrets = Secret{}, nil
	return c
}

// Clone returns a copy that shares no map with c.
func (c Credential) Clone() Credential {
	c.Settings = maps.Clone(c.Settings)
	c.Secrets = maps.Clone(c.Secrets)
	c.Labels = maps.Clone(c.Labels)
	c.Annotations = maps.Clone(c.Annotations)
	return c
}

// LogValue names the credential by what identifies it.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("guid", c.GUID),
		slog.String("location", c.Location.String()),
		slog.String("scope", c.Scope.String()),
		slog.String("provider", c.Provider),
	)
}

// Login is what a client logs in to a registry with: minted from a credential by
// its provider.
type Login struct {
	// Username and Password are for HTTP Basic authentication at the registry or
	// its token service.
	Username string
	Password Secret
	// Hosts are the registry hosts that the login is for, in canonical form
	// (imageref.Location.Host). None means every host within the credential's
	// location.
	Hosts []string
	// MintedAt is when it was obtained.
	MintedAt time.Time
	// ExpiresAt is when the registry stops accepting it; zero means never.
	ExpiresAt time.Time
	// RenewableAt is from when the issuer hands out a better one; zero means at
	// any time.
	RenewableAt time.Time
	// Version is the version of the credential that it was minted from.
	Version uint64
}

// Expired reports whether the login is no longer accepted at now.
func (l Login) Expired(now time.Time) bool {
	return !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt)
}

// Serves reports whether the login may be sent to host, given in canonical form.
func (l Login) Serves(host string) bool {
	return len(l.Hosts) == 0 || slices.Contains(l.Hosts, host)
}

// LogValue shows when the login was minted and expires, never what it is.
func (l Login) LogValue() slog.Value {
	return slog.GroupValue(slog.Time("minted", l.MintedAt), slog.Time("expires", l.ExpiresAt))
}

package client

import (
	"encoding/json"
	"time"

	"regcred.dev"
)

// Credential is the registry credential resource of Cloud Foundry's API
// (/v3/registry_credentials), with regcred's own fields Provider, Settings,
// Origin and Login beside it. The password and secret settings are never in it.
type Credential struct {
	GUID          string            `json:"guid"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
	Location      string            `json:"location"`
	Canonical     string            `json:"canonical_location"`
	Username      string            `json:"username"`
	Scope         string            `json:"scope"`
	Relationships Relationships     `json:"relationships"`
	Metadata      Metadata          `json:"metadata"`
	Links         map[string]Link   `json:"links"`
	Provider      string            `json:"provider"`
	Settings      map[string]string `json:"settings,omitempty"`
	// SettingsHidden says that there are settings which are not shown to the caller, since
	// they are, or in a list may be, about the server itself.
	SettingsHidden bool   `json:"settings_hidden,omitempty"`
	Origin         string `json:"origin"`
	Login          *Login `json:"login"`
	// Warnings are what is to be known of the change that this answers.
	Warnings []string `json:"warnings,omitempty"`
}

// Login is the state of a credential's login, never the login itself.
type Login struct {
	MintedAt  *time.Time `json:"minted_at"`  // null: there is no login
	ExpiresAt *time.Time `json:"expires_at"` // null: never
	RenewAt   *time.Time `json:"renew_at"`   // null: not planned
	Failures  int        `json:"failures"`
	// Problem is why the last mint failed.
	Problem string `json:"problem,omitempty"`
}

// Relationships name a credential's scope: none is the foundation.
type Relationships struct {
	Organization *ToOne `json:"organization,omitempty"`
	Space        *ToOne `json:"space,omitempty"`
	App          *ToOne `json:"app,omitempty"`
}

// ToOne is a relationship to one other resource.
type ToOne struct {
	Data *ResourceID `json:"data"` // nil: null, or missing
}

// ResourceID names a resource.
type ResourceID struct {
	GUID string `json:"guid"`
}

// Related returns the relationship to guid, nil for "".
func Related(guid string) *ToOne {
	if guid == "" {
		return nil
	}
	return &ToOne{Data: &ResourceID{GUID: guid}}
}

// ID returns the guid that the relationship is to, "" for none.
func (r *ToOne) ID() string {
	if r == nil || r.Data == nil {
		return ""
	}
	return r.Data.GUID
}

// RelationshipsOf names a scope in a body.
func RelationshipsOf(s regcred.Scope) Relationships {
	return Relationships{Organization: Related(s.Org), Space: Related(s.Space), App: Related(s.App)}
}

// Scope returns the scope that relationships name.
func (r Relationships) Scope() regcred.Scope {
	return regcred.Scope{Org: r.Organization.ID(), Space: r.Space.ID(), App: r.App.ID()}
}

// Validate returns an Invalid error unless every relationship that is present
// names a resource: one that was left empty by mistake would widen the scope.
func (r Relationships) Validate() error {
	for _, f := range []struct {
		name string
		to   *ToOne
	}{{"organization", r.Organization}, {"space", r.Space}, {"app", r.App}} {
		if f.to != nil && f.to.ID() == "" {
			return regcred.Errorf(regcred.Invalid, "relationships.%s.data.guid is missing or empty: name one, or leave relationships.%s out", f.name, f.name)
		}
	}
	return nil
}

// Metadata are a resource's labels and annotations.
type Metadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// MetadataChange is merged into a resource's metadata; null removes one.
type MetadataChange struct {
	Labels      map[string]*string `json:"labels,omitempty"`
	Annotations map[string]*string `json:"annotations,omitempty"`
}

// Link is a reference to another resource.
type Link struct {
	Href string `json:"href"`
}

// CreateRequest is the body of a credential's creation.
type CreateRequest struct {
	Location      string            `json:"location,omitempty"`
	Username      string            `json:"username,omitempty"`
	Password      string            `json:"password,omitempty"`
	Provider      string            `json:"provider,omitempty"`
	Settings      map[string]string `json:"settings,omitempty"`
	Relationships Relationships     `json:"relationships"`
	Metadata      *Metadata         `json:"metadata,omitempty"`
}

// UpdateRequest is the body of a credential's update; what is nil stays.
type UpdateRequest struct {
	Username *string `json:"username,omitempty"`
	Password *string `json:"password,omitempty"`
	// Settings are merged into the stored ones; null removes one.
	Settings map[string]*string `json:"settings,omitempty"`
	Metadata *MetadataChange    `json:"metadata,omitempty"`
}

// Provider describes what mints logins, and the settings that it takes.
type Provider struct {
	Name        string   `json:"name"`
	Doc         string   `json:"doc"`
	Hosts       string   `json:"hosts,omitempty"`
	Permissions string   `json:"permissions"`
	Fields      []Field  `json:"fields"`
	Examples    []string `json:"examples"`
}

// Field is one setting of a Provider. Values of Secret fields are never shown;
// Admin fields only an admin may set.
type Field struct {
	Name     string `json:"name"`
	Doc      string `json:"doc"`
	Default  string `json:"default,omitempty"`
	Example  string `json:"example,omitempty"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
	Admin    bool   `json:"admin"`
}

// Check is what became of the check of a credential.
type Check struct {
	GUID string `json:"guid"`
	// Accepted says that a login was minted and that the registry takes it.
	Accepted bool `json:"accepted"`
	// Steps say what was asked, in order, and what came back.
	Steps []string `json:"steps"`
	// Problem says in words what failed and what to do, "" where nothing did.
	Problem string `json:"problem,omitempty"`
}

// Page is a list answer with Cloud Foundry's pagination.
type Page[T any] struct {
	Pagination Pagination `json:"pagination"`
	Resources  []T        `json:"resources"`
}

// Pagination says where in a list a page is.
type Pagination struct {
	TotalResults int   `json:"total_results"`
	TotalPages   int   `json:"total_pages"`
	First        Link  `json:"first"`
	Last         Link  `json:"last"`
	Next         *Link `json:"next"`
	Previous     *Link `json:"previous"`
}

// Resolution says which credential an image resolves to, and why.
type Resolution struct {
	Image      string   `json:"image"`
	Candidates []string `json:"candidates"`
	Match      *Match   `json:"match"`
	Why        string   `json:"why"`
	// Problem says why the match cannot be used now, "" where it can.
	Problem string `json:"problem,omitempty"`
}

// Match is the credential that an image resolves to.
type Match struct {
	GUID     string `json:"guid"`
	Location string `json:"location"`
	Scope    string `json:"scope"`
	Username string `json:"username"`
}

// DockerConfig is a scope's keyring as a docker config file.
type DockerConfig struct {
	// Config is the file. It holds logins in clear.
	Config json.RawMessage `json:"config"`
	// Omitted are the credentials that are not in it.
	Omitted []Omission `json:"omitted"`
}

// Status is the state of a server.
type Status struct {
	Version string `json:"version"`
	// URL is how clients reach the server, LocalURL where it listens: it serves
	// clients on its own machine also where URL leads through a proxy.
	URL         string         `json:"url"`
	LocalURL    string         `json:"local_url"`
	StoreID     string         `json:"store_id"`
	Revision    uint64         `json:"revision"`
	Current     bool           `json:"current"`
	Credentials int            `json:"credentials"`
	Problems    []LoginProblem `json:"problems"`
	Rotations   []Rotation     `json:"rotations"`
	Issuers     []Issuer       `json:"issuers"`
	NextRenewal *time.Time     `json:"next_renewal"`
	Targets     []Target       `json:"targets"`
	Images      Images         `json:"images"`
}

// LoginProblem is a credential without a good login.
type LoginProblem struct {
	GUID      string     `json:"guid"`
	Location  string     `json:"location"`
	Scope     string     `json:"scope"`
	Provider  string     `json:"provider"`
	Error     string     `json:"error"`
	Failures  int        `json:"failures"`
	ExpiresAt *time.Time `json:"expires_at"`
	// GapAt is when pulls begin to fail unless a new login comes before.
	GapAt *time.Time `json:"gap_at"`
}

// Rotation is a credential whose stored secret is to be replaced soon, or should
// have been.
type Rotation struct {
	GUID     string    `json:"guid"`
	Location string    `json:"location"`
	Scope    string    `json:"scope"`
	By       time.Time `json:"by"`
}

// Issuer is one that throttles, or does not answer.
type Issuer struct {
	Provider       string     `json:"provider"`
	Issuer         string     `json:"issuer"`
	Credentials    int        `json:"credentials"`
	Down           bool       `json:"down"`
	ThrottledUntil *time.Time `json:"throttled_until"`
}

// Target is the state of a delivery target.
type Target struct {
	Name           string     `json:"name"`
	Kind           string     `json:"kind"`
	Scope          string     `json:"scope"`
	Revision       uint64     `json:"revision"`
	SyncedAt       *time.Time `json:"synced_at"`
	Delivered      int        `json:"delivered"`
	EarliestExpiry *time.Time `json:"earliest_expiry"`
	Omitted        []Omission `json:"omitted"`
	Warnings       []string   `json:"warnings"`
	Held           string     `json:"held,omitempty"`
	Error          string     `json:"error,omitempty"`
}

// Omission is a credential that a target or file does not get, and why.
type Omission struct {
	GUID     string `json:"guid"`
	Location string `json:"location"`
	Scope    string `json:"scope"`
	Reason   string `json:"reason"`
}

// Token is one of regcred's API tokens. Secret is set in the answer to its
// creation alone.
type Token struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Role  string `json:"role"`
	Scope string `json:"scope"`
	// Repositories are those of the registry that it is for; none means all that its
	// role and scope allow.
	Repositories []string   `json:"repositories"`
	CreatedAt    time.Time  `json:"created_at"`
	ExpiresAt    *time.Time `json:"expires_at"`
	// LastUsedAt is nil where it was never used.
	LastUsedAt *time.Time `json:"last_used_at"`
	Secret     string     `json:"secret,omitempty"`
}

// TokenRequest is the body of a token's creation.
type TokenRequest struct {
	Name          string        `json:"name"`
	Role          string        `json:"role"`
	Relationships Relationships `json:"relationships"`
	// Repositories are those that a puller or pusher is for: "acme/app", "acme/*" for all
	// below acme; none means all of its scope.
	Repositories []string `json:"repositories,omitempty"`
	// Lifetime is a duration such as "90d" or "12h"; "" means that it never expires.
	Lifetime string `json:"lifetime,omitempty"`
}

// AuditEntry says who did what, from where, and whether they were allowed to.
type AuditEntry struct {
	Sequence      uint64        `json:"sequence"`
	CreatedAt     time.Time     `json:"created_at"`
	Caller        string        `json:"caller"`
	Role          string        `json:"role"`
	From          string        `json:"from"` // "" on the server's own machine
	Operation     string        `json:"operation"`
	Scope         string        `json:"scope"`
	Relationships Relationships `json:"relationships"`
	Location      string        `json:"location,omitempty"`
	GUID          string        `json:"guid,omitempty"`
	Repository    string        `json:"repository,omitempty"`
	Allowed       bool          `json:"allowed"`
	Detail        string        `json:"detail,omitempty"`
	// Count is how many times it happened within the second, or the minute where the caller
	// is "nobody"; over 1 only for what changes nothing.
	Count int `json:"count"`
}

// ErrorBody is the answer to a request that failed, in Cloud Foundry's form.
type ErrorBody struct {
	Errors []ErrorItem `json:"errors"`
}

// ErrorItem is one error of an ErrorBody.
type ErrorItem struct {
	Code   int    `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

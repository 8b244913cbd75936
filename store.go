package regcred

import (
	"context"
	"iter"
	"time"
)

// Store keeps credentials, the logins minted from them, and what regcred's own
// tokens need. Secrets are sealed before they are written. Implementations live
// in store/ and run regcredtest.TestStore.
//
// Every change has a revision: a number that grows by one with each change and
// is never used twice. A change that was acknowledged survives a kill.
//
// All methods may return Unavailable where the store cannot be reached, and
// Corrupt where a row does not pass its integrity check: the message names the
// credential. They may be called concurrently.
type Store interface {
	// ID identifies the store for its whole life; two stores never share one.
	ID() string

	// Create stores a new credential. The store sets Version, DropRevision, Revision,
	// CreatedAt and UpdatedAt; GUID too where it is empty. Where a deleted credential
	// had the guid, Version goes on from its.
	// Errors: Invalid; Exists, naming the guid of the credential that has this
	// scope and location.
	Create(ctx context.Context, c Credential) (Credential, error)

	// Get returns a credential with its secrets. Errors: NotFound.
	Get(ctx context.Context, guid string) (Credential, error)

	// List returns the credentials that match f, without their secrets, oldest
	// first.
	List(ctx context.Context, f Filter) ([]Credential, error)

	// Update hands the credential, secrets included, to change and stores what
	// that made of it, in one transaction. GUID, Scope, CreatedAt and a location
	// that is set cannot be changed. Version grows where SameSource does not hold.
	// Where nothing changed nothing is written. An error of change is returned as
	// it is.
	// Errors: NotFound, Invalid, Exists.
	Update(ctx context.Context, guid string, change func(*Credential) error) (Credential, error)

	// Delete removes a credential and its login, and records the deletion.
	// Errors: NotFound.
	Delete(ctx context.Context, guid string) (revision uint64, err error)

	// Fence returns a number greater than any that it returned before, and makes
	// every earlier one invalid: who holds the newest may write logins.
	Fence(ctx context.Context) (uint64, error)

	// PutLogin stores the login minted from version login.Version of a credential,
	// in place of an older one.
	// Errors: NotFound; Stale where the fence is not the newest, or the credential
	// has a newer version: it was changed, or its login dropped, meanwhile.
	PutLogin(ctx context.Context, guid string, login Login, fence uint64) (revision uint64, err error)

	// DropLogin removes a credential's login and records the order to take it away
	// wherever it was delivered: DropRevision becomes the new Revision. Version grows,
	// so that a login which is being minted now does not take its place. It is a
	// change also where no login is stored: an older one may still be delivered.
	// Errors: NotFound.
	DropLogin(ctx context.Context, guid string) (revision uint64, err error)

	// Login returns a credential's login. Errors: NotFound where none is stored.
	Login(ctx context.Context, guid string) (Login, error)

	// Watch yields what changed after a revision, oldest change first, and then
	// goes on as changes are made, until ctx ends; 0 yields everything that there
	// is. It yields the newest state of each credential, not each step on the way
	// there: a slow watcher costs no memory. Every batch that it yields has changes
	// or is the first one that is Current. It ends with ctx's error, or another
	// one after which it has to be called again.
	Watch(ctx context.Context, after uint64) iter.Seq2[Batch, error]

	TokenStore
	AuditStore

	// Close releases the store. Every Watch ends.
	Close() error
}

// Filter selects credentials; the zero Filter selects all. Fields are combined
// by "and", values of one field by "or".
type Filter struct {
	GUIDs     []string
	Scopes    []Scope
	Locations []string // canonical
	Origin    string
}

// Batch is a step of a Watch.
type Batch struct {
	Changes []Change
	// Revision is the store's revision up to which the watcher now knows all.
	Revision uint64
	// Current says that there was nothing newer when the batch was read.
	Current bool
}

// Change is the newest state of one credential.
type Change struct {
	// Revision is that of the change.
	Revision uint64
	// Credential is without its secrets. Of a deleted one only GUID, Scope and
	// Location are set.
	Credential Credential
	// Login is nil where none is stored.
	Login *Login
	// Deleted says that the credential was deleted: the recorded deletion.
	Deleted bool
	// Err says that the row does not pass its integrity check (Corrupt). The
	// credential's fields are then not to be trusted but for GUID.
	Err error
}

// TokenStore keeps what package token needs.
type TokenStore interface {
	// CreateToken stores an API token. Errors: Exists where the ID is taken.
	CreateToken(ctx context.Context, t APIToken) error
	// Token returns an API token. Errors: NotFound.
	Token(ctx context.Context, id string) (APIToken, error)
	// Tokens returns all API tokens, oldest first.
	Tokens(ctx context.Context) ([]APIToken, error)
	// UseTokens records when API tokens, by id, were last used: LastUsedAt becomes the
	// time, unless it is later already. Tokens that are not there are passed over.
	UseTokens(ctx context.Context, uses map[string]time.Time) error
	// DeleteToken removes an API token. Errors: NotFound.
	DeleteToken(ctx context.Context, id string) error

	// Revoke records that what a subject was issued before a time is no longer
	// valid. A later one for the same subject widens it.
	Revoke(ctx context.Context, r Revocation) error
	// Revocations returns those that are not over at now.
	Revocations(ctx context.Context, now time.Time) ([]Revocation, error)

	// Key returns the sealed key of that name, and stores what create returns
	// where there is none yet. Concurrent callers all get the same one.
	Key(ctx context.Context, name string, create func() (Secret, error)) (Secret, error)
}

// APIToken is one of regcred's own tokens, as it is stored: by a hash alone.
type APIToken struct {
	ID    string
	Name  string
	Hash  []byte // SHA-256 of the token's secret part
	Role  Role
	Scope Scope
	// Repositories are patterns, as token.Grant has them, of those that it is for; none
	// means all that its role and scope allow.
	Repositories []string
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	// LastUsedAt is when it was last used, to the minute or so; zero: never.
	LastUsedAt time.Time
}

// Revocation says that what was issued to Subject before Before is not valid.
type Revocation struct {
	Subject string
	Before  time.Time
	// Until is when the last thing that it concerns has expired anyway.
	Until time.Time
}

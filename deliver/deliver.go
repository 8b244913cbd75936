// Package deliver brings keyrings to where images are pulled: the contract of a
// Target, the rule for what a target may take away ([Decide]), and the [Runner]
// that keeps every target right.
//
// Absence is no order. A target takes something away only where the store that it
// was delivered from has recorded a deletion, a dropped login, or the end of a match;
// everything else that looks like less is held until an operator confirms.
package deliver

import (
	"context"
	"errors"
	"time"

	"regcred.dev/keyring"
)

// Target is a system that keyrings are delivered to: docker config files, a
// Kubernetes cluster. It hears the book only, and never asks a provider.
// Implementations live in deliver/NAME and run regcredtest.TestTarget.
//
// The Runner calls one Sync of a target at a time, and Watch beside it.
type Target interface {
	// Describe says what the target is. It does no I/O.
	Describe() Info

	// Sync makes the system match the book: it delivers what is missing or differs,
	// and takes away what [Decide] says. It compares with what is there now, not
	// with what it did last, and where nothing differs it writes nothing. It touches
	// nothing that it did not deliver.
	//
	// The report holds also where an error is returned: one place that fails keeps
	// no other from being synced, and the error speaks of those that failed.
	//
	// Errors: Unavailable where the book is not Current, or the system cannot be
	// reached now; Denied where it refuses; Invalid and TooLarge where what is there
	// cannot be understood, and so is left alone; ctx's. Each message says where.
	// ErrSuperseded where it ended early for a newer book: the report says nothing then.
	Sync(ctx context.Context, book *keyring.Book, o SyncOptions) (Report, error)

	// Watch calls changed once it watches the system, and again whenever what is
	// there may no longer be what was delivered; changed returns at once. A target's
	// own writes may cause calls. It goes on until ctx ends, and then returns ctx's
	// error.
	//
	// Errors: Unavailable where the system cannot be watched, or no longer.
	Watch(ctx context.Context, changed func()) error

	// Uninstall takes away all that was delivered from the store of that id, for
	// somebody who asked for it, and leaves no trace where no other store delivers.
	// Errors: as Sync.
	Uninstall(ctx context.Context, storeID string) error
}

// Info describes a target to its users.
type Info struct {
	// Name identifies the target: no two of a Runner share one.
	Name string
	// Kind is the target's kind, such as "dockerconfig".
	Kind string
	// Scope says whose keyring it gets, for people.
	Scope string
}

// SyncOptions are what a Sync is told beside the book.
type SyncOptions struct {
	// Confirmed are the holds of an earlier report that an operator has let go: the
	// very same ones are carried out, and no others.
	Confirmed []Hold
	// Newer is closed once there is a newer book that is not to wait. A Sync that still
	// has much to do may then end with ErrSuperseded: what it did stands, and the next one goes on from
	// there. Nil: there never is.
	Newer <-chan struct{}
}

// ErrSuperseded says that a Sync ended early, because there is a newer book.
var ErrSuperseded = errors.New("superseded by a newer book")

// Report says what a target's system has after a Sync.
type Report struct {
	// Partial says of a Sync that failed that it did so in some places alone: what is new
	// then does not wait for them.
	Partial bool
	// Delivered counts the entries that are in place, those that are kept or held
	// included.
	Delivered int
	// Changed counts the entries that this Sync wrote or took away.
	Changed int
	// EarliestExpiry is when the first of the delivered logins expires, or has
	// expired; zero where none ever does.
	EarliestExpiry time.Time
	// Omitted are the credentials that are not delivered, each with its reason.
	Omitted []keyring.Omission
	// Warnings are sentences on what keeps clients from using what is delivered, or
	// will: conflicts, expired logins, settings of the system.
	Warnings []string
	// Held are the changes that wait for an operator.
	Held []Hold
}

// Delivered is what a target has recorded of an entry that it delivered.
type Delivered struct {
	// Where is the place in the target's system: a file's path, a namespace.
	Where string
	// Key is the entry's key there.
	Key string
	// GUID is that of the credential.
	GUID string
	// Blocks says that the entry holds no login (keyring.Auth.Blocks). It takes
	// nothing from anybody when it goes.
	Blocks bool
	// StoreID is the store that the credential is from.
	StoreID string
	// Revision is the credential's when it was delivered. Where its login was dropped
	// since and the new one is the very same, it is that of the new one.
	Revision uint64
	// ExpiresAt is when the delivered login expires; zero: never.
	ExpiresAt time.Time
}

// same reports whether d and e speak of the same entry of the same credential.
func (d Delivered) same(e Delivered) bool {
	return d.Where == e.Where && d.Key == e.Key && d.GUID == e.GUID && d.StoreID == e.StoreID
}

// Hold is a change that is not carried out until an operator confirms: the
// delivered entry stays as it is.
type Hold struct {
	Delivered
	// Reason is half a sentence on why.
	Reason string
}

// String returns the hold for people.
func (h Hold) String() string { return h.entry() + ": " + Printable(h.Reason) }

// entry names the entry for people.
func (h Hold) entry() string { return Printable(h.Key) + " in " + Printable(h.Where) }

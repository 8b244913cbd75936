package keyring

import (
	"iter"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

// Entry is one credential in a Book, with its newest login. It is immutable.
type Entry struct {
	GUID  string
	Scope regcred.Scope
	// Location is zero while it is not yet found: the entry then matches nothing.
	Location imageref.Location
	Provider string
	// Version is the credential's, Revision that of its last change.
	Version, Revision uint64
	// DropRevision is the revision at which its login was last dropped on order; 0:
	// never. What was delivered of it at an older revision is to go.
	DropRevision uint64
	// RotateBy is when its stored secret is to be replaced; zero: that is not said.
	RotateBy time.Time
	// Login is nil where none was minted yet, or since it was dropped. It may be
	// expired, and it may be of an older Version.
	Login *regcred.Login
	// Err says that the stored row does not pass its integrity check. Scope and
	// Location are then those that were last known, if any were.
	Err error
}

// Book is an immutable index of all credentials as of one revision of a store.
// The zero Book is empty, of revision 0.
type Book struct {
	storeID  string
	revision uint64
	ordered  uint64
	current  bool

	entries    trie[string, *Entry] // by guid
	deleted    trie[string, uint64] // by guid: the revision of the deletion
	foundation shelf
}

// StoreID returns the id of the store that the book is of.
func (b *Book) StoreID() string { return b.storeID }

// Revision returns the store's revision up to which the book knows all.
func (b *Book) Revision() uint64 { return b.revision }

// Ordered returns the newest revision at which a credential was deleted or a login
// dropped, as far as the book knows; 0: at none. Who delivers must not put these off.
func (b *Book) Ordered() uint64 { return b.ordered }

// Current reports whether the book, or one that it was made from, had caught up
// with the store.
func (b *Book) Current() bool { return b.current }

// Len returns the number of credentials.
func (b *Book) Len() int { return b.entries.size }

// Get returns the credential with the guid.
func (b *Book) Get(guid string) (*Entry, bool) { return b.entries.get(guid) }

// Deleted returns the revision at which the store recorded the deletion of a
// credential, ok false where it recorded none.
func (b *Book) Deleted(guid string) (revision uint64, ok bool) { return b.deleted.get(guid) }

// Entries yields every credential, in no particular order.
func (b *Book) Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, e := range b.entries.all() {
			if !yield(e) {
				return
			}
		}
	}
}

// Apply returns the book that follows from b by a batch of changes; b stays as
// it is. A change that b knows of, or a newer one of the same credential, makes
// no difference.
func (b *Book) Apply(batch regcred.Batch) *Book {
	next, e := *b, new(edit)
	for _, c := range batch.Changes {
		next.apply(e, c)
	}
	next.revision = max(b.revision, batch.Revision)
	next.current = b.current || batch.Current
	return &next
}

func (b *Book) apply(e *edit, c regcred.Change) {
	guid := c.Credential.GUID
	old, known := b.entries.get(guid)
	if known && old.Revision > c.Revision {
		return
	}
	if deleted, ok := b.deleted.get(guid); ok {
		if deleted > c.Revision {
			return
		}
		b.deleted = b.deleted.without(e, guid)
	}
	if known {
		b.foundation.remove(e, old)
	}
	if c.Err == nil {
		b.ordered = max(b.ordered, c.Credential.DropRevision)
	}
	if c.Deleted {
		b.ordered = max(b.ordered, c.Revision)
		b.entries = b.entries.without(e, guid)
		b.deleted = b.deleted.with(e, guid, c.Revision)
		return
	}
	entry := newEntry(c, old)
	b.entries = b.entries.with(e, guid, entry)
	if entry.Err == nil || !entry.Location.IsZero() {
		b.foundation.put(e, entry)
	}
}

// newEntry returns the entry that a change makes of an old one, which may be nil.
func newEntry(c regcred.Change, old *Entry) *Entry {
	if c.Err == nil {
		return &Entry{
			GUID: c.Credential.GUID, Scope: c.Credential.Scope, Location: c.Credential.Location,
			Provider: c.Credential.Provider, Version: c.Credential.Version,
			Revision: c.Revision, DropRevision: c.Credential.DropRevision, RotateBy: rotateBy(c.Credential),
			Login: c.Login,
		}
	}
	// Only the guid is to be trusted. What was known before keeps its place, so
	// that a lookup says that it is corrupt, and falls through to nothing else.
	entry := &Entry{GUID: c.Credential.GUID}
	if old != nil {
		*entry = *old
	}
	entry.Revision, entry.Login, entry.Err = c.Revision, nil, c.Err
	return entry
}

// rotateBy is RotateBy of a credential; what does not say when, says nothing here:
// its provider's Check refuses it.
func rotateBy(c regcred.Credential) time.Time {
	at, _ := c.RotateBy()
	return at
}

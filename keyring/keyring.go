package keyring

import (
	"cmp"
	"slices"
	"strings"

	"regcred.dev"
)

// Keyring is what one scope sees of a book: the credentials of the scope and of
// every wider one, the nearest first.
type Keyring struct {
	book  *Book
	scope regcred.Scope
}

// Keyring returns what a scope sees.
func (b *Book) Keyring(s regcred.Scope) Keyring { return Keyring{b, s} }

// Scope returns the scope.
func (k Keyring) Scope() regcred.Scope { return k.scope }

// StoreID returns the id of the store that the keyring is of.
func (k Keyring) StoreID() string { return k.book.storeID }

// Revision returns the book's revision.
func (k Keyring) Revision() uint64 { return k.book.revision }

// Entries returns the keyring's credentials, the nearest scope first, in a scope
// by location; also those that a nearer one shadows.
func (k Keyring) Entries() []*Entry {
	var list []*Entry
	path := k.book.foundation.path(k.scope)
	for _, shelf := range slices.Backward(path[:]) {
		if shelf == nil {
			continue
		}
		start := len(list)
		for _, e := range shelf.placed.all() {
			list = append(list, e)
		}
		for _, e := range shelf.pending.all() {
			list = append(list, e)
		}
		slices.SortFunc(list[start:], func(a, b *Entry) int {
			return cmp.Or(strings.Compare(a.Location.String(), b.Location.String()), strings.Compare(a.GUID, b.GUID))
		})
	}
	return list
}

// WholeHost reports whether all images of a host, in canonical form, resolve alike:
// whether no credential is for a path of it.
func (k Keyring) WholeHost(host string) bool {
	path := k.book.foundation.path(k.scope)
	for _, shelf := range path {
		if shelf == nil {
			continue
		}
		for location := range shelf.placed.all() {
			if location.Host() == host && location.Path() != "" {
				return false
			}
		}
	}
	return true
}

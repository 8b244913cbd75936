// Package keyring holds every credential with its current login in memory, says
// which one an image resolves to, and writes what a scope sees as a docker config
// file.
//
// Books follows a store and keeps the newest Book: an immutable index, swapped
// atomically. A Keyring is what one scope sees of a book.
package keyring

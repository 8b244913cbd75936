// Package sqlite is a regcred.Store in one SQLite file, for a server on one
// machine.
//
// # Files
//
// PATH is the database, PATH-wal and PATH-shm are SQLite's own, and PATH.lock is
// locked for as long as the store is open: one process at a time has it. All have
// mode 0600. A write is on disk before it is acknowledged (write-ahead log,
// synchronous=FULL); writes that wait at the same time share a transaction.
//
// # Schema
//
// The SQL is in migrations/; goose applies it at each start and keeps the
// schema's version. A table's columns are named as the fields that they hold.
//
//	meta         one row: the store's id, the newest revision and fence; what is
//	             sealed is empty, and shows that the key is the right one
//	credentials  id gives the order of age; revision is that of the last change to
//	             the credential or its login; location is '' while there is none;
//	             settings, labels and annotations are JSON objects of strings;
//	             password and secrets are sealed; drop_revision is the revision at
//	             which the login was last dropped on order, 0 where it never was
//	logins       by the guid of the credential; version is that of the credential
//	             it was minted from; all the rest is sealed
//	tombstones   deleted credentials, for ever: small, and a guid that is used
//	             again leaves it
//	tokens       API tokens by token_id; the hash is sealed; repositories is a JSON
//	             list or '', last_used_at is '' where it never was
//	revocations  one row for each subject; nothing is sealed
//	keys         by name; the key is sealed
//	audit        the audit log: id is the sequence, which is never used twice; at is
//	             in nine digits always, so that it sorts; nothing is sealed
//
// Times are RFC 3339 text in UTC with up to nine digits, the zero time is
// 0001-01-01T00:00:00Z. Sealed content is in the format of codec.go.
//
// # Integrity
//
// Each row has a column named sealed, also where it has nothing to hide: its
// associated data are the kind of the row, the store's id and every other column but
// id and revision; a login's are its guid and version, and its credential's scope. So a row or column that was edited, swapped with
// another one, moved to another place or brought from another store is noticed
// when it is read, and named. What no row can show is that it is an older copy of
// itself, or that it is gone.
//
// The id and revision of a row and the revision and fence in meta are not covered:
// they say nothing of what a row holds. Who edits them can make watchers miss a
// change, never believe a false one.
package sqlite

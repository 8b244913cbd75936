package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"iter"
	"slices"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// Watch implements regcred.Store. It ends with Stale where after is greater than
// the store's revision.
func (s *Store) Watch(ctx context.Context, after uint64) iter.Seq2[regcred.Batch, error] {
	read := func(ctx context.Context, after uint64) (regcred.Batch, error) {
		batch, err := s.changesAfter(ctx, after)
		return batch, s.fault(ctx, err)
	}
	return rules.Source{Read: read, Changed: &s.changed, Closed: s.closed}.Watch(ctx, after)
}

// changesAfter reads one batch, in one read transaction. Of both kinds of change
// it reads one more than a batch holds, to know whether there are more.
func (s *Store) changesAfter(ctx context.Context, after uint64) (regcred.Batch, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return regcred.Batch{}, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	batch := regcred.Batch{Current: true}
	if err := tx.QueryRowContext(ctx, `SELECT revision FROM meta`).Scan(&batch.Revision); err != nil {
		return regcred.Batch{}, err
	}
	live, err := s.changedCredentials(ctx, tx, after)
	if err != nil {
		return regcred.Batch{}, err
	}
	gone, err := s.deletedCredentials(ctx, tx, after)
	if err != nil {
		return regcred.Batch{}, err
	}
	batch.Changes = slices.Concat(live, gone)
	slices.SortFunc(batch.Changes, func(a, b regcred.Change) int { return cmp.Compare(a.Revision, b.Revision) })
	if len(batch.Changes) > rules.BatchSize {
		batch.Changes = batch.Changes[:rules.BatchSize]
		batch.Revision, batch.Current = batch.Changes[rules.BatchSize-1].Revision, false
	}
	return batch, nil
}

// changedCredentials reads the first credentials that changed after a revision,
// with their logins.
func (s *Store) changedCredentials(ctx context.Context, tx *sql.Tx, after uint64) ([]regcred.Change, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+credentialColumns+`, l.version, l.sealed
		FROM credentials c LEFT JOIN logins l ON l.guid = c.guid
		WHERE c.revision > ? ORDER BY c.revision LIMIT ?`, int64(after), rules.BatchSize+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var changes []regcred.Change
	for rows.Next() {
		var row credentialRow
		var login loginRow
		if err := rows.Scan(append(row.columns(), &login.version, &login.sealed)...); err != nil {
			return nil, err
		}
		changes = append(changes, s.change(&row, login))
	}
	return changes, rows.Err()
}

// change returns the change that a row shows. Where the row or its login is
// corrupt it says so, and shows no more than the guid.
func (s *Store) change(row *credentialRow, login loginRow) regcred.Change {
	change := regcred.Change{Revision: uint64(row.revision), Credential: regcred.Credential{GUID: row.guid}}
	c, err := s.credential(row)
	if err != nil {
		change.Err = err
		return change
	}
	if login.version.Valid {
		l, err := s.login(row, login)
		if err != nil {
			change.Err = err
			return change
		}
		change.Login = &l
	}
	change.Credential = c.Public()
	return change
}

// deletedCredentials reads the first deletions after a revision.
func (s *Store) deletedCredentials(ctx context.Context, tx *sql.Tx, after uint64) ([]regcred.Change, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+tombstoneColumns+` FROM tombstones
		WHERE revision > ? ORDER BY revision LIMIT ?`, int64(after), rules.BatchSize+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var changes []regcred.Change
	for rows.Next() {
		var row tombstoneRow
		if err := rows.Scan(row.columns()...); err != nil {
			return nil, err
		}
		change := regcred.Change{Revision: uint64(row.revision), Credential: regcred.Credential{GUID: row.guid}}
		if location, err := s.check(&row); err != nil {
			change.Err = err // and no deletion: that would be an order
		} else {
			change.Credential.Scope, change.Credential.Location, change.Deleted = row.scope(), location, true
		}
		changes = append(changes, change)
	}
	return changes, rows.Err()
}

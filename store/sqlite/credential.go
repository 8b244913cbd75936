package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// Create implements regcred.Store.
func (s *Store) Create(ctx context.Context, c regcred.Credential) (regcred.Credential, error) {
	c, err := rules.Create(c, time.Now())
	if err != nil {
		return regcred.Credential{}, err
	}
	err = s.write(ctx, func(tx *writeTx) error {
		if err := s.vacant(tx, `guid = ?`, c.GUID); err != nil {
			return err
		}
		if err := s.placeVacant(tx, c); err != nil {
			return err
		}
		var deleted uint64 // the version of a deleted credential of this guid
		err := tx.row(`DELETE FROM tombstones WHERE guid = ? RETURNING version`, c.GUID).Scan(&deleted)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		c.Version = deleted + 1
		if c.Revision, err = tx.nextRevision(); err != nil {
			return err
		}
		row, err := s.newCredentialRow(c)
		if err != nil {
			return err
		}
		return tx.exec(`INSERT INTO credentials (guid, org, space, app, location, spelling, provider, username,
			settings, labels, annotations, origin, version, created_at, updated_at, revision, sealed, drop_revision)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, row.columns()...)
	})
	if err != nil {
		return regcred.Credential{}, err
	}
	return c, nil
}

// placeVacant returns an Exists error where a credential other than c has its
// scope and location.
func (s *Store) placeVacant(tx *writeTx, c regcred.Credential) error {
	if c.Location.IsZero() {
		return nil
	}
	return s.vacant(tx, `org = ? AND space = ? AND app = ? AND location = ? AND location <> '' AND guid <> ?`,
		c.Scope.Org, c.Scope.Space, c.Scope.App, c.Location.String(), c.GUID)
}

// vacant returns an Exists error that names the credential for which the
// condition holds, if there is one. Its row is not checked: it is in the way also
// where it is corrupt.
func (s *Store) vacant(tx *writeTx, condition string, args ...any) error {
	var row credentialRow
	err := tx.row(`SELECT guid, org, space, app, location FROM credentials WHERE `+condition, args...).
		Scan(&row.guid, &row.org, &row.space, &row.app, &row.location)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return rules.Taken(row.name())
}

// querier is a transaction or a pool.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// get reads one credential. Errors: NotFound, Corrupt.
func (s *Store) get(ctx context.Context, q querier, guid string) (regcred.Credential, error) {
	var row credentialRow
	err := q.QueryRowContext(ctx, `SELECT `+credentialColumns+` FROM credentials c WHERE guid = ?`, guid).Scan(row.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return regcred.Credential{}, rules.NotFound(guid)
	}
	if err != nil {
		return regcred.Credential{}, err
	}
	return s.credential(&row)
}

// Get implements regcred.Store.
func (s *Store) Get(ctx context.Context, guid string) (regcred.Credential, error) {
	c, err := s.get(ctx, s.readers, guid)
	return c, s.fault(ctx, err)
}

// List implements regcred.Store. Where some of the credentials are corrupt, it
// returns the others together with a Corrupt error that names those.
func (s *Store) List(ctx context.Context, f regcred.Filter) ([]regcred.Credential, error) {
	where, args, err := condition(f)
	if err != nil {
		return nil, err
	}
	query := `SELECT ` + credentialColumns + ` FROM credentials c` + where + ` ORDER BY id` //nolint:gosec // where has no values in it
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	defer rows.Close()
	var list []regcred.Credential
	var bad corruptions
	for rows.Next() {
		var row credentialRow
		if err := rows.Scan(row.columns()...); err != nil {
			return nil, s.fault(ctx, err)
		}
		c, err := s.credential(&row)
		if err != nil {
			bad.add(err)
			continue
		}
		list = append(list, c.Public())
	}
	if err := rows.Err(); err != nil {
		return nil, s.fault(ctx, err)
	}
	return list, bad.err()
}

// condition returns the WHERE clause of a filter. Lists travel as JSON arrays.
func condition(f regcred.Filter) (where string, args []any, err error) {
	var terms []string
	in := func(columns string, values any, n int) {
		if n == 0 || err != nil {
			return
		}
		var list []byte
		list, err = json.Marshal(values)
		terms = append(terms, columns)
		args = append(args, string(list))
	}
	scopes := make([][3]string, len(f.Scopes))
	for i, scope := range f.Scopes {
		scopes[i] = [3]string{scope.Org, scope.Space, scope.App}
	}
	in(`guid IN (SELECT value FROM json_each(?))`, f.GUIDs, len(f.GUIDs))
	in(`(org, space, app) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))`, scopes, len(scopes))
	in(`location IN (SELECT value FROM json_each(?))`, f.Locations, len(f.Locations))
	if f.Origin != "" {
		terms, args = append(terms, `origin = ?`), append(args, f.Origin)
	}
	if err != nil || len(terms) == 0 {
		return "", nil, err
	}
	return ` WHERE ` + strings.Join(terms, ` AND `), args, nil
}

// Update implements regcred.Store. change is called in the transaction, perhaps on
// another caller's goroutine: it must be quick, and must not call the store.
func (s *Store) Update(ctx context.Context, guid string, change func(*regcred.Credential) error) (regcred.Credential, error) {
	var c regcred.Credential
	var refused error
	err := s.write(ctx, func(tx *writeTx) error {
		old, err := s.get(tx.ctx, tx.tx, guid)
		if err != nil {
			return err
		}
		var changed bool
		if c, changed, refused = rules.Update(old, change, time.Now()); refused != nil || !changed {
			return refused
		}
		if err := s.placeVacant(tx, c); err != nil {
			return err
		}
		if c.Revision, err = tx.nextRevision(); err != nil {
			return err
		}
		return s.replace(tx, c)
	})
	if refused != nil { // change's own error, as it is
		return regcred.Credential{}, refused
	}
	if err != nil {
		return regcred.Credential{}, err
	}
	return c, nil
}

// replace writes a credential in place of the row that it has.
func (s *Store) replace(tx *writeTx, c regcred.Credential) error {
	row, err := s.newCredentialRow(c)
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE credentials SET (guid, org, space, app, location, spelling, provider, username,
		settings, labels, annotations, origin, version, created_at, updated_at, revision, sealed, drop_revision) =
		(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE guid = ?`, append(row.columns(), c.GUID)...)
}

// Delete implements regcred.Store. A corrupt credential can be deleted too.
func (s *Store) Delete(ctx context.Context, guid string) (revision uint64, err error) {
	err = s.write(ctx, func(tx *writeTx) error {
		var row tombstoneRow
		err := tx.row(`DELETE FROM credentials WHERE guid = ? RETURNING guid, org, space, app, location, version`, guid).
			Scan(&row.guid, &row.org, &row.space, &row.app, &row.location, &row.version)
		if errors.Is(err, sql.ErrNoRows) {
			return rules.NotFound(guid)
		}
		if err != nil {
			return err
		}
		if revision, err = tx.nextRevision(); err != nil {
			return err
		}
		row.revision = int64(revision)
		row.sealed = s.seal("tombstone", nil, row.bound()...)
		return tx.exec(`INSERT INTO tombstones (`+tombstoneColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, row.columns()...)
	})
	return revision, err
}

// corruptions gathers what is wrong with the rows of a list.
type corruptions struct {
	n     int
	first []string
}

// maxNamed is how many corrupt rows an error names.
const maxNamed = 10

func (c *corruptions) add(err error) {
	if c.n++; c.n <= maxNamed {
		c.first = append(c.first, err.Error())
	}
}

func (c *corruptions) err() error {
	if c.n == 0 {
		return nil
	}
	if c.n > maxNamed {
		c.first = append(c.first, "and more")
	}
	return regcred.Errorf(regcred.Corrupt, "%d stored rows do not pass their integrity check: %s", c.n, strings.Join(c.first, "; "))
}

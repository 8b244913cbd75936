package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// Fence implements regcred.Store.
func (s *Store) Fence(ctx context.Context) (fence uint64, err error) {
	err = s.write(ctx, func(tx *writeTx) error {
		return tx.row(`UPDATE meta SET fence = fence + 1 RETURNING fence`).Scan(&fence)
	})
	return fence, err
}

// PutLogin implements regcred.Store.
func (s *Store) PutLogin(ctx context.Context, guid string, login regcred.Login, fence uint64) (revision uint64, err error) {
	err = s.write(ctx, func(tx *writeTx) error {
		c, err := s.get(tx.ctx, tx.tx, guid)
		if err != nil {
			return err
		}
		var newest uint64
		if err := tx.row(`SELECT fence FROM meta`).Scan(&newest); err != nil {
			return err
		}
		if err := rules.Fence(fence, newest); err != nil {
			return err
		}
		login, err := rules.Login(guid, c.Version, login)
		if err != nil {
			return err
		}
		if err := tx.exec(`INSERT INTO logins (guid, version, sealed) VALUES (?, ?, ?)
			ON CONFLICT (guid) DO UPDATE SET version = excluded.version, sealed = excluded.sealed`,
			guid, int64(login.Version), s.sealLogin(c, login)); err != nil {
			return err
		}
		revision, err = tx.touch(guid)
		return err
	})
	return revision, err
}

// touch gives a credential the next revision, because its login changed.
func (w *writeTx) touch(guid string) (uint64, error) {
	revision, err := w.nextRevision()
	if err != nil {
		return 0, err
	}
	return revision, w.exec(`UPDATE credentials SET revision = ? WHERE guid = ?`, int64(revision), guid)
}

// DropLogin implements regcred.Store. The login itself may be corrupt.
func (s *Store) DropLogin(ctx context.Context, guid string) (revision uint64, err error) {
	err = s.write(ctx, func(tx *writeTx) error {
		c, err := s.get(tx.ctx, tx.tx, guid)
		if err != nil {
			return err
		}
		if err := tx.exec(`DELETE FROM logins WHERE guid = ?`, guid); err != nil {
			return err
		}
		if revision, err = tx.nextRevision(); err != nil {
			return err
		}
		c.Version, c.DropRevision, c.Revision = c.Version+1, revision, revision
		return s.replace(tx, c)
	})
	return revision, err
}

// Login implements regcred.Store.
func (s *Store) Login(ctx context.Context, guid string) (regcred.Login, error) {
	var of credentialRow
	var row loginRow
	err := s.readers.QueryRowContext(ctx, `SELECT `+credentialColumns+`, l.version, l.sealed
		FROM credentials c JOIN logins l ON l.guid = c.guid WHERE c.guid = ?`, guid).
		Scan(append(of.columns(), &row.version, &row.sealed)...)
	if errors.Is(err, sql.ErrNoRows) {
		return regcred.Login{}, rules.NoLogin(guid)
	}
	if err != nil {
		return regcred.Login{}, s.fault(ctx, err)
	}
	return s.login(&of, row)
}

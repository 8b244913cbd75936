package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// writeTx is a transaction of the one writer, in which one or more changes are made.
type writeTx struct {
	ctx     context.Context
	tx      *sql.Tx
	revised bool
}

func (w *writeTx) exec(query string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

func (w *writeTx) row(query string, args ...any) *sql.Row {
	return w.tx.QueryRowContext(w.ctx, query, args...)
}

// nextRevision takes the revision of a change.
func (w *writeTx) nextRevision() (revision uint64, err error) {
	w.revised = true
	err = w.row(`UPDATE meta SET revision = revision + 1 RETURNING revision`).Scan(&revision)
	return revision, err
}

// fault turns an error of the database into one of the contract. Errors of the
// contract stay as they are.
func (s *Store) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*regcred.Error](err); ok {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-s.closed:
		return rules.Closed()
	default:
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB:
			return notDatabase(s.path)
		case sqlite3.SQLITE_CORRUPT:
			return regcred.Errorf(regcred.Corrupt, "the database %s is damaged: put it back from your backup (%w)", s.path, err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM:
			return regcred.Errorf(regcred.Unavailable, "the database %s cannot be used now: %w", s.path, err)
		}
	}
	return fmt.Errorf("database %s: %w", s.path, err)
}

package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"regcred.dev"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks a database as ours, in the header field that SQLite has for
// that: "rgcr".
const applicationID = 0x72676372

// migrate brings the schema up to date. It changes nothing in a database of
// another program or of a newer regcred.
func (s *Store) migrate(ctx context.Context, log *slog.Logger) error {
	if err := s.claim(ctx); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.writer, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	have, err := s.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return regcred.Errorf(regcred.Invalid,
			"the database %s has schema version %d, but this regcred knows versions up to %d: run a newer regcred", s.path, have, newest)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return err
	}
	if len(done) > 0 {
		log.InfoContext(ctx, "migrated the store", "path", s.path, "from", have, "to", newest)
	}
	return nil
}

// claim marks an empty database as ours, and refuses one of another program.
func (s *Store) claim(ctx context.Context) error {
	var mark, tables int64
	err := s.writer.QueryRowContext(ctx,
		`SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`).Scan(&mark, &tables)
	switch {
	case err != nil:
		return err
	case mark == applicationID:
		return nil
	case mark != 0 || tables > 0:
		return regcred.Errorf(regcred.Invalid, "%s is the database of another program: choose another path", s.path)
	}
	_, err = s.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID))
	return err
}

// schemaVersion returns the newest migration that the database has seen, 0 where
// it is new. goose has a function for this too, which takes a damaged table for a
// missing one.
func (s *Store) schemaVersion(ctx context.Context) (version int64, err error) {
	var tables int
	err = s.writer.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = ?`, goose.DefaultTablename).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	err = s.writer.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+goose.DefaultTablename).Scan(&version)
	return version, err
}

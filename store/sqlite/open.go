package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"regcred.dev"
	"regcred.dev/seal"
	"regcred.dev/store/internal/rules"
)

// Options say where a store is and how it is sealed.
type Options struct {
	// Path is the database file. It is made where it is missing; its directory
	// must exist.
	Path string
	// Keys seal the store: the first one what is written, each one what it
	// sealed before. There must be one.
	Keys seal.Keys
	// Log gets what an operator should know; nil discards it.
	Log *slog.Logger
}

// Store is a regcred.Store in a SQLite file. Use Open.
type Store struct {
	path    string
	id      string
	keys    seal.Keys
	lock    *os.File
	writer  *sql.DB // one connection
	readers *sql.DB
	queue   queue
	changed rules.Signal
	closed  chan struct{}
	close   func() error
}

// Exists reports whether there is a database at path. Where there is one, a seal
// key that is missing must not be made anew.
func Exists(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, regcred.Errorf(regcred.Unavailable, "cannot reach the database: %w", err)
	}
	return info.Size() > 0, nil
}

// Open opens the store, makes it where it is missing, and brings its schema up to
// date.
//
// Errors: Unavailable where another process has it open or the file cannot be
// reached; Corrupt where the file is no database or damaged; Invalid where it is
// of another program, of a newer regcred, or sealed with another key. Each names
// the path.
func Open(ctx context.Context, o Options) (*Store, error) {
	if len(o.Keys) == 0 {
		return nil, regcred.Errorf(regcred.Invalid, "the database %s needs a seal key", o.Path)
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "cannot reach the database %s: %w", o.Path, err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, keys: o.Keys, lock: lock, closed: make(chan struct{}), queue: queue{turn: make(chan struct{}, 1)}}
	s.close = sync.OnceValue(s.shut)
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx, log); err != nil {
		return nil, errors.Join(s.fault(ctx, err), s.Close())
	}
	return s, nil
}

// open does what Open promises, once the lock is held.
func (s *Store) open(ctx context.Context, log *slog.Logger) error {
	if err := restrict(s.path); err != nil {
		return err
	}
	var err error
	if s.writer, err = sql.Open("sqlite", s.source("_txlock=immediate")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.readers, err = sql.Open("sqlite", s.source("_pragma=query_only(1)")); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(max(4, runtime.NumCPU()))
	s.readers.SetMaxIdleConns(max(4, runtime.NumCPU()))
	if err := s.migrate(ctx, log); err != nil {
		return err
	}
	if err := s.write(ctx, s.identify); err != nil {
		return err
	}
	log.InfoContext(ctx, "opened the store", "path", s.path, "id", s.id, "key", s.keys[0])
	return nil
}

// source returns the driver's name of the database, with settings that hold for
// every connection.
func (s *Store) source(more string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(s.path)}
	u.RawQuery = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
	return u.String()
}

// restrict makes the database file where it is missing, and takes it from all but
// its owner. SQLite gives its other files the same mode. A file that is no
// database is left as it is.
func restrict(path string) error {
	if err := checkHeader(path); err != nil {
		return err
	}
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(file, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return regcred.Errorf(regcred.Unavailable, "cannot set the mode of the database: %w", err)
		}
	}
	return nil
}

// magic is what a SQLite file begins with.
const magic = "SQLite format 3\x00"

// checkHeader makes the file where it is missing. Otherwise it must be empty or
// begin as a database does: SQLite itself takes a very short file for an empty one.
func checkHeader(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "cannot open the database: %w", err)
	}
	defer f.Close()
	header := make([]byte, len(magic))
	n, err := io.ReadFull(f, header)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return regcred.Errorf(regcred.Unavailable, "cannot read the database: %w", err)
	}
	if n > 0 && string(header) != magic {
		return notDatabase(path)
	}
	return nil
}

func notDatabase(path string) error {
	return regcred.Errorf(regcred.Corrupt, "%s is not a database: move it away, or put it back from your backup", path)
}

// identify reads the store's id, or gives it one, and checks that the key is the
// one that it was sealed with.
func (s *Store) identify(tx *writeTx) error {
	var id string
	var sealed []byte
	err := tx.row(`SELECT store_id, sealed FROM meta`).Scan(&id, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		s.id = uuid.NewString()
		return tx.exec(`INSERT INTO meta (id, store_id, revision, fence, sealed) VALUES (1, ?, 0, 0, ?)`,
			s.id, s.seal("meta", nil))
	}
	if err != nil {
		return err
	}
	s.id = id
	if _, err := s.unseal("meta", sealed); err != nil {
		return regcred.Errorf(regcred.Invalid,
			"the database %s does not open with this seal key: use the key file that it was made with (%w)", s.path, err)
	}
	return nil
}

// ID identifies the store for its whole life.
func (s *Store) ID() string { return s.id }

// Close ends every Watch, waits for the write under way, and gives up the lock. Any
// other call returns Unavailable from now on.
func (s *Store) Close() error { return s.close() }

// shut is Close, once.
func (s *Store) shut() error {
	close(s.closed)
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, closeIdle(s.writer))
	}
	if err := errors.Join(append(errs, s.lock.Close())...); err != nil {
		return fmt.Errorf("closing the database %s: %w", s.path, err)
	}
	return nil
}

// closeIdle closes a database of one connection once nobody uses it.
func closeIdle(db *sql.DB) error {
	conn, err := db.Conn(context.Background())
	if err != nil { // it cannot be opened at all
		return db.Close()
	}
	return errors.Join(db.Close(), conn.Close())
}

// Package blob has the places where the registry keeps its objects.
package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"regcred.dev"
	"regcred.dev/internal/flock"
	"regcred.dev/registry"
)

var _ registry.Blobs = (*Dir)(nil)

// Dir keeps objects in a directory:
//
//	format          "regcred blobs 1\n"
//	objects/KEY     an object; the key's slashes are those of the path
//	uploads/ID      an upload; locked (flock) while somebody has it open
//	tmp/put-RANDOM  a small object on its way; locked (flock) by its writer
//	reserve         room for small objects by which others are deleted
//
// A file is written and synced in tmp or uploads and then renamed into objects,
// and the directory synced before the caller hears of it: what is in objects is
// whole, and what was acknowledged stays. What a killed writer left in tmp goes
// at the next Open; an upload of it can be gone on with for a day.
//
// Writers of one directory in objects take turns by an flock on that directory,
// for as long as it takes to check a condition and to rename. That makes
// conditions hold among processes too, so that several may share a Dir.
// Directories that become empty stay.
//
// No path ever leaves the directory (os.Root). Files have mode 0600, directories
// 0700. A file system that ignores case is not supported: tags differ by case.
type Dir struct {
	root    *os.Root
	objects *os.File // the directory
}

const (
	formatName = "format"
	format     = "regcred blobs 1\n"

	objectsDir = "objects"
	uploadsDir = "uploads"
	tmpDir     = "tmp"
	tmpPrefix  = "put-"

	// uploadsKept is how long Open leaves an upload that nobody writes to.
	uploadsKept = 24 * time.Hour
)

// Open opens the storage in a directory, and makes it where there is none. It
// removes what killed writers left.
// Errors: Invalid where the directory holds something else, or was written by a
// newer regcred.
func Open(dir string) (*Dir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("registry storage: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("registry storage: %w", err)
	}
	d := &Dir{root: root}
	if err := d.prepare(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("registry storage %s: %w", dir, err)
	}
	return d, nil
}

// Close releases the directory. Objects and uploads that are open stay so.
func (d *Dir) Close() error {
	if d.objects == nil {
		return d.root.Close()
	}
	return errors.Join(d.objects.Close(), d.root.Close())
}

func (d *Dir) prepare() error {
	if err := d.checkFormat(); err != nil {
		return err
	}
	for _, name := range []string{objectsDir, uploadsDir, tmpDir} {
		dir, err := d.makeDir(name)
		if err != nil {
			return err
		}
		_ = dir.Close()
	}
	var err error
	if d.objects, err = d.root.Open(objectsDir); err != nil {
		return err
	}
	if err := d.cleanUp(); err != nil {
		return err
	}
	return d.fillReserve()
}

// checkFormat reads the format file, and writes it first of all where the
// directory is empty. An empty format file is that of an Open that was killed.
func (d *Dir) checkFormat() error {
	if _, err := d.root.Stat(formatName); errors.Is(err, fs.ErrNotExist) {
		entries, err := d.readDir(".")
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return regcred.Errorf(regcred.Invalid, "the directory is not empty and was not made by regcred: choose another one")
		}
	}
	f, err := d.root.OpenFile(formatName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock.Lock(f); err != nil {
		return err
	}
	found, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return err
	}
	if len(found) > 0 {
		if !bytes.Equal(found, []byte(format)) {
			return regcred.Errorf(regcred.Invalid, "its format is %q, this regcred knows %q: use the version that wrote it, or a newer one", found, format)
		}
		return nil
	}
	if _, err := f.WriteString(format); err != nil {
		return err
	}
	return f.Sync()
}

// cleanUp removes what killed writers left in tmp, and uploads that nobody went
// on with.
func (d *Dir) cleanUp() error {
	entries, err := d.readDir(tmpDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if len(e.Name()) > len(tmpPrefix) && e.Name()[:len(tmpPrefix)] == tmpPrefix {
			if _, err := d.removeIdle(path.Join(tmpDir, e.Name()), time.Time{}); err != nil {
				return err
			}
		}
	}
	_, err = d.CleanUploads(context.Background(), time.Now().Add(-uploadsKept))
	return err
}

// CleanUploads implements registry.Blobs.
func (d *Dir) CleanUploads(ctx context.Context, before time.Time) (int, error) {
	entries, err := d.readDir(uploadsDir)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		ok, err := d.removeIdle(path.Join(uploadsDir, e.Name()), before)
		if err != nil {
			return removed, err
		}
		if ok {
			removed++
		}
	}
	return removed, nil
}

// removeIdle removes a file that no writer has locked and that was last written
// before a time, or at any time where that is zero.
func (d *Dir) removeIdle(name string, before time.Time) (bool, error) {
	f, err := d.openLocked(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, flock.ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !before.IsZero() && !info.ModTime().Before(before) {
		return false, nil
	}
	return true, d.root.Remove(name)
}

// createLocked makes a file that did not exist, locked by the caller.
func (d *Dir) createLocked(name string) (*os.File, error) {
	for {
		f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		// Whoever cleans up can be here before the lock is: then begin again.
		if err := d.lockNamed(f, name); err == nil {
			return f, nil
		} else if !errors.Is(err, flock.ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
			_ = f.Close()
			return nil, err
		}
		_ = f.Close()
	}
}

// openLocked opens a file that exists, locked by the caller. Errors:
// fs.ErrNotExist, flock.ErrLocked.
func (d *Dir) openLocked(name string) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := d.lockNamed(f, name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// lockNamed locks f and makes sure that name is still its name: between open and
// lock another one may have renamed or removed it. Errors: fs.ErrNotExist,
// flock.ErrLocked.
func (d *Dir) lockNamed(f *os.File, name string) error {
	if err := flock.TryLock(f); err != nil {
		return err
	}
	named, err := d.root.Stat(name)
	if err != nil {
		return err
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(named, own) {
		return fs.ErrNotExist
	}
	return nil
}

// makeDir opens a directory, and makes it and its parents where they are
// missing, each of them synced into its own parent.
func (d *Dir) makeDir(name string) (*os.File, error) {
	dir, err := d.root.Open(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	parent, err := d.makeDir(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := parent.Sync(); err != nil {
		return nil, err
	}
	return d.root.Open(name)
}

func (d *Dir) readDir(name string) ([]fs.DirEntry, error) {
	dir, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

// objectPath returns where the object of a key is. Errors: Invalid.
func objectPath(key string) (string, error) {
	if err := registry.CheckKey(key); err != nil {
		return "", err
	}
	return objectsDir + "/" + key, nil
}

func randomName() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// writeError gives an error of a write the code that its callers look for.
func writeError(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return noSpace{regcred.Errorf(regcred.Unavailable, "cannot store %s: the disk of the registry is full", key)}
	case errors.Is(err, syscall.EFBIG):
		return noSpace{regcred.Errorf(regcred.Unavailable, "cannot store %s: the file system of the registry, or a limit on its process (ulimit -f), allows no file that large", key)}
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTEMPTY):
		return regcred.Errorf(regcred.Invalid, "cannot store %s: one of the keys is a directory of the other", key)
	}
	return err
}

// noSpace is an error that is registry.ErrNoSpace too.
type noSpace struct{ error }

func (e noSpace) Unwrap() error { return e.error }

// Is implements the interface of errors.Is.
func (e noSpace) Is(target error) bool { return target == registry.ErrNoSpace }

package static

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"regcred.dev"
	"regcred.dev/internal/flock"
)

// Directory is a directory that a web server reads. The file of an object is its key, but
// for manifests: a web server tells the type of a file by the end of its name, which a tag
// or digest does not have. So the files of a manifest are named KEY.oci-index,
// KEY.docker-list, KEY.oci-manifest or KEY.docker-manifest by its type, in which order a
// web server has to look for them. Cache-Control is up to the web server.
//
//	v2/, index/           as the package's documentation has it
//	.regcred/lock         locked (flock) by who changes a name
//	.regcred/tmp-RANDOM   a file on its way, locked (flock) by its writer
//
// A file is written and synced below .regcred and then renamed, and the directories
// synced before the caller hears of it. What a killed writer left goes at the next
// OpenDirectory. A tag that moves from an index to a manifest has no file for a moment
// only where the web server looks just then.
//
// Files can be read by everybody as far as the umask goes, .regcred by its owner alone.
// No path leaves the directory (os.Root). A file system that ignores case is not
// supported: tags differ by case.
type Directory struct{ root *os.Root }

var _ Objects = (*Directory)(nil)

const (
	ownDir    = ".regcred"
	lockName  = ownDir + "/lock"
	tmpPrefix = "tmp-"
)

// OpenDirectory opens a directory, makes it where there is none, and removes what killed
// writers left. Errors: Invalid where it is something else, or the storage of a registry
// that regcred serves; Unavailable.
func OpenDirectory(dir string) (*Directory, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a web server reads it
		return nil, writeError(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, writeError(dir, err)
	}
	d := &Directory{root}
	if err := d.prepare(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	return d, nil
}

// Close releases the directory.
func (d *Directory) Close() error { return d.root.Close() }

func (d *Directory) prepare() error {
	format, err := d.root.ReadFile("format") // of package blob
	if err == nil && strings.HasPrefix(string(format), "regcred ") {
		return regcred.Errorf(regcred.Invalid, "it is the storage of a registry that regcred serves: choose another one")
	}
	if err := d.root.MkdirAll(ownDir, 0o700); err != nil {
		return writeError(ownDir, err)
	}
	dir, err := d.root.Open(ownDir)
	if err != nil {
		return writeError(ownDir, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return writeError(ownDir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, tmpPrefix) {
			d.removeIdle(ownDir + "/" + name)
		}
	}
	return nil
}

// removeIdle removes a file that no writer has locked. Where it cannot, it stays.
func (d *Directory) removeIdle(name string) {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if flock.TryLock(f) == nil {
		_ = d.root.Remove(name)
	}
}

// createLocked makes a file below .regcred, locked by the caller.
func (d *Directory) createLocked() (string, *os.File, error) {
	for {
		name := ownDir + "/" + tmpPrefix + rand.Text()
		f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return "", nil, err
		}
		if err = flock.Lock(f); err == nil {
			// Whoever removes what is idle may have been here before the lock was.
			_, err = d.root.Stat(name)
		}
		if err == nil {
			return name, f, nil
		}
		_ = f.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
}

// temporary writes a file below .regcred, synced, and returns its name and what removes
// it, unless it was renamed.
func (d *Directory) temporary(content io.Reader) (name string, remove func(), err error) {
	name, f, err := d.createLocked()
	if err != nil {
		return "", nil, err
	}
	remove = func() {
		_ = d.root.Remove(name)
		_ = f.Close() // which gives back the lock
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return name, remove, nil
}

// change changes names in the directory of an object's file, while nobody else changes
// any, and makes it last.
func (d *Directory) change(ctx context.Context, key string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	lock, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock.Lock(lock); err != nil {
		return err
	}
	dir := path.Dir(key)
	if err := d.makeDir(dir); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return d.sync(dir)
}

// makeDir makes a directory and those above it, each synced into the one above.
func (d *Directory) makeDir(dir string) error {
	if _, err := d.root.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.makeDir(path.Dir(dir)); err != nil {
		return err
	}
	if err := d.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.sync(path.Dir(dir))
}

func (d *Directory) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// writeError says what is wrong with the storage. Errors that say it themselves, and
// those of the content, stay.
func writeError(name string, err error) error {
	_, isPath := errors.AsType[*fs.PathError](err)
	_, isLink := errors.AsType[*os.LinkError](err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return regcred.Errorf(regcred.Unavailable, "cannot store %s: the disk is full", name)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return regcred.Errorf(regcred.Invalid, "cannot store %s: a file is where a directory has to be, or a directory where a file has to be", name)
	case isPath || isLink:
		return regcred.Errorf(regcred.Unavailable, "cannot store %s: %w", name, err)
	}
	return err
}

package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"regcred.dev"
)

// ReadKeyFile returns the key in a file of RootSize raw bytes, which only its
// owner may read or write.
// Errors: NotFound; Invalid, in words for the operator, where the file is of
// another size, no regular file, or open to others.
func ReadKeyFile(path string) (*Key, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, regcred.Errorf(regcred.NotFound,
			"the seal key %s is missing: without it nothing that is stored can be read; put it back from your backup (a new key would not help)", path)
	case err != nil:
		return nil, regcred.Errorf(regcred.Invalid, "cannot read the seal key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "cannot read the seal key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, regcred.Errorf(regcred.Invalid, "the seal key %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, regcred.Errorf(regcred.Invalid,
			"the seal key %s has mode %04o, so others than its owner can get at it: run chmod 600 %s, and consider who may have read it", path, mode, path)
	}
	if info.Size() != RootSize {
		return nil, regcred.Errorf(regcred.Invalid,
			"the seal key %s has %d bytes, not %d: put it back from your backup", path, info.Size(), RootSize)
	}
	root := make([]byte, RootSize)
	if _, err := io.ReadFull(f, root); err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "cannot read the seal key %s: %w", path, err)
	}
	return NewKey(root)
}

// OpenKeyFile is ReadKeyFile, and where create is set it first makes the file if
// it is missing: random, with mode 0600, on disk before the function returns. An
// existing file is never written. Do not set create where a database exists: what
// is in it could not be read with a new key.
func OpenKeyFile(path string, create bool) (*Key, error) {
	if create {
		if err := createKeyFile(path); err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "cannot make the seal key: %w", err)
		}
	}
	return ReadKeyFile(path)
}

// createKeyFile makes the file unless it exists. A hard link puts it in its
// place: whole or not at all, and never over another one.
func createKeyFile(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	root := make([]byte, RootSize)
	rand.Read(root) // never returns an error
	_, err = tmp.Write(root)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("%s: %w", tmp.Name(), err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir puts the names in a directory on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

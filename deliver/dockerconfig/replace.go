package dockerconfig

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"regcred.dev"
)

// errChanged says that a file was changed by somebody else since it was read.
var errChanged = errors.New("the file was changed since it was read")

// errUnsupported says that a file system or platform lacks an operation.
var errUnsupported = errors.New("not supported here")

// readFile reads a file, and what its mode and owner are.
// Errors: fs.ErrNotExist; Invalid where it is no regular file; TooLarge.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		kind := "not a regular file"
		if info.IsDir() {
			kind = "a directory"
		}
		return nil, nil, regcred.Errorf(regcred.Invalid, "it is %s: name a file", kind)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }() // read only
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxSize {
		return nil, nil, regcred.Errorf(regcred.TooLarge, "it is larger than %d MiB", maxSize>>20)
	}
	return data, info, nil
}

// replacement is a new content for a file.
type replacement struct {
	path      string
	temporary string // the pattern of the temporary file's name
	// old is what the file was read as, and info its mode and owner; info is nil
	// where there was no file.
	old  []byte
	info fs.FileInfo
	new  []byte
}

// write puts the new content in place, at once and durably: at every moment the
// file is the old one or the new one, also where the machine stops.
//
// It returns errChanged where the file is not the old one any more, and leaves it
// as it is then: the new file is exchanged with what is there, and back again if
// that was put there just now. There is no way to replace a file only if it is still
// the same, so a change is lost where two by others fall into the microseconds
// around the exchange; on file systems that cannot exchange, one is enough.
func (r replacement) write() error {
	dir := filepath.Dir(r.path)
	temp, err := r.prepare(dir)
	if temp != "" {
		defer func() { _ = os.Remove(temp) }() // gone already, or of no use
	}
	if err != nil {
		return err
	}
	if err := r.commit(temp); err != nil {
		return err
	}
	return syncDir(dir)
}

// prepare writes the new content to a temporary file beside the old one.
func (r replacement) prepare(dir string) (temp string, err error) {
	f, err := os.CreateTemp(dir, r.temporary)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(r.new); err != nil {
		return f.Name(), err
	}
	if r.info != nil {
		if err := keepOwner(f, r.info); err != nil {
			return f.Name(), err
		}
		if err := f.Chmod(r.info.Mode().Perm()); err != nil {
			return f.Name(), err
		}
	}
	return f.Name(), f.Sync()
}

// commit gives the temporary file the place of the old one.
func (r replacement) commit(temp string) error {
	if r.info == nil {
		err := renameNew(temp, r.path)
		if errors.Is(err, fs.ErrExist) {
			return errChanged
		}
		return err
	}
	if !r.unchanged(r.path) || !r.isOld(r.path) {
		return errChanged
	}
	err := exchange(temp, r.path)
	switch {
	case errors.Is(err, errUnsupported):
		return os.Rename(temp, r.path)
	case errors.Is(err, fs.ErrNotExist):
		return errChanged
	case err != nil || r.isOld(temp) && r.unchanged(temp):
		return err
	}
	if err := exchange(temp, r.path); err != nil {
		return err
	}
	return errChanged
}

// isOld reports whether the old file is at a path, whatever is in it now.
func (r replacement) isOld(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && os.SameFile(info, r.info)
}

// unchanged reports whether what is at a path reads as the old file did.
func (r replacement) unchanged(path string) bool {
	data, _, err := readFile(path)
	return err == nil && bytes.Equal(data, r.old)
}

// overwrite puts a file of mode 0600 in place, at once and durably, whatever is
// there.
func overwrite(path, temporary string, data []byte) error {
	r := replacement{path: path, temporary: temporary, new: data}
	dir := filepath.Dir(path)
	temp, err := r.prepare(dir)
	if temp != "" {
		defer func() { _ = os.Remove(temp) }() // gone already, or of no use
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

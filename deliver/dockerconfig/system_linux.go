package dockerconfig

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange swaps two files in one step.
// Errors: errUnsupported where the file system cannot.
func exchange(a, b string) error { return renameWith(a, b, unix.RENAME_EXCHANGE) }

// renameNew renames a file to a name that no file has yet. Errors: fs.ErrExist.
func renameNew(from, to string) error {
	err := renameWith(from, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, errUnsupported) {
		return os.Link(from, to)
	}
	return err
}

func renameWith(a, b string, flags uint) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return errUnsupported
	}
	return &os.LinkError{Op: "rename", Old: a, New: b, Err: err}
}

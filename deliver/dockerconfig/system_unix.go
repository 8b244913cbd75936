//go:build unix

package dockerconfig

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// noFollow has a file opened only where it is no symbolic link.
const noFollow = unix.O_NOFOLLOW

// tryLock takes the advisory lock of a file, and reports false where another
// process has it. Closing the file, or the process's end, releases it.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return true, nil
}

// keepOwner gives f the owner and group of another file, where they differ and the
// process is root: nobody else may.
func keepOwner(f *os.File, as fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	got, ok := info.Sys().(*syscall.Stat_t)
	want, okToo := as.Sys().(*syscall.Stat_t)
	if !ok || !okToo || got.Uid == want.Uid && got.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}

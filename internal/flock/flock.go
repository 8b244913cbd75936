// Package flock locks files among processes, with flock(2). Closing a file gives its lock
// back, and so does the end of the process.
package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked says that somebody else has the file locked.
var ErrLocked = errors.New("the file is in use")

// TryLock takes the lock of a file without waiting for it. Errors: ErrLocked.
func TryLock(f *os.File) error {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// Lock takes the lock of a file, waiting for it. It is for locks that are held for
// moments.
func Lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// Unlock gives the lock of a file back.
func Unlock(f *os.File) error { return flock(f, unix.LOCK_UN) }

func flock(f *os.File, how int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) {
		for {
			failed = unix.Flock(int(fd), how)
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	}); err != nil {
		return err
	}
	if failed != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: failed}
	}
	return nil
}

package blob

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked says that somebody else has the file locked.
var errLocked = errors.New("the file is in use")

// lock takes the lock of a file (flock) without waiting for it. Closing the file
// gives it back, and so does the end of the process. Errors: errLocked.
func lock(f *os.File) error {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// lockWait takes the lock of a file, waiting for it. It is for locks that are
// held for moments.
func lockWait(f *os.File) error { return flock(f, unix.LOCK_EX) }

func unlock(f *os.File) error { return flock(f, unix.LOCK_UN) }

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

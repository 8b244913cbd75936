package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"regcred.dev"
)

// lockFile takes the lock at path, which it makes where it is missing. The lock
// ends when the file is closed or the process ends, however that comes about.
// Errors: Unavailable where another process has it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "cannot open the lock of the database: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, regcred.Errorf(regcred.Unavailable,
			"another regcred has the database open (it holds %s): stop it, or give this one another data directory", path)
	}
	return nil, regcred.Errorf(regcred.Unavailable, "cannot lock %s: %w", path, err)
}

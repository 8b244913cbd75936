package dockerconfig

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"regcred.dev"
)

// place is where a docker config file and what belongs to it are.
type place struct {
	// path is the file's own, behind every symbolic link.
	path string
	// links are the symbolic links on the way there.
	links []string
}

// maxLinks is how many symbolic links are followed, as Linux does.
const maxLinks = 40

// findPlace follows the symbolic links of a path, also to a file that does not exist
// yet. Errors: Invalid where they run in a circle; those of reading.
func findPlace(path string) (place, error) {
	var p place
	for range maxLinks {
		// Not filepath.Dir: ".." behind a link is the parent of what it leads to.
		dir, base := filepath.Split(path)
		if dir == "" {
			dir = "."
		}
		real, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) {
			p.path = path
			return p, nil
		}
		if err != nil {
			return place{}, err
		}
		path = filepath.Join(real, base)
		to, err := os.Readlink(path)
		if err != nil {
			p.path = path
			return p, noLink(err)
		}
		p.links = append(p.links, path)
		if !filepath.IsAbs(to) {
			to = real + string(filepath.Separator) + to
		}
		path = to
	}
	return place{}, regcred.Errorf(regcred.Invalid, "more than %d symbolic links follow one another", maxLinks)
}

// noLink returns nil where os.Readlink failed because there is no link.
func noLink(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

func (p place) dir() string    { return filepath.Dir(p.path) }
func (p place) record() string { return p.sidecar("") }
func (p place) lock() string   { return p.sidecar(".lock") }

// temporary is the pattern of the names of files that are being written.
func (p place) temporary() string { return filepath.Base(p.sidecar("-*.tmp")) }

func (p place) sidecar(suffix string) string {
	return filepath.Join(p.dir(), "."+filepath.Base(p.path)+".regcred"+suffix)
}

// sweep removes temporary files that a killed process has left. The lock must be
// held: they are then nobody's.
func (p place) sweep() error {
	entries, err := os.ReadDir(p.dir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(p.temporary(), e.Name()); !ok {
			continue
		}
		if err := os.Remove(filepath.Join(p.dir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// lockWait bounds how long another regcred may hold the lock.
const lockWait = 10 * time.Second

// lock is an advisory lock that is held.
type lock struct{ f *os.File }

// release gives the lock back. So does the end of the process.
func (l lock) release() { _ = l.f.Close() } // nothing was written

// remove deletes the lock's file. Who waits for it makes a new one.
func (l lock) remove() error { return os.Remove(l.f.Name()) }

// hold takes the lock that all regcreds take before they change the file. A symbolic
// link in its place is not followed: whose directory it is could have root make files
// elsewhere.
// Errors: Unavailable where another process does not let go of it; ctx's.
func (p place) hold(ctx context.Context) (lock, error) {
	deadline := time.Now().Add(lockWait)
	for ctx.Err() == nil {
		f, err := os.OpenFile(p.lock(), os.O_CREATE|os.O_RDWR|noFollow, 0o600)
		if err != nil {
			return lock{}, err
		}
		locked, err := tryLock(f)
		if err == nil && locked && sameFile(f, p.lock()) {
			return lock{f}, nil
		}
		lock{f}.release()
		if err != nil {
			return lock{}, err
		}
		if time.Now().After(deadline) {
			return lock{}, regcred.Errorf(regcred.Unavailable, "another regcred has held the lock %s for %s", p.lock(), lockWait)
		}
		pause(ctx, 20*time.Millisecond)
	}
	return lock{}, ctx.Err()
}

// sameFile reports whether a file is still the one at a path.
func sameFile(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

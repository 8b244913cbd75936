package crane

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// settled is how long before it was read a file must have been modified for its time
// of modification to tell a later change: clocks of file systems are coarse.
const settled = 2 * time.Second

// file is a metadata file as it was read last.
type file struct {
	info   fs.FileInfo // nil where it could not be told
	readAt time.Time
	repo   *repository // what is served; nil where nothing of it ever could be used
	err    error       // why it cannot be used as it is
}

// unchanged reports whether a file that looks like this now needs no reading.
func (f file) unchanged(now fs.FileInfo) bool {
	return f.err == nil && f.info != nil && os.SameFile(f.info, now) && f.info.Size() == now.Size() &&
		f.info.ModTime().Equal(now.ModTime()) && f.readAt.Sub(now.ModTime()) > settled
}

// scan is one look at a directory.
type scan struct {
	last  map[string]file
	now   time.Time
	files map[string]file
	dirs  []string
	bad   []Bad
	seen  map[string]bool // real paths, for links that lead to what was seen
}

// scan reads the files that changed. A directory that is replaced, or goes away, while
// it is read looks as if its files had been removed: it is read again then.
func (d *Directory) scan(now time.Time) *scan {
	for {
		before, _ := os.Stat(d.path) // nil where it is not there
		s := &scan{last: d.files, now: now, files: map[string]file{}, seen: map[string]bool{}}
		s.directory(d.path, true)
		after, _ := os.Stat(d.path)
		if before == nil && after == nil || before != nil && after != nil && os.SameFile(before, after) {
			return s
		}
	}
}

// directory reads what lies in and below a directory. One below the first that is
// gone by now was removed.
func (s *scan) directory(dir string, first bool) {
	entries, err := s.list(dir)
	if err != nil && (first || !errors.Is(err, fs.ErrNotExist)) {
		s.keep(dir, err)
		return
	}
	for _, e := range entries {
		// Directories that begin with two dots hold the versions of a Kubernetes volume,
		// which links lead to.
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		p := filepath.Join(dir, e.Name())
		info, err := os.Stat(p)
		switch {
		case err == nil && info.IsDir():
			s.directory(p, false)
		case filepath.Ext(p) != ".json":
		case err != nil:
			s.unreadable(p, err)
		default:
			s.file(p, info)
		}
	}
}

// list returns the entries of a directory, none where it was seen before.
func (s *scan) list(dir string) ([]os.DirEntry, error) {
	again, err := s.again(dir)
	if again || err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil {
		s.dirs = append(s.dirs, dir)
	}
	return entries, err
}

// again reports whether what lies at a path was seen before, at the same path or
// another.
func (s *scan) again(p string) (bool, error) {
	at, err := filepath.EvalSymlinks(p)
	if err != nil {
		return false, err
	}
	before := s.seen[at]
	s.seen[at] = true
	return before, nil
}

// keep carries over the files of a directory that cannot be read.
func (s *scan) keep(dir string, err error) {
	kept := false
	for p, f := range s.last {
		if strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") {
			s.files[p] = f
			kept = kept || f.repo != nil
		}
	}
	s.bad = append(s.bad, Bad{Path: dir, Reason: reason(err), Kept: kept})
}

// file reads a file, if it changed.
func (s *scan) file(p string, info fs.FileInfo) {
	if again, err := s.again(p); err != nil {
		s.unreadable(p, err)
		return
	} else if again {
		return
	}
	f := s.last[p]
	if !f.unchanged(info) {
		f = file{info: info, readAt: s.now, repo: f.repo}
		repo, err := read(p, info)
		if f.err = err; err == nil {
			f.repo = repo
		}
	}
	s.add(p, f)
}

// unreadable is for a file that is there and cannot be opened; one that is gone was
// removed.
func (s *scan) unreadable(p string, err error) {
	if _, gone := os.Lstat(p); !errors.Is(gone, fs.ErrNotExist) {
		s.add(p, file{repo: s.last[p].repo, err: err})
	}
}

func (s *scan) add(p string, f file) {
	s.files[p] = f
	if f.err != nil {
		s.bad = append(s.bad, Bad{Path: p, Reason: reason(f.err), Kept: f.repo != nil})
	}
}

var errTooLarge = fmt.Errorf("it is larger than %d bytes, the most that is read", maxFile)

// read reads a metadata file.
func read(p string, info fs.FileInfo) (*repository, error) {
	switch {
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > maxFile:
		return nil, errTooLarge
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, errTooLarge
	}
	return parse(data)
}

// reason says in words what is wrong, without the path, which stands beside it.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	return err.Error()
}

package dockerconfig

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"regcred.dev"
)

// debounce is how long a change waits for more of the same: editors rename, write
// and remove in one go.
const debounce = 75 * time.Millisecond

// Watch implements deliver.Target. It watches the directories of the files, and of
// the symbolic links to them, so that files that are renamed over are seen too.
func (t *Target) Watch(ctx context.Context, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return unwatched(err)
	}
	defer func() { _ = w.Close() }() // nothing can be done about it
	names, err := t.watchAll(w)
	if err != nil {
		return err
	}
	changed()
	var fire <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-w.Errors:
			return unwatched(err) // events are lost
		case e := <-w.Events:
			if fire == nil && names[filepath.Clean(e.Name)] && e.Op != fsnotify.Chmod {
				fire = time.After(debounce)
			}
		case <-fire:
			fire = nil
			// A link may lead elsewhere now, or a directory be another one.
			if names, err = t.watchAll(w); err != nil {
				return err
			}
			changed()
		}
	}
}

// watchAll has w watch what the files are in. It returns the paths whose change may
// be one of a file.
func (t *Target) watchAll(w *fsnotify.Watcher) (map[string]bool, error) {
	names := map[string]bool{}
	for _, f := range t.files {
		p, err := findPlace(f.path)
		if err != nil {
			return nil, unwatched(err)
		}
		for _, path := range append(p.links, p.path) {
			if err := watchParent(w, filepath.Clean(path), names); err != nil {
				return nil, unwatched(err)
			}
		}
	}
	return names, nil
}

// watchParent has w watch the directory of a path; where that does not exist, the
// nearest one above it that does.
func watchParent(w *fsnotify.Watcher, path string, names map[string]bool) error {
	names[path] = true
	for {
		dir := filepath.Dir(path)
		names[dir] = true // it may be removed, or made
		err := w.Add(dir)
		if err != nil && errors.Is(err, fs.ErrNotExist) && dir != path {
			if err := watchParent(w, dir, names); err != nil {
				return err
			}
			if _, err := os.Lstat(dir); err == nil {
				continue // made just before it could be noticed
			}
			return nil
		}
		return err
	}
}

func unwatched(err error) error {
	return regcred.Errorf(regcred.Unavailable, "changes by others are noticed at the next resync only: %w", err)
}

package dockerconfig

import (
	"context"
	"errors"
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
			changed() // events may be lost
			return unwatched(err)
		case e := <-w.Events:
			if names.lost(e) {
				changed()
				return unwatched(errors.New("the directory " + e.Name + " was removed or renamed"))
			}
			if fire == nil && names.concerns(e) {
				fire = time.After(debounce)
			}
		case <-fire:
			fire = nil
			if names, err = t.watchAll(w); err != nil { // links may lead elsewhere now
				changed()
				return err
			}
			changed()
		}
	}
}

// watched are the directories and files that are watched.
type watched struct{ dirs, files map[string]bool }

// watchAll has w watch the directories of all files.
func (t *Target) watchAll(w *fsnotify.Watcher) (watched, error) {
	names := watched{map[string]bool{}, map[string]bool{}}
	for _, f := range t.files {
		p, err := findPlace(f.path)
		if err != nil {
			return names, unwatched(err)
		}
		for _, path := range append(p.links, p.path) {
			dir := filepath.Dir(path)
			names.dirs[dir] = true
			names.files[filepath.Join(dir, filepath.Base(path))] = true
			if err := w.Add(dir); err != nil {
				return names, unwatched(err)
			}
		}
	}
	return names, nil
}

// concerns reports whether an event may have changed a file. A change of its mode
// alone has not.
func (n watched) concerns(e fsnotify.Event) bool {
	return n.files[filepath.Clean(e.Name)] && e.Op != fsnotify.Chmod
}

// lost reports whether an event is the end of a directory.
func (n watched) lost(e fsnotify.Event) bool {
	return n.dirs[filepath.Clean(e.Name)] && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
}

func unwatched(err error) error {
	return regcred.Errorf(regcred.Unavailable, "changes by others are noticed at the next resync only: %w", err)
}

package crane

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce is how long a change waits for more of the same: files are written in
// several steps.
const debounce = 100 * time.Millisecond

// Run keeps the directory read until ctx ends, and returns ctx's error. Where the
// system reports no changes it goes by the interval alone, and says so in the log.
func (d *Directory) Run(ctx context.Context) error {
	var events <-chan fsnotify.Event // nil: they never report
	var lost <-chan error
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = w.Close() }() // nothing can be done about it
		events, lost = w.Events, w.Errors
	} else {
		d.log.Warn("changes of the metadata are not reported; it is looked at from time to time", "interval", d.interval, "err", err)
	}
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	d.lookAndWatch(w)
	var fire <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			d.lookAndWatch(w)
		case <-fire:
			fire = nil
			d.lookAndWatch(w)
		case err := <-lost:
			d.log.Warn("changes of the metadata were missed; it is looked at again", "err", err)
			fire = soon(fire)
		case e := <-events:
			if d.concerns(e.Name) {
				fire = soon(fire)
			}
		}
	}
}

// soon returns a time that is near, or the one that is set already.
func soon(fire <-chan time.Time) <-chan time.Time {
	if fire == nil {
		return time.After(debounce)
	}
	return fire
}

// concerns reports whether a change at a path is one of the directory. Its neighbours
// are watched with it.
func (d *Directory) concerns(p string) bool {
	return p == d.path || strings.HasPrefix(p, strings.TrimSuffix(d.path, "/")+"/")
}

// lookAndWatch looks at the directory and has w, where there is one, watch all that
// there is in it, and the one that it is in, since it may be replaced as a whole. What
// is new may have changed before it was watched: it is looked at again.
func (d *Directory) lookAndWatch(w *fsnotify.Watcher) {
	dirs := d.look(time.Now())
	for w != nil {
		for _, dir := range append(dirs, filepath.Dir(d.path)) {
			_ = w.Add(dir) // where it fails, the interval sees to it
		}
		next := d.look(time.Now())
		if slices.Equal(dirs, next) {
			return
		}
		dirs = next
	}
}

package crane

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce is how long a change waits for more of the same: files are written in
// several steps.
const debounce = 100 * time.Millisecond

// Run keeps the directory read until ctx ends, and returns ctx's error. Where the
// system reports no changes it goes by the interval alone, and says so in the log.
func (d *Directory) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		d.log.Warn("changes of the metadata are not reported; it is looked at from time to time", "interval", d.interval, "err", err)
	} else {
		var following sync.WaitGroup
		following.Go(func() { d.follow(w, changed) })
		defer following.Wait()
		defer func() { _ = w.Close() }() // nothing can be done about it
	}
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	d.lookAndWatch(w)
	var fire <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if fire == nil {
				fire = time.After(debounce)
			}
		case <-fire:
			fire = nil
			d.lookAndWatch(w)
		case <-tick.C:
			d.lookAndWatch(w)
		}
	}
}

// follow signals changes until w is closed. It does nothing else: w waits for its
// reports to be taken, and adding to it may wait for that.
func (d *Directory) follow(w *fsnotify.Watcher, changed chan<- struct{}) {
	for {
		select {
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			d.log.Warn("changes of the metadata were missed; it is looked at again", "err", err)
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if !d.concerns(e.Name) {
				continue
			}
		}
		select {
		case changed <- struct{}{}:
		default: // there is a signal already
		}
	}
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

package dockerconfig

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"regcred.dev"
)

const (
	// attempts is how often a sync starts over because somebody else changed the
	// file meanwhile.
	attempts = 10
	// settle is how long an existing file must have been empty before it is written
	// to: an editor that writes in place empties it first.
	settle = 2 * time.Second
)

// file is one docker config file.
type file struct {
	path  string
	log   *slog.Logger
	swept atomic.Bool // temporary files of a killed process were looked for
}

// sync makes the file match.
func (f *file) sync(ctx context.Context, s *session) error {
	return f.change(ctx, len(s.rendering.Auths) > 0, s.edit)
}

// uninstall takes out what a store delivered, and the record where that is then
// empty.
func (f *file) uninstall(ctx context.Context, storeID string) error {
	return f.change(ctx, false, func(o *opened) {
		for _, key := range o.record.keys() {
			if o.record.Entries[key].Store != storeID {
				continue
			}
			if value, ok := o.doc.entry(key); ok && o.record.has(key, value) {
				o.doc.deleteEntry(key)
			}
			delete(o.final.Entries, key)
		}
		o.forget = len(o.final.Entries) == 0
	})
}

// change reads the file and its record under the lock, lets edit change them, and
// writes what differs; it starts over where somebody else changes the file
// meanwhile. Without a record it does nothing, unless create says that there is
// something to deliver.
func (f *file) change(ctx context.Context, create bool, edit func(*opened)) error {
	for range attempts {
		err := f.attempt(ctx, create, edit)
		if !errors.Is(err, errChanged) {
			return err
		}
		f.log.Debug("the file was changed meanwhile, starting over", "path", f.path)
	}
	return regcred.Errorf(regcred.Unavailable, "another program keeps changing it: gave up after %d attempts", attempts)
}

func (f *file) attempt(ctx context.Context, create bool, edit func(*opened)) error {
	p, err := findPlace(f.path)
	if err != nil {
		return err
	}
	if create {
		err = os.MkdirAll(p.dir(), 0o700)
	} else if _, err = os.Stat(p.record()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l, err := p.hold(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	if !f.swept.Load() {
		if err := p.sweep(); err != nil {
			return err
		}
		f.swept.Store(true)
	}
	o, err := open(p)
	if err != nil {
		return err
	}
	edit(o)
	if err := o.save(); err != nil {
		return err
	}
	if o.forget {
		return errors.Join(os.Remove(p.record()), l.remove())
	}
	return nil
}

// opened is a docker config file and its record, read under the lock to be changed.
type opened struct {
	place  place
	src    []byte
	info   fs.FileInfo // nil where there is no file
	doc    document
	stored []byte // the record's file, nil where there is none
	record record // as it was read
	final  record // as it is to be
	lost   bool   // the record could not be understood
	forget bool   // the record and the lock are not needed any more
}

// open reads a file and its record.
func open(p place) (*opened, error) {
	o := &opened{place: p, record: newRecord()}
	var err error
	if o.src, o.info, err = readFile(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if o.info != nil && len(o.src) == 0 && time.Since(o.info.ModTime()).Abs() < settle {
		return nil, regcred.Errorf(regcred.Unavailable, "it was emptied just now, perhaps to be written: waiting for that")
	}
	if o.doc, err = parseDocument(o.src); err != nil {
		return nil, err
	}
	if o.stored, _, err = readFile(p.record()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if o.stored != nil {
		var ok bool
		if o.record, ok, err = parseRecord(o.stored); err != nil {
			return nil, err
		}
		o.lost = !ok
	}
	o.final = o.record.clone()
	return o, nil
}

// save writes what was changed: the record before the file, so that nothing is ever
// in the file that the record does not know, and once more after it.
func (o *opened) save() error {
	if o.doc.changed {
		if err := o.saveRecord(o.between()); err != nil {
			return err
		}
		r := replacement{path: o.place.path, temporary: o.place.temporary(), old: o.src, info: o.info, new: o.doc.text()}
		if err := r.write(); err != nil {
			return err
		}
	}
	return o.saveRecord(o.final)
}

// between returns the record that holds before and after the file is replaced.
func (o *opened) between() record {
	r := o.final.clone()
	for key, old := range o.record.Entries {
		e, stays := r.Entries[key]
		if !stays {
			e = old
		}
		for _, digest := range old.Digests {
			if !slices.Contains(e.Digests, digest) {
				e.Digests = append(slices.Clone(e.Digests), digest)
			}
		}
		r.Entries[key] = e
	}
	return r
}

func (o *opened) saveRecord(r record) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	if bytes.Equal(text, o.stored) || o.stored == nil && len(r.Entries) == 0 {
		return nil
	}
	if err := overwrite(o.place.record(), o.place.temporary(), text); err != nil {
		return err
	}
	o.stored = text
	return nil
}
